"""Latents that are blinded: what the pages and the data say, and what they do not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup, Tag

from saereport.run import TABLES, open_run
from saereport.site import render
from saereport.site.blocks import Block
from saereport.site.circuits.view import PromptView
from saereport.site.context import LatentView, ReportModel
from saereport.site.latent_pages import read_band
from saereport.site.latent_warnings import warnings
from saereport.site.panels import PANELS, PROMPT_PANELS, Panel
from saereport.site.parts import Item, Part, registry
from saereport.site.shown import shown_panels
from tests.site.test_blocks import latents_of
from tests.site.test_render import contents
from tests.synthetic import Shape, write_run
from tests.synthetic_circuits import prompts
from tests.synthetic_examples import blind_extra, examples_extra, without_spoilers

REVEALING = {table.name for table in TABLES.values() if table.reveals_text} - {"given_groups"}
SECRETS = tuple(f"secret phrase number {i} <b>" for i in range(60))
SMALL = Shape(
    d_sae=64, n_chosen=12, n_sequences=60, n_vocabulary=900, n_saes=3, n_dead=1,
    explanations=SECRETS,
)  # fmt: skip
TRANSCODER = "synthetic-l9-transcoder"
RESIDUAL = "synthetic-l3-residual"


def choose(shown: dict[str, Any]) -> list[tuple[str, int, bool]]:
    """In the transcoder one that can be revealed and one that cannot; in the first SAE one."""
    return [
        (TRANSCODER, int(shown[TRANSCODER][3]), True),
        (TRANSCODER, int(shown[TRANSCODER][5]), False),
        (RESIDUAL, int(shown[RESIDUAL][4]), True),
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that holds everything, also of the latent that cannot be revealed."""
    path = tmp_path_factory.mktemp("blind") / "run"
    write_run(path, SMALL, examples_extra(), blind_extra(choose))
    return path


@pytest.fixture(scope="module")
def report(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blind-report")
    without_spoilers(run, folder / "run")
    render(folder / "run", folder / "report")
    return folder / "report"


def latent_at(run: Path, place: int, slug: str = TRANSCODER) -> int:
    return int(open_run(run).table("activity", slug)["latent"].to_pylist()[place])


def secret_of(run: Path, latent: int) -> str:
    rows = open_run(run).table("explanations", TRANSCODER).to_pylist()
    return next(row["text"] for row in rows if row["latent"] == latent)


def article(report: Path, latent: int, slug: str = TRANSCODER) -> Tag:
    text = (report / slug / "l0000.html").read_text("utf-8")
    found = BeautifulSoup(text, "html.parser").select_one(f"#latent-{latent}")
    assert found is not None
    return found


def seen(node: Tag) -> str:
    """The text that a browser without JavaScript shows."""
    copy = BeautifulSoup(str(node), "html.parser")
    for hidden in copy.select("[hidden]"):
        hidden.decompose()
    return copy.text


def rows_of(report: Path, slug: str = TRANSCODER) -> dict[int, list[Any]]:
    text = (report / slug / "latents.js").read_text("utf-8")
    record = json.loads(text.split("push(", 1)[1].rstrip().removesuffix(");"))
    return {row[0]: row for row in record["rows"]}


def test_a_veiled_latent_is_in_the_page_and_hidden(run: Path, report: Path) -> None:
    latent = latent_at(run, 3)
    found = article(report, latent)
    assert found["data-blind"] == "hidden"
    assert secret_of(run, latent) in found.text
    for hidden in ("secret", "active on _", "Neuronpedia"):
        assert hidden not in seen(found)
    assert [node.name for node in found.select("[data-reveals-text]")] == [
        node.name for node in found.select("[hidden]")
    ]
    assert found.select("ul.snips[hidden] li")
    assert found.select("p.line[hidden]")[0].text.startswith("active on")
    assert "raises" in seen(found)
    assert "A blind case study" in seen(found)


def test_a_neuronpedia_link_is_hidden(run: Path, report: Path) -> None:
    found = article(report, latent_at(run, 4, RESIDUAL), RESIDUAL)
    (link,) = found.select("a.out")
    assert link.has_attr("hidden")
    others = article(report, latent_at(run, 5, RESIDUAL), RESIDUAL).select("a.out")
    assert not others[0].has_attr("hidden")


def test_others_are_not_hidden(run: Path, report: Path) -> None:
    found = article(report, latent_at(run, 4))
    assert not found.has_attr("data-blind")
    assert not found.select("[hidden]")
    assert found.select("[data-reveals-text]")


def test_a_sealed_latent_says_so_and_holds_nothing(run: Path, report: Path) -> None:
    latent = latent_at(run, 5)
    found = article(report, latent)
    assert found["data-blind"] == "redacted"
    assert not found.select("[data-reveals-text]")
    assert "It has no examples, token statistics or explanation of it." in found.text
    assert not found.select(".dead")
    secret = secret_of(run, latent).removesuffix("<b>").encode()
    files = [path for path in report.rglob("*") if path.is_file() and TRANSCODER in path.parts]
    assert len(files) > 15
    assert [path for path in files if secret in path.read_bytes()] == []
    own = open_run(report)
    assert {"examples", "active_sketch", "explanations"} < REVEALING
    # Of this SAE nothing was steered.
    there = {table for table in REVEALING if own.has(table, TRANSCODER)}
    assert there >= {"examples", "active_sketch", "explanations"}
    for table in there:
        assert latent not in own.table(table, TRANSCODER)["latent"].to_pylist()
    record = (report / TRANSCODER / "d0000.js").read_text("utf-8")
    own_part = record.split(f'{{"latent":{latent},', 1)[1].split('{"latent":', 1)[0]
    assert '["examples",' not in own_part
    assert '["influences",' in own_part


def test_a_sealed_latent_is_sealed_even_where_the_run_holds_its_examples(run: Path) -> None:
    """The pages do not rely on the run having left them out."""
    found = next(
        latent
        for latent in latents_of(run)
        if latent.sae.info.slug == TRANSCODER and latent.blind == "redacted"
    )
    assert found.index in open_run(run).table("examples", TRANSCODER)["latent"].to_pylist()
    assert all(len(found.rows(table)) == 0 for table in REVEALING)
    made = {name for name, panel in PANELS.items() if panel.build(found)}
    assert not made & {name for name, panel in PANELS.items() if panel.reveals_text}
    assert {"influences", "components", "through_heads", "logits"} <= made
    examples = PANELS["influences"].build(found)[-1]["examples"]
    assert [where for _, where, _ in examples] == [None] * 4


def test_what_quotes_a_token_spoils(tmp_path: Path) -> None:
    shape = Shape(d_sae=32, n_chosen=6, n_sequences=30, n_vocabulary=700, list_length=1, n_dead=1)
    write_run(tmp_path / "run", shape)
    found = [doubt for latent in latents_of(tmp_path / "run") for doubt in warnings(latent)]
    assert any(doubt.reveals_text for doubt in found)
    assert all(doubt.reveals_text == ("is on the token" in doubt.text) for doubt in found)


def test_the_table_does_not_spoil(run: Path, report: Path) -> None:
    rows = rows_of(report)
    assert {row[0] for row in rows.values() if len(row) == 10} == {
        latent_at(run, 3),
        latent_at(run, 5),
    }
    for place in (3, 5):
        row = rows[latent_at(run, place)]
        assert (row[3], row[5], row[9]) == ("", "", 1)
        assert row[4]
        assert row[1] > 0
    assert rows[latent_at(run, 4)][5].startswith("secret phrase")
    html = (report / TRANSCODER / "index.html").read_text("utf-8")
    soup = BeautifulSoup(html, "html.parser")
    shown = {int(r.th.text): r.select_one(".c-tokens").text for r in soup.select("#rows tr")}  # type: ignore[union-attr]
    assert [shown[latent_at(run, place)] for place in (3, 5)] == ["blind", "blind"]
    assert shown[latent_at(run, 4)] != "blind"
    assert secret_of(run, latent_at(run, 3)).removesuffix(" <b>") not in soup.text


def test_quick_lists_leave_blind_latents_out(run: Path, report: Path) -> None:
    soup = BeautifulSoup((report / RESIDUAL / "index.html").read_text("utf-8"), "html.parser")
    (link,) = [a["href"] for a in soup.select("a") if "quick-list" in str(a["href"])]
    assert f"%22index%22%3A%22{latent_at(run, 4, RESIDUAL)}%22" not in link
    assert f"%22index%22%3A%22{latent_at(run, 5, RESIDUAL)}%22" in link


def test_the_report_names_what_spoils_and_its_run(report: Path) -> None:
    text = (report / "report.js").read_text("utf-8")
    record = json.loads(text.split("push(", 1)[1].rstrip().removesuffix(");"))
    assert record["fingerprint"] == open_run(report).info.fingerprint[:12]
    hidden = [p["name"] for p in record["panels"] if p.get("reveals_text")]
    assert hidden == ["examples", "intervened", "tokens", "raw-text"]


def test_the_same_bytes_twice(report: Path, tmp_path: Path) -> None:
    render(report, tmp_path / "again")
    assert contents(tmp_path / "again") == contents(report)


def test_no_page_has_rows_that_reveal_a_blinded_latent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a part, a panel of a prompt or an undeclared panel reads, it gets no such row."""
    read: dict[str, list[int]] = {}

    def undeclared(latent: LatentView) -> list[Block]:
        rows = latent.rows("explanations")
        if len(rows) and latent.sae.info.slug == TRANSCODER:
            read.setdefault("panel", []).append(latent.index)
        return []

    def of_prompt(view: PromptView) -> list[Block]:
        return told("prompt", view.names.report)

    def told(what: str, report: ReportModel) -> list[Block]:
        table = report.run.table("explanations", TRANSCODER, columns=["text"])
        assert table.column_names == ["text"]
        read[what] = report.run.table("explanations", TRANSCODER)["latent"].to_pylist()
        sae = next(sae for sae in report.saes if sae.info.slug == TRANSCODER)
        band = read_band(sae, 0, sae.info.d_sae)
        found = [LatentView(sae, index, band) for index in sae.shards.latents]
        read[f"latents of {what}"] = [i.index for i in found if len(i.rows("explanations"))]
        revealing = [panel for panel in PANELS.values() if panel.reveals_text]
        assert shown_panels(report, revealing, found[3]) == []
        assert shown_panels(report, revealing, found[4]) != []
        return [{"b": "text", "lines": table["text"].to_pylist()}]

    def items(report: ReportModel) -> Iterator[Item]:
        told("part", report)
        return iter(())

    monkeypatch.setitem(PANELS, "undeclared", Panel("undeclared", "", (), undeclared))
    monkeypatch.setitem(
        PROMPT_PANELS, "of_prompt", Panel("of_prompt", "", (), of_prompt, about="prompt")
    )
    monkeypatch.setitem(registry._PARTS, "told", Part("told", items, order=15))
    run = tmp_path / "run"
    write_run(run, SMALL, examples_extra(), blind_extra(choose), prompts)
    render(run, tmp_path / "report")
    shown = open_run(run).latents(TRANSCODER)
    open_ = [latent for place, latent in enumerate(shown) if place not in (3, 5)]
    labelled = set(open_run(run).table("explanations", TRANSCODER)["latent"].to_pylist())
    assert {shown[3], shown[5]} <= labelled
    assert {"panel", "part", "prompt", "latents of part", "latents of prompt"} == set(read)
    for latents in read.values():
        assert sorted(set(latents)) == [latent for latent in open_ if latent in labelled]
