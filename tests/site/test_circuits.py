from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from bs4 import BeautifulSoup

from saereport.run import RunWriter, open_run
from saereport.run.kinds import Latent, Prompt, SaeName, Text
from saereport.run.table import Column, Table, listed
from saereport.site import numbers, render, report_of
from saereport.site.blocks import Block, merged
from saereport.site.circuits.agreement import correlation
from saereport.site.circuits.prompts_data import read_prompts
from saereport.site.circuits.view import PromptView
from saereport.site.panels import PROMPT_PANELS, Panel
from saereport.util.visible import visible_text
from tests.site.test_render import check_link, pages
from tests.synthetic import Shape, write_run
from tests.synthetic_circuits import NAMES, prompts

SHAPE = Shape(
    d_sae=64, n_chosen=16, n_sequences=60, n_vocabulary=900, hostile=True, n_saes=3, list_length=4
)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("circuits") / "run"
    write_run(path, SHAPE, prompts)
    return path


@pytest.fixture(scope="module")
def report(run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("circuits-report") / "report"
    render(run_dir, out, shard_size=8)
    return out


def soup(report: Path, name: str) -> BeautifulSoup:
    return BeautifulSoup((report / "circuits" / name).read_text("utf-8"), "html.parser")


def record(path: Path) -> Any:
    text = path.read_text("utf-8")
    return json.loads(text.split("push(", 1)[1].rstrip().removesuffix(");"))


def blocks(report: Path, name: str) -> dict[str, Block]:
    """The blocks that the browser draws on a prompt's page, whole, by their key."""
    found = record(report / "circuits" / f"{name}.js")
    assert found["page"] == f"circuits/{name}.html"
    return {key: merged(block) for key, block in found["blocks"]}


def maps(report: Path, name: str) -> dict[str, Block]:
    return {key: b for key, b in blocks(report, name).items() if key.startswith("maps.")}


def test_the_index_names_every_prompt(report: Path) -> None:
    page = soup(report, "index.html")
    assert [a.text for a in page.select(".c-prompt h2 a")] == [visible_text(n) for n in NAMES]
    assert "rank 4, 5 %" in page.select(".c-prompt")[0].text
    assert all(" drives " in item.text for item in page.select(".c-prompt"))
    assert "40 prompts used, 2 skipped" in page.text


def test_every_link_of_the_circuits_resolves(report: Path) -> None:
    for path in pages(report / "circuits"):
        for tag, name in (("a", "href"), ("link", "href"), ("script", "src")):
            for found in BeautifulSoup(path.read_text("utf-8"), "html.parser").find_all(tag):
                check_link(path, str(found.get(name, "")), report)


def test_hostile_names_and_tokens_stay_text(report: Path) -> None:
    for path in pages(report / "circuits"):
        text = path.read_text("utf-8")
        page = BeautifulSoup(text, "html.parser")
        assert all(s.get("src") and not s.text for s in page.find_all("script"))
        assert not [t for t in page.find_all(True) if any(k.startswith("on") for k in t.attrs)]
        assert not [t for t in page.find_all(True) if "style" in t.attrs]
        assert not page.find_all(["style", "iframe", "object", "img"])
        assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", text)
    for path in (report / "circuits").glob("*.js"):
        assert not set(path.read_text("utf-8").split("push(", 1)[1]) & set("<>&\u2028\u2029")


def test_counts_and_strongest_pairs_are_in_the_html(report: Path, run_dir: Path) -> None:
    rows = [r for r in open_run(run_dir).table("gradients").to_pylist() if r["prompt"] == 0]
    page = soup(report, "prompt-0.html")
    folds = page.select("#maps .unfold")
    drawn = maps(report, "prompt-0")
    assert len(folds) == len(drawn) == 9
    assert "181 later latents active in the true run, 179 with" in folds[3].text
    assert "8 in one but not both" in folds[3].text
    assert "the 12 strongest of 15 outputs looked at; the others hold 10 % of" in folds[3].text
    assert "50 % of the absolute gradient of the 12 outputs looked at" in folds[3].text
    info = open_run(run_dir).info
    slugs = {visible_text(sae.label): sae.slug for sae in info.saes}
    for box, data in zip(folds, drawn.values(), strict=True):
        ends = box.select_one("summary b").text.split(" → ")  # type: ignore[union-attr]
        early, late = (slugs.get(end, "") for end in ends)
        own = [r for r in rows if (r["early"], r["late"]) == (early, late)]
        cross = [r for r in own if r["early_position"] != r["late_position"]]
        tables = box.select("table")
        shown = [r.find_all("td")[3].text for r in tables[0].select("tbody tr")]
        assert shown == [numbers.value(r["gradient"]) for r in cross[:8]]
        assert data["value"] == pytest.approx([r["gradient"] for r in own], rel=1e-3)
        places = [data["rows"][i] for i in data["y"]]
        assert [position for _, position in places] == [r["late_position"] for r in own]
        named = [data["names"]["rows"][name]["text"] for name, _ in places]
        if late:
            assert [int(name.rsplit(".", 1)[1]) for name in named] == [
                r["late_latent"] for r in own
            ]


def test_the_checks_state_their_correlation(report: Path, run_dir: Path) -> None:
    rows = [r for r in open_run(run_dir).table("gradient_checks").to_pylist() if r["prompt"] == 0]
    page = soup(report, "prompt-0.html")
    said = page.select_one("#checks .summary")
    assert said is not None
    opposite = sum(r["predicted"] * r["measured"] < 0 for r in rows)
    assert f"{len(rows)} edges" in said.text
    assert f"{opposite} have the opposite sign" in said.text
    # Gradients of latents and of logits have different scales: never one r over all.
    pairs = {(r["early"], r["late"]) for r in rows}
    table = [[cell.text for cell in row(["th", "td"])] for row in page.select("#checks tbody tr")]
    assert len(table) == len(pairs)
    expected = set()
    for place in pairs:
        own = [r for r in rows if (r["early"], r["late"]) == place]
        r = np.corrcoef([r["predicted"] for r in own], [r["measured"] for r in own])[0, 1]
        expected.add(f"{r:.3f}".replace("-", numbers.MINUS))
    assert {row[2] for row in table} == expected
    assert correlation([(1.0, 2.0), (1.0, 3.0)]) is None


def test_what_is_drawn_has_the_form_of_its_kind(report: Path) -> None:
    seen = set()
    for number in range(3):
        page = soup(report, f"prompt-{number}.html")
        found = blocks(report, f"prompt-{number}")
        assert {figure["data-block"] for figure in page.select("[data-block]")} == set(found)
        for key, block in found.items():
            seen.add((key.split(".")[0], block["b"]))
            for view in block.get("views", ()):
                assert len(view["z"]) == len(view["rows"])
                assert {len(line) for line in view["z"]} == {len(view["columns"])}
            if "x" in block and block["b"] == "heatmap":
                assert max(block["x"]) < len(block["columns"])
                assert max(block["y"]) < len(block["rows"])
                assert sorted(map(abs, block["value"]), reverse=True) == [
                    abs(v) for v in block["value"]
                ]
    assert seen == {
        ("activations", "lines"),
        ("maps", "heatmap"),
        ("checks", "scatter"),
        ("induction", "heatmap"),
        ("heads", "heatmap"),
        ("patterns", "heatmap"),
        ("components", "heatmap"),
    }


def test_induction_outlines_the_expected_cells(report: Path) -> None:
    outlined = 0
    for view in blocks(report, "prompt-2")["induction.1"]["views"]:
        positions = {
            side: [int(name.rsplit(" · ", 1)[1]) for name in view[side]]
            for side in ("columns", "rows")
        }
        cells = {(x, y) for x, y in view["outlined"]}
        assert cells == {
            (i, j)
            for i, early in enumerate(positions["columns"])
            for j, late in enumerate(positions["rows"])
            if early == late - 5 + 1
        }
        outlined += len(cells)
    assert outlined > 0
    for block in maps(report, "prompt-2").values():
        assert all(early == late - 5 + 1 for early, late in block["outlined"])
    assert "9 latents are active on every counted position" in soup(report, "prompt-2.html").text


def test_notes_and_an_empty_map_are_said(report: Path) -> None:
    page = soup(report, "prompt-1.html")
    assert [n.text for n in page.select(".c-note")] == [
        "The answer has 2 tokens; the first is used.",
        "<b>pair</b>: wrong order",
    ]
    assert "No pair has a gradient." in page.text


def test_much_data_is_in_scripts_of_its_own(
    run_dir: Path, report: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("saereport.site.shown.SPLIT_AT", 4000)
    render(run_dir, tmp_path / "out", shard_size=8)
    whole = dict(record(report / "circuits" / "prompt-0.js")["blocks"])
    split = dict(record(tmp_path / "out" / "circuits" / "prompt-0.js")["blocks"])
    assert split.keys() == whole.keys()
    apart = {key: block["load"] for key, block in split.items() if "load" in block}
    assert apart
    assert len(apart) < len(whole)
    for key, path in apart.items():
        assert path == f"circuits/prompt-0/{key}.js"
        part = record(tmp_path / "out" / path)
        assert part == {
            "kind": "block",
            "page": "circuits/prompt-0.html",
            "id": key,
            "block": [whole[key]],
        }
    left = [block for key, block in split.items() if key not in apart]
    assert sum(len(json.dumps(block)) for block in left) < 5000


def test_a_panel_may_read_a_table_that_is_not_about_prompts(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def means(view: PromptView) -> list[Block]:
        assert view.rows("prompt_next")
        assert view.rows("pair_means") == []
        n = view.names.report.run.table("pair_means").num_rows
        return [{"b": "text", "text": f"{n} means of all prompts"}]

    panel = Panel("means", "Means", ("prompt_next", "pair_means"), means, about="prompt")
    monkeypatch.setitem(PROMPT_PANELS, "means", panel)
    render(run_dir, tmp_path / "report")
    found = soup(tmp_path / "report", "prompt-0.html").select_one("#means")
    assert found is not None
    n = open_run(run_dir).table("pair_means").num_rows
    assert f"{n} means of all prompts" in found.text


def test_a_panels_table_may_call_its_prompts_as_it_likes(tmp_path: Path) -> None:
    columns = (Column("question", pa.int32(), Prompt()), Column("note", pa.string(), Text()))
    known: dict[str, Any] = {"scope": "run", "about": "prompt", "title": "Q", "definition": "Q."}
    table = Table("questions", key=("question",), columns=columns, plugin="lab", **known)

    def write(writer: RunWriter, shape: Shape, shown: dict[str, Any]) -> None:
        prompts(writer, shape, shown)
        writer.write(table, {"question": [1], "note": ["why"]})

    write_run(tmp_path / "run", SHAPE, write)
    report = report_of(open_run(tmp_path / "run"))
    found = read_prompts(report, ["questions"])
    notes = [[row["note"] for row in one.rows["questions"]] for one in found]
    assert notes == [[], ["why"], []]


def test_latents_are_known_by_what_columns_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by what the columns are called: a latent that only such a table names has its gloss."""
    columns = (
        Column("question", pa.int32(), Prompt()),
        Column("where", pa.string(), SaeName()),
        Column("ones", listed(pa.int32()), Latent(of="where")),
    )
    known: dict[str, Any] = {"scope": "run", "about": "prompt", "title": "Q", "definition": "Q."}
    table = Table("questions", key=("question", "where"), columns=columns, plugin="lab", **known)
    found: list[str] = []

    def write(writer: RunWriter, shape: Shape, shown: dict[str, Any]) -> None:
        prompts(writer, shape, shown)
        where = sorted(shown)
        ones = [np.asarray(shown[slug], np.int32) for slug in where]
        writer.write(table, {"question": [1] * 3, "where": where, "ones": ones})

    def build(view: PromptView) -> list[Block]:
        for row in view.rows("questions"):
            found.extend(view.names.gloss(row["where"], latent) for latent in row["ones"])
        return []

    panel = Panel("questions", "Q", ("questions",), build, about="prompt")
    monkeypatch.setitem(PROMPT_PANELS, "questions", panel)
    shape = replace(SHAPE, hostile=False, explanations=("what it is",))
    write_run(tmp_path / "run", shape, write)
    render(tmp_path / "run", tmp_path / "report")
    assert len(found) == 3 * SHAPE.n_chosen
    assert all(found)


def test_two_renders_are_byte_identical(run_dir: Path, report: Path, tmp_path: Path) -> None:
    render(run_dir, tmp_path / "out", shard_size=8)

    def sums(folder: Path) -> dict[str, str]:
        files = sorted((folder / "circuits").iterdir())
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    assert sums(tmp_path / "out") == sums(report)
    assert len(sums(report)) == 7
