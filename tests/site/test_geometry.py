"""Pages about geometry: what stands in the HTML is what the run holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from saereport.publish import check
from saereport.report.extracting import extract
from saereport.report.rendering import render as render_as
from saereport.run import Run, open_run
from saereport.site import geometry, numbers, report_of
from saereport.site.latent_pages import shards
from tests.site.reading import cells, soup
from tests.synthetic import Shape, write_run
from tests.synthetic_examples import blind_extra
from tests.synthetic_geometry import CHAINS, CLUSTERS, SPLITS
from tests.synthetic_geometry import geometry as tables

SHAPE = Shape(d_sae=64, n_chosen=8, n_sequences=20, n_vocabulary=700, n_saes=3, hostile=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("geometry")
    write_run(folder / "run", SHAPE, tables)
    return open_run(folder / "run")


def test_the_page_of_all_saes_has_each_pair_both_ways(run: Run, report: Path) -> None:
    page = soup(report / "geometry" / "index.html")
    _, *rows = cells(page.select_one("#matches table"))
    expected = [
        (sae.slug, row)
        for sae in run.info.saes
        for row in run.table("dictionary_matches", sae.slug).to_pylist()
    ]
    assert len(rows) == len(expected) == 4
    labels = {sae.slug: sae.label for sae in report_of(run).info.saes}
    by_names = {(row[0], row[1]): row for row in rows}
    for slug, row in expected:
        shown = by_names[labels[slug], labels[row["other"]]]
        assert shown[4:8] == [
            *(numbers.value(row[name]) for name in ("median", "chance_median", "chance_high")),
            numbers.percent(row["matched"]),
        ]
    assert "Geometry" in [a.text.strip() for a in page.select("nav a")]
    _, *clusters = cells(page.select_one("#clusters table"))
    assert len(clusters) == 3


def test_the_page_of_an_sae_has_its_clusters_splits_and_lonely_latents(
    run: Run, report: Path
) -> None:
    slug, other = (sae.slug for sae in run.info.saes[:2])
    page = soup(report / "geometry" / f"of-{slug}.html")
    places, *_ = page.select("#clusters table")
    rows = cells(places)
    assert len(rows) == CLUSTERS + 1
    stored = run.table("dictionary_clusters", slug).to_pylist()
    for shown, row in zip(rows[1:], stored, strict=True):
        assert shown[1] == numbers.count(row["size"])
        assert shown[4] == ", ".join(map(str, row["members"]))
        # Four of the members at least are shown, and have statistics of the text.
        n = len(set(row["members"]) & set(run.latents(slug)))
        source = ("active on them", n) if "active on them" in shown[3] else ("raised by", 7)
        assert row["tokens"] == [] or (source[0] in shown[3] and f"{source[1]} latents" in shown[3])
    (panel,) = page.select(f"#to-{other}")
    split = cells(panel.select("details.unfold table")[0])
    assert len(split) == 1 + (1 + 3) * SPLITS
    (matches,) = run.table("dictionary_matches", slug).to_pylist()
    lonely = cells(panel.select("details.unfold table")[1])
    assert [row[0].split(" ")[0] for row in lonely[1:]] == list(map(str, matches["unmatched"]))
    assert [row[1] for row in lonely[1:]] == [
        numbers.value(c) for c in matches["unmatched_cosines"]
    ]


def test_a_latents_page_names_its_matches_and_links_those_that_are_shown(
    run: Run, report: Path
) -> None:
    model = report_of(run)
    slug = run.info.saes[1].slug
    page = soup(report / slug / "l0000.html")
    latent = model.shards[slug].latents[0]
    text = page.select_one(f"#latent-{latent}")
    assert text is not None
    rows = [r for r in run.table("latent_matches", slug).to_pylist() if r["latent"] == latent]
    assert len(rows) == 2
    for row in rows:
        cell = geometry.worded_cell(model, row["other"], row["best"])
        assert isinstance(cell, dict)
        assert ("href" in cell) == (row["best"] in model.shards[row["other"]].chosen)
        assert cell["gloss"]


def test_chains_have_a_page_and_stand_on_the_pages_of_their_latents(run: Run, report: Path) -> None:
    rows = run.table("latent_chains").to_pylist()
    (told,) = cells(soup(report / "geometry" / "index.html").select_one("#chains table"))[1:]
    # Those that are not listed count too.
    assert told[1:3] == ["3", str(CHAINS + 1)]
    shown = cells(soup(report / "geometry" / "chains.html").select_one("#listed table"))[1:]
    assert len(shown) == len(rows) == CHAINS * 3
    labels = {sae.slug: sae.label for sae in report_of(run).info.saes}
    for cell, row in zip(shown, rows, strict=True):
        assert cell[1] == labels[row["sae"]]
        assert cell[2].split(" ")[0] == str(row["latent"])
        assert cell[3] == (numbers.value(row["cosine"][0]) if row["cosine"] else "–")
        assert cell[4] == (numbers.value(row["together"][0]) if row["together"] else "–")
    model = report_of(run)
    for row in rows:
        sae = next(sae for sae in model.saes if sae.info.slug == row["sae"])
        for _, latents in shards(sae, range(sae.shards.count)):
            for latent in latents:
                if latent.index == row["latent"]:
                    (block,) = geometry.chain_of(latent)
                    assert block["v"] == {"chain": row["chain"] + 1, "of": CHAINS + 1}
                    assert len(block["rows"]) == 3
    (data, *_) = sorted((report / rows[0]["sae"]).glob("d0000.js"))
    assert "geometry.chain" in data.read_text("utf-8")


def test_one_file_and_a_cut_have_them_too(run: Run, report: Path, tmp_path: Path) -> None:
    single = render_as(run.path, tmp_path / "one.html", single_file=True).path
    paths = [section["data-path"] for section in soup(single).select("section[data-path]")]
    slug, other = (sae.slug for sae in run.info.saes[:2])
    assert {"geometry/index.html", f"geometry/of-{slug}.html"} <= set(paths)
    # The SAE that it was compared with is not in the cut: its name stands without links.
    latent = run.latents(slug)[0]
    extract(report, tmp_path / "cut", latents=[f"{slug}:{latent}"])
    page = soup(tmp_path / "cut" / "geometry" / f"of-{slug}.html")
    assert page.select_one(f"#to-{other}") is not None
    assert check(tmp_path / "cut") == ()


def test_hostile_tokens_stay_text(report: Path) -> None:
    for path in (report / "geometry").glob("*.html"):
        page = soup(path)
        assert not page.select("main script, main img, main svg, main [onload]")
        assert "\u202e" not in path.read_text("utf-8")
    assert check(report) == ()


def test_a_latent_and_its_parts_stand_with_the_text_on_which_they_are_strongest(
    run: Run, report: Path
) -> None:
    slug, other = (sae.slug for sae in run.info.saes[:2])
    texts = {row["sequence"]: row["tokens"] for row in run.table("sequences").to_pylist()}
    peaks = {
        (of, row["latent"]): texts[row["sequence"]][row["position"]]
        for of in (slug, other)
        for row in run.table("examples", of).to_pylist()
        if (row["group"], row["rank"]) == ("top", 0)
    }
    (panel,) = soup(report / "geometry" / f"of-{slug}.html").select(f"#to-{other}")
    _, *rows = cells(panel.select("details.unfold table")[0])
    vocabulary, seen = report_of(run).vocabulary, {True: 0, False: 0}
    for row in rows:
        of, name = (slug, row[0]) if row[0] else (other, row[3])
        peak = peaks.get((of, int(name.split(" ")[0])))
        seen[peak is not None] += 1
        if peak is None:
            assert row[-1] == ""
        else:
            token = "" if peak in vocabulary.special else vocabulary.line([peak])
            assert f"»{token}«" in row[-1]
    assert min(seen.values()) > 0


def test_text_of_a_blinded_latent_is_not_told_where_it_is_split(tmp_path: Path) -> None:
    def every_latent(shown: dict[str, Any]) -> list[tuple[str, int, bool]]:
        return [(slug, int(latent), True) for slug, of in shown.items() for latent in of]

    write_run(tmp_path / "run", SHAPE, tables, blind_extra(every_latent))
    for sae in report_of(open_run(tmp_path / "run")).saes:
        assert sae.report.dictionaries.strongest(sae.info.slug) == {}


def test_common_tokens_of_a_blinded_latent_are_not_told(tmp_path: Path) -> None:
    """What activates it is statistics of the text; the logit lens may be told."""

    def every_member(shown: dict[str, Any]) -> list[tuple[str, int, bool]]:
        return [(slug, int(latent), True) for slug, of in shown.items() for latent in of]

    write_run(tmp_path / "run", SHAPE, tables, blind_extra(every_member))
    sae = report_of(open_run(tmp_path / "run")).saes[0]
    for row in sae.report.dictionaries.rows("dictionary_clusters", sae.info.slug):
        assert not geometry._common(sae, row)[0].startswith("active")


def test_of_a_chain_that_was_cut_no_step_follows_what_is_not_there(
    run: Run, report: Path, tmp_path: Path
) -> None:
    slugs = [sae.slug for sae in run.info.saes]

    def cut(name: str, *kept: str) -> Path:
        latents = [f"{slug}:{run.latents(slug)[0]}" for slug in kept]
        extract(report, tmp_path / name, latents=latents)
        assert check(tmp_path / name) == ()
        return tmp_path / name / "geometry" / "chains.html"

    assert not cut("one", slugs[1]).exists()
    rows = cells(soup(cut("two", *slugs[1:])).select_one("#listed table"))[1:]
    labels = [sae.label for sae in report_of(run).info.saes]
    # The cosine of what is now the first step is that with a latent which is not there.
    first = [row for row in rows if row[0]]
    assert first
    assert {row[1] for row in first} == {labels[1]}
    assert {(row[3], row[4]) for row in first} == {("–", "–")}
    assert {row[5] for row in first} == {"follows one of an SAE that this report leaves out"}
    assert len(rows) == 2 * len(first)
    rows = cells(soup(cut("front", *slugs[:2])).select_one("#listed table"))[1:]
    assert {row[5] for row in rows[1::2]} == {"goes on in an SAE that this report leaves out"}
    (row,) = cells(
        soup(tmp_path / "front" / "geometry" / "index.html").select_one("#chains table")
    )[1:]
    assert row[1:3] == ["2", f"{len(rows) // 2} of those listed"]
