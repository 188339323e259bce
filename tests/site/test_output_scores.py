"""Pages of output scores: the table, the panel, the part, and what is left out of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from saereport.run import Run, open_run
from saereport.site import numbers, render
from saereport.site.output_scores import INDEX, stands_out
from tests.site.reading import soup
from tests.synthetic import Shape, write_run
from tests.synthetic_scores import output_scores

SHAPE = Shape(d_sae=32, n_chosen=6, n_sequences=20, n_vocabulary=700, n_saes=2, hostile=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("scores")
    write_run(folder / "run", SHAPE, output_scores)
    return open_run(folder / "run")


def test_the_table_of_latents_has_a_column_of_scores(run: Run, report: Path) -> None:
    slug = run.info.saes[0].slug
    page = soup(report / slug / "index.html")
    (head,) = page.select("th[data-sort='score']")
    assert "Output score" in head.abbr["title"]  # type: ignore[index]
    shown = [cell.get_text(strip=True) for cell in page.select("#rows td.c-score")]
    rows = run.table("output_scores", slug).to_pylist()
    assert shown == [numbers.value(round(row["score"], 4)) for row in rows]
    assert page.select("#score-from")
    data = (report / slug / "latents.js").read_text("utf-8")
    assert '"score"' in (report / "report.js").read_text("utf-8")
    assert ",0,0.5]" in data


def test_a_report_without_scores_has_neither_column_nor_page(tmp_path: Path) -> None:
    write_run(tmp_path / "run", SHAPE)
    render(tmp_path / "run", tmp_path / "report")
    slug = open_run(tmp_path / "run").info.saes[0].slug
    page = soup(tmp_path / "report" / slug / "index.html")
    assert not page.select("[data-sort='score'], .c-score, #score-from")
    assert not (tmp_path / "report" / INDEX).exists()
    assert "output-scores" not in (tmp_path / "report" / "index.html").read_text("utf-8")


def test_the_page_lists_latents_by_their_distance_to_the_controls(run: Run, report: Path) -> None:
    page = soup(report / INDEX)
    for place, sae in enumerate(run.info.saes):
        rows = run.table("output_scores", sae.slug).to_pylist()
        (table,) = page.select(f"#of-{place} table")
        lines = table.select("tbody tr")
        expected = sorted(rows, key=lambda row: -row["difference"])
        assert [line.select_one("th, td").get_text(strip=True) for line in lines] == [
            str(row["latent"]) for row in expected
        ]
        told = ["yes" in line.get_text(" ", strip=True).split() for line in lines]
        assert told == [stands_out(row) for row in expected]
        assert told[0]
        assert not told[-1]
        for line in lines:
            href = line.a["href"]  # type: ignore[index]
            assert (report / "output-scores" / str(href).partition("#")[0]).resolve().is_file()
    assert page.select("a[href$='methods.html#output_scores']")
    front = (report / "index.html").read_text("utf-8")
    assert f'href="{INDEX}"' in front


def test_hostile_tokens_stay_text(report: Path) -> None:
    html = (report / INDEX).read_text("utf-8")
    assert "<script>self.stolen" not in html
    assert "\u202e" not in html


def test_who_stands_out() -> None:
    row = {"percentile": 0.96, "difference": 0.1, "difference_interval": [0.01, 0.2]}
    assert stands_out(row)
    assert not stands_out({**row, "percentile": 0.94})
    assert not stands_out({**row, "difference_interval": [-0.01, 0.2]})
    assert stands_out({**row, "difference_interval": []})
    assert not stands_out({**row, "difference_interval": [], "difference": -0.1})
