"""Pages of sparse probing: what stands in the HTML is what the run holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from saereport.publish import check
from saereport.report.rendering import render as render_as
from saereport.run import Run, open_run
from saereport.site import probing, report_of
from tests.site.reading import cells, soup
from tests.synthetic import Shape, write_run
from tests.synthetic_probing import probes

SHAPE = Shape(d_sae=32, n_chosen=4, n_sequences=20, n_vocabulary=700, n_saes=3, hostile=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three SAEs, of which the last has no probes, with a hostile label and hostile tokens."""
    folder = tmp_path_factory.mktemp("probing")
    write_run(folder / "run", SHAPE, probes(without=(2,)))
    return open_run(folder / "run")


def words(cell: Any) -> str:
    return cell if isinstance(cell, str) else f"{cell['text']} {cell.get('gloss', '')}".strip()


def test_every_score_is_on_the_page_of_all_saes(run: Run, report: Path) -> None:
    page = soup(report / "probing" / "index.html")
    tasks = run.table("probing_tasks").to_pylist()
    assert len(tasks) == 4
    for place, task in enumerate(tasks):
        accuracy, balanced, auc = page.select(f"#concept-{place} table")
        for table, metric in ((accuracy, "accuracy"), (balanced, "balanced"), (auc, "auc")):
            head, *rows = cells(table)
            assert head[2:] == [
                *("1 latent", "3 latents", "all activations", "commoner class"),
                "labels shuffled",
            ]
            assert len(rows) == 2 * 2
            for sae, pair in zip(run.info.saes, (rows[:2], rows[2:]), strict=False):
                held = run.table("probing_scores", sae.slug).to_pylist()
                for pooling, row in zip(("mean", "max"), pair, strict=True):
                    by = {
                        (r["probe"], r["k"]): r
                        for r in held
                        if (r["task"], r["concept"], r["pooling"])
                        == (task["task"], task["concept"], pooling)
                    }
                    keys = [("latents", 1), ("latents", 3), ("activations", 0), ("majority", 0)]
                    keys.append(("shuffled", 3))
                    assert row[1:] == [
                        pooling,
                        *(words(probing.share_cell(by[key], metric)) for key in keys),
                    ]


def test_what_became_of_the_texts_is_said(run: Run, report: Path) -> None:
    table = soup(report / "probing" / "index.html").select("#all table")[0]
    head, *rows = cells(table)
    assert head[2:5] == ["texts with", "without", "held out"]
    tasks = run.table("probing_tasks").to_pylist()
    for row, task in zip(rows, tasks, strict=True):
        assert row[2:5] == [str(task[name]) for name in ("n_with", "n_without", "n_held_out")]
        assert row[5] == (
            "7 cut after 10 tokens; 2 there twice; 1 left out: two labels; "
            "1 left out: no token that counts"
        )


def test_the_latents_of_an_sae_stand_by_rank_with_links_to_those_shown(
    run: Run, report: Path
) -> None:
    sae = run.info.saes[0]
    page = soup(report / "probing" / f"of-{sae.slug}.html")
    rows = run.table("probing_latents", sae.slug).to_pylist()
    task = run.table("probing_tasks").to_pylist()[0]
    mine = sorted(
        (r for r in rows if r["concept"] == task["concept"] and r["pooling"] == "mean"),
        key=lambda r: r["rank"],
    )
    table = page.select("#concept-0 table")[0]
    assert [row[0] for row in cells(table)[1:]] == [str(r["latent"]) for r in mine]
    shown = report_of(run).shards[sae.slug].chosen
    linked = {a.get_text(): a["href"] for a in table.select("a")}
    assert set(linked) == {str(r["latent"]) for r in mine if r["latent"] in shown}
    assert linked
    for href in linked.values():
        assert (report / "probing" / href.split("#")[0]).is_file()
    assert all("»" in row[-1] for row in cells(table)[1:])


def test_the_page_of_an_sae_has_its_concepts_and_says_why_there_are_none(
    run: Run, report: Path
) -> None:
    one, _, last = (sae.slug for sae in run.info.saes)
    panel = soup(report / one / "index.html").select_one("#probing")
    assert panel is not None
    assert len(cells(panel("table")[0])) == 1 + 4
    missing = soup(report / last / "index.html").select_one("#probing")
    assert missing is not None
    assert "Not measured: the run does not hold it." in missing.text
    assert not (report / "probing" / f"of-{last}.html").exists()


def test_hostile_labels_and_tokens_stay_text(run: Run, report: Path) -> None:
    for path in (report / "probing").glob("*.html"):
        page = soup(path)
        assert not page.select("main script, main img, main svg, main [onload]")
        assert "\u202e" not in path.read_text("utf-8")
    assert "<img src=x" in soup(report / "probing" / "index.html").text
    assert check(report) == ()


def test_one_file_has_it_too(run: Run, tmp_path: Path) -> None:
    single = render_as(run.path, tmp_path / "one.html", single_file=True).path
    paths = [section["data-path"] for section in soup(single).select("section[data-path]")]
    assert "probing/index.html" in paths
