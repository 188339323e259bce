"""Pages of the logit lens of whole dictionaries: what stands there is what the run holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saereport.publish import check
from saereport.report.extracting import extract
from saereport.report.rendering import render as render_as
from saereport.run import Run, open_run
from saereport.run.lens import SIGNIFICANT, kinds_of, moments_of
from saereport.site import lens, numbers, render, report_of
from saereport.site.clouds import STEPS, Axis, axis_record, cloud
from saereport.site.lens import SET_NAMES, panels_of, set_name, set_rows
from saereport.site.packing import unpack
from saereport.sources.token_sets import BUILT_IN
from tests.site.reading import cells, soup
from tests.synthetic import Shape, write_run
from tests.synthetic_lens import OWN, SETS, N, lenses

SHAPE = Shape(d_sae=48, n_chosen=6, n_sequences=20, n_vocabulary=700, n_saes=3, hostile=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three SAEs, of which the last was not measured, with hostile tokens."""
    folder = tmp_path_factory.mktemp("lens")
    write_run(folder / "run", SHAPE, lenses(without=(2,)))
    return open_run(folder / "run")


def drawn(report: Path, slug: str) -> dict[str, Any]:
    """The blocks of a page's data, by kind."""
    text = (report / "lens" / f"of-{slug}.js").read_text("utf-8")
    data = json.loads(text[text.index(".push(") + 6 : text.rindex(")")])
    return {block["b"]: block for _, block in data["blocks"]}


def value_of(axis: dict[str, Any], place: int) -> float:
    """As `scripts/blocks/cloud.js` reads a place."""
    at = axis["low"] + (place - 1) / STEPS * (axis["high"] - axis["low"])
    return 10**at if axis["log"] else at


def test_the_drawing_has_every_latent_within_a_step(run: Run, report: Path) -> None:
    slug = run.info.saes[0].slug
    block, columns = drawn(report, slug)["cloud"], moments_of(run, slug)
    assert (block["n"], block["latents"]) == (48, [])
    axes = {axis["name"]: axis for axis in block["axes"]}
    for name, column in (
        ("skewness", "skewness"),
        ("excess kurtosis", "kurtosis"),
        ("standard deviation", "std"),
    ):
        axis = axes[name]
        found = [value_of(axis, place) for place in unpack(axis["values"])]
        step = (axis["high"] - axis["low"]) / STEPS
        assert not axis["log"]
        np.testing.assert_allclose(found, columns[column], atol=step)
    active = run.table("sae_activity", slug).column("n_active").to_numpy()
    places = np.array(unpack(axes["density"]["values"]))
    assert ((places > 0) == (active > 0)).all()
    kinds = kinds_of(columns["std"], columns["skewness"], columns["kurtosis"])
    assert {g["name"]: unpack(g["rows"]) for g in block["groups"]} == {
        name: np.flatnonzero(rows).tolist() for name, rows in kinds.items()
    }
    assert [row for row, _ in block["shown"]] == list(run.latents(slug))
    said = soup(report / "lens" / f"of-{slug}.html").select_one("#shape .summary")
    text = " ".join(p.get_text() for p in soup(report / "lens" / f"of-{slug}.html")("p"))
    assert said is not None
    assert f"{int(kinds['prediction'].sum())} prediction" in text
    assert "Gurnee" in text


@given(
    st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("nan"))), min_size=1, max_size=40),
    st.booleans(),
)
def test_an_axis_keeps_numbers_to_a_step_of_it(values: list[float], log: bool) -> None:
    axis = axis_record(Axis("x", np.array(values), log=log))
    places = unpack(axis["values"])
    step = (axis["high"] - axis["low"]) / STEPS
    for value, place in zip(values, places, strict=True):
        if np.isnan(value) or (log and value <= 0):
            assert place == 0
            continue
        at = axis["low"] + (place - 1) / STEPS * (axis["high"] - axis["low"])
        assert abs(at - (np.log10(value) if log else value)) <= 0.51 * step + 1e-9


def test_every_built_in_set_has_a_name() -> None:
    assert set(SET_NAMES) == set(BUILT_IN)


def test_a_sample_of_latents_says_which() -> None:
    block = cloud("sae", np.array([2, 5, 9]), [Axis("x", np.arange(3.0))], [(0, 0)], summary="")
    assert block["latents"] == [2, 5, 9]
    assert cloud("sae", np.arange(3), [], [], summary="")["latents"] == []


def test_25_000_latents_are_few_hundred_kilobytes() -> None:
    n, rng = 25_000, np.random.default_rng(0)
    axes = [Axis(name, rng.gamma(2, size=n)) for name in "abcd"]
    block = cloud("sae", np.arange(n), axes, [(0, 1)], summary="")
    assert sum(len(axis["values"]) for axis in block["axes"]) <= 8 * n


def test_lists_of_the_extremes_are_those_of_the_run(run: Run, report: Path) -> None:
    slug = run.info.saes[1].slug
    page = soup(report / "lens" / f"of-{slug}.html")
    for kind in ("prediction", "suppression", "partition"):
        rows = [r for r in run.table("lens_extremes", slug).to_pylist() if r["kind"] == kind]
        (table,) = page.select(f"#{kind} table")
        _, *found = cells(table)
        assert [row[0] for row in found] == [str(row["latent"]) for row in rows]
        linked = {a.get_text() for a in table.select("a")}
        assert linked == {row[0] for row in found} & {str(i) for i in run.latents(slug)}


def test_the_heatmap_marks_what_is_significant(run: Run, report: Path) -> None:
    slug = run.info.saes[0].slug
    block = drawn(report, slug)["heatmap"]
    (view,) = block["views"]
    names = [row["set"] for row in set_rows(report_of(run)) if row["n_permutations"]]
    assert names[0] == OWN
    assert view["columns"] == [set_name(name) for name in names]
    rows = {(r["latent"], r["set"]): r for r in run.table("token_set_scores", slug).to_pylist()}
    outlined = {tuple(pair) for pair in view["outlined"]}
    for y, latent in enumerate(view["rows"]):
        for x, name in enumerate(names):
            row = rows[int(latent), name]
            assert view["z"][y][x] * view["unit"] == pytest.approx(row["score"], abs=0.0051)
            assert ((x, y) in outlined) == (row["corrected"] <= SIGNIFICANT)


def test_the_sets_are_told_with_their_tests(run: Run, report: Path) -> None:
    slug = run.info.saes[0].slug
    page = soup(report / "lens" / f"of-{slug}.html")
    (table,) = page.select("#sets table")
    counts = {row["set"]: row for row in run.table("token_set_counts", slug).to_pylist()}
    for row in cells(table)[1:]:
        name = next(n for n in SETS if set_name(n) == row[0])
        assert row[1:4] == [
            str(SETS[name]),
            str(counts[name]["n_raised"]),
            str(counts[name]["n_lowered"]),
        ]
    said = page.select_one("#sets .summary")
    assert said is not None
    assert f"{N} random sets" in said.get_text()
    assert numbers.value(1 / (N + 1)) in said.get_text()
    assert f"corrected for {6 * 4} tests (Benjamini-Hochberg)" in said.get_text()


def test_the_page_of_all_saes_names_sets_and_what_is_missing(run: Run, report: Path) -> None:
    page = soup(report / "lens" / "index.html")
    (saes,) = page.select("#saes table")
    assert [row[0] for row in cells(saes)[1:]] == [sae.info.label for sae in report_of(run).saes]
    assert "not measured: the run does not hold it" in cells(saes)[3][1]
    (sets,) = page.select("#sets table")
    head, first, *others = cells(sets)
    assert head[-1] == "words that are no single token"
    assert first[0] == f"{OWN} your own"
    assert first[-1] == "<i>no</i> token"
    assert [row[2] for row in others] == ["yes", "yes", "yes", "no, too few"]
    assert not page.select("#sets b, #sets i")


def test_a_latent_has_its_significant_sets(run: Run, report: Path) -> None:
    slug = run.info.saes[0].slug
    text = next((report / slug).glob("d0000.js")).read_text("utf-8")
    data = json.loads(text[text.index(".push(") + 6 : text.rindex(")")])
    rows = run.table("token_set_scores", slug).to_pylist()
    for record in data["latents"]:
        (blocks,) = [blocks for name, blocks in record["panels"] if name == "token_sets"]
        found = [
            row
            for row in rows
            if row["latent"] == record["latent"] and row["corrected"] <= SIGNIFICANT
        ]
        if not found:
            assert blocks[0]["text"] == "None of 4 sets of tokens stands apart."
            continue
        found.sort(key=lambda row: (-abs(row["score"]), row["set"]))
        assert [row[0] for row in blocks[0]["rows"]] == [set_name(row["set"]) for row in found]


def test_without_sets_and_with_some_latents_pages_are_whole(tmp_path: Path) -> None:
    shape = Shape(d_sae=48, n_chosen=6, n_sequences=20, n_vocabulary=700)
    write_run(tmp_path / "run", shape, lenses(every=False, sets=False))
    render(tmp_path / "run", tmp_path / "report")
    run = open_run(tmp_path / "run")
    (slug,) = (sae.slug for sae in run.info.saes)
    page = soup(tmp_path / "report" / "lens" / f"of-{slug}.html")
    assert not page.select("#sets, #latents")
    n = len(moments_of(run, slug)["latent"])
    assert f"{n} of the SAE's 48 latents, evenly spaced," in page.get_text()
    assert len(drawn(tmp_path / "report", slug)["cloud"]["latents"]) == n
    assert check(tmp_path / "report") == ()
    (sae,) = report_of(run).saes
    assert len(panels_of(sae)) == 6


def test_of_very_many_latents_evenly_spaced_ones_are_drawn(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lens, "MOST_DRAWN", 10)
    monkeypatch.setattr(lens, "MOST_NOTED", 3)
    monkeypatch.setattr(lens, "MOST_ROWS", 4)
    sae = report_of(run).saes[0]
    *_, block = lens.shape(sae)
    shown = set(run.latents(sae.info.slug))
    assert set(block["latents"]) >= shown
    assert block["n"] == len(block["latents"]) <= 10 + len(shown)
    assert f"{block['n']} of them are drawn, evenly spaced." in block["summary"]
    assert "All 48 latents" in block["summary"]
    assert {label for _, label in block["shown"]} == {""}
    (heat,) = lens.heatmap(sae)
    assert len(heat["views"][0]["rows"]) == 4
    assert "The 4 of 6 latents" in heat["summary"]


def test_one_file_and_a_cut_have_the_pages(run: Run, report: Path, tmp_path: Path) -> None:
    assert check(report) == ()
    render_as(run.path, tmp_path / "one.html", single_file=True)
    assert "Latents by token set" in (tmp_path / "one.html").read_text("utf-8")
    slug = run.info.saes[0].slug
    latent = run.latents(slug)[0]
    extract(report, tmp_path / "cut", latents=[f"{slug}:{latent}"])
    page = soup(tmp_path / "cut" / "lens" / f"of-{slug}.html")
    links = {a.get_text().split(" (")[0] for a in page.select("#sets a")}
    assert links <= {str(latent), "What is this?"}
