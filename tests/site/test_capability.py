"""Pages of capability tests: what stands in the HTML is what the run holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from saereport.publish import check
from saereport.report.extracting import extract
from saereport.report.rendering import render as render_as
from saereport.run import Run, open_run
from saereport.run.capability import scores_of
from saereport.site import capability, numbers, report_of
from saereport.site.capability import figure_cell
from saereport.site.jsonwriter import number_in_data
from tests.diff.edited import edited
from tests.site.reading import cells, soup
from tests.synthetic import Shape, write_run
from tests.synthetic_capability import SETS, capability_tests

SHAPE = Shape(d_sae=32, n_chosen=4, n_sequences=20, n_vocabulary=700, n_saes=3, hostile=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three SAEs, of which the last has no tests, with hostile tokens."""
    folder = tmp_path_factory.mktemp("capability")
    write_run(folder / "run", SHAPE, capability_tests(without=(2,)))
    return open_run(folder / "run")


def words(cell: Any) -> str:
    return cell if isinstance(cell, str) else f"{cell['text']} {cell.get('gloss', '')}".strip()


def test_the_page_of_all_saes_has_every_figure(run: Run, report: Path) -> None:
    page = soup(report / "capability" / "index.html")
    slugs = [sae.slug for sae in run.info.saes][:2]
    for anchor, metric in (("accuracy", "accuracy"), ("difference", "logit_difference")):
        (table,) = page.select(f"#{anchor} table")
        head, model, *rows = cells(table)
        sets = [name for name in (*SETS, "all") if metric == "accuracy" or name != SETS[2]]
        assert head[1:] == [capability.set_name(name) for name in sets]
        assert model[0] == "the model itself"
        for slug, place in zip(slugs, (0, 2), strict=True):
            scores = scores_of(run, slug)
            assert model[1:] == [
                words(figure_cell(scores[name, "original", metric])) for name in sets
            ]
            for kind, row in zip(("spliced", "zero"), rows[place : place + 2], strict=True):
                assert row[1:] == [words(figure_cell(scores[name, kind, metric])) for name in sets]
        assert len(rows) == 4
    assert [a.text for a in page.select("nav.nav a")][:2] == ["Overview", "Evaluation"]


def test_what_is_drawn_is_the_difference_to_the_model(run: Run) -> None:
    (block,) = capability.change(report_of(run))
    slug = run.info.saes[1].slug
    scores = scores_of(run, slug)
    accuracy, difference = block["views"]
    expected = [
        scores[name, "spliced", "accuracy"].value - scores[name, "original", "accuracy"].value
        for name in (*SETS, "all")
    ]
    assert accuracy["z"][1] == pytest.approx(expected)
    assert len(difference["columns"]) == 3
    assert number_in_data(accuracy["z"][1][0]) == pytest.approx(expected[0], rel=1e-3)


def test_the_page_of_an_sae_has_its_sets_and_says_why_there_are_none(
    run: Run, report: Path
) -> None:
    one, _, last = (sae.slug for sae in run.info.saes)
    panel = soup(report / one / "index.html").select_one("#capability")
    assert panel is not None
    accuracy, difference = (cells(table) for table in panel("table"))
    assert accuracy[0] == ["set", "prompts", "model", "with the SAE", "zero ablation"]
    assert [row[:2] for row in accuracy[1:]] == [
        ["Capitals", "12"],
        ["Subject-verb agreement", "12"],
        ["of my own", "4"],
        ["All prompts", "28"],
    ]
    figure = scores_of(run, one)["capitals", "spliced", "accuracy"]
    assert accuracy[1][3] == words(figure_cell(figure))
    assert [row[1] for row in difference[1:]] == ["12", "12", "24"]
    missing = soup(report / last / "index.html").select_one("#capability")
    assert missing is not None
    assert "Not measured: the run does not hold it." in missing.text
    assert not (report / "capability" / f"of-{last}.html").exists()


def test_every_prompt_is_on_the_page_of_prompts(run: Run, report: Path) -> None:
    slug = run.info.saes[0].slug
    page = soup(report / "capability" / f"of-{slug}.html")
    rows = run.table("capability_prompts", slug).to_pylist()
    tables = [panel("table") for panel in page.select("section.panel")]
    assert [len(cells(of[0])) - 1 for of in tables] == [12, 12, 4]
    head, first, *_ = cells(tables[0][0])
    assert head == ["prompt", "answer", "wrong", "model", "with the SAE", "zero ablation"]
    assert first[3:] == [
        f"{row['rank']} {numbers.percent(row['probability'])}; {row['difference'][0]:.2f}".replace(
            "-", numbers.MINUS
        )
        for row in rows[:3]
    ]
    # Without a wrong answer there is no difference, and what was used of the answer is said.
    head, first, *_ = cells(tables[2][0])
    assert head == ["prompt", "answer", "model", "with the SAE", "zero ablation"]
    assert ";" not in "".join(first[2:5])
    assert first[0].endswith("(7), is followed.")
    listed = cells(tables[0][1])
    assert [row[1] for row in listed[1:4]] == ["model", "with the SAE", "zero ablation"]
    assert listed[1][2].count("·") == 9


def test_hostile_tokens_stay_text(run: Run, report: Path) -> None:
    for path in (report / "capability").glob("*.html"):
        page = soup(path)
        assert not page.select("main script, main img, main svg, main [onload]")
        assert "\u202e" not in path.read_text("utf-8")
    assert check(report) == ()


def test_long_sets_are_cut_and_say_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capability, "MOST_PROMPTS", 5)
    sae = report_of(run).saes[0]
    first = next(iter(capability.prompt_panels(sae)))
    table, listed = first.build(sae)
    assert len(table["rows"]) == 5
    assert len(listed["rows"]) == 15
    assert table["summary"].endswith("The first 5 of 12 prompts.")


def test_one_file_and_a_cut_have_them_too(run: Run, report: Path, tmp_path: Path) -> None:
    single = render_as(run.path, tmp_path / "one.html", single_file=True).path
    paths = [section["data-path"] for section in soup(single).select("section[data-path]")]
    slug = run.info.saes[0].slug
    assert {"capability/index.html", f"capability/of-{slug}.html"} <= set(paths)
    latent = run.latents(slug)[0]
    extract(report, tmp_path / "cut", latents=[f"{slug}:{latent}"])
    assert (tmp_path / "cut" / "capability" / f"of-{slug}.html").is_file()


def test_a_run_without_wrong_answers_has_no_differences(run: Run, tmp_path: Path) -> None:
    def alone(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        keep = [i for i, metric in enumerate(columns["metric"]) if metric != "logit_difference"]
        return {name: [column[i] for i in keep] for name, column in columns.items()}

    slugs = [sae.slug for sae in run.info.saes][:2]
    edited(run.path, tmp_path / "run", {("capability_sets", slug): alone for slug in slugs})
    model = report_of(open_run(tmp_path / "run"))
    assert capability.compared(model, "logit_difference") == []
    assert [view["label"] for view in capability.change(model)[0]["views"]] == ["accuracy"]
    assert len(capability.summary(model.saes[0])) == 2
