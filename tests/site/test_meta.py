"""Pages about meta-SAEs: what stands in the HTML is what the run holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from saereport.publish import check
from saereport.report.extracting import extract
from saereport.report.rendering import render as render_as
from saereport.run import Run, open_run
from saereport.site import meta, numbers, render, report_of
from tests.site.reading import cells, soup
from tests.synthetic import Shape, write_run
from tests.synthetic_examples import blind_extra
from tests.synthetic_meta import LABEL, N_META, NAMES, USED, meta_saes

SHAPE = Shape(
    d_sae=64,
    n_chosen=8,
    n_sequences=20,
    n_vocabulary=700,
    n_saes=2,
    hostile=True,
    explanations=("a <i>label</i>",),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two SAEs, of which the first has two meta-SAEs."""
    folder = tmp_path_factory.mktemp("meta")
    write_run(folder / "run", SHAPE, meta_saes(without=(1,)))
    return open_run(folder / "run")


def test_several_are_compared_on_a_page_that_links_each(run: Run, report: Path) -> None:
    slug = run.info.saes[0].slug
    page = soup(report / "meta-saes" / "index.html")
    _, *rows = cells(page.select_one("#all table"))
    stored = run.table("meta_saes", slug).to_pylist()
    assert len(rows) == len(stored) == 2
    for shown, row in zip(rows, stored, strict=True):
        assert shown[0] == f"{LABEL} {row['meta']}"
        assert shown[3].split(" ")[0] == numbers.value(row["explained"])
        assert shown[4] == numbers.value(row["explained_chance"])
        assert shown[7] == numbers.percent((N_META - USED) / N_META)
    links = {a["href"] for a in page.select("#all table a")}
    assert {f"of-{slug}--{name}.html" for name in NAMES} <= links
    (entry,) = [a for a in page.select("nav a") if a.get_text(strip=True) == "Meta-SAEs"]
    assert entry["href"] == "index.html"


def test_a_page_says_what_was_put_in_and_what_came_of_it(run: Run, report: Path) -> None:
    slug = run.info.saes[0].slug
    row = run.table("meta_saes", slug).to_pylist()[0]
    page = soup(report / "meta-saes" / f"of-{slug}--{NAMES[0]}.html")
    text = page.select_one("#summary").get_text(" ", strip=True)  # type: ignore[union-attr]
    for words in (
        numbers.value(row["explained"]),
        f"random rows {numbers.value(row['explained_chance'])}",
        "given at length one",
        f"it explains more of them: {numbers.value(row['explained_other'])}",
        "depends on the rows that are put in beside it",
        "no decoder row",
        "share, rather than taking them apart",
        f"{N_META - USED} of {N_META} meta-latents",
    ):
        assert words in text
    used = cells(page.select_one("#used table"))[1:]
    numbered = [line for line in used if line[0]]
    assert [line[0] for line in numbered] == [f"{k}" for k in range(USED)]
    stored = run.table("meta_latents", slug).to_pylist()[:USED]
    assert [line[1] for line in numbered] == [f"{one['n_active']}" for one in stored]
    listed = [line[2].split(" ")[0] for line in used]
    assert listed == [f"{x}" for one in stored for x in one["latents"][: meta.LISTED]]
    for end in ("least", "best"):
        lines = cells(page.select_one(f"#{end} table"))[1:]
        rows = [
            one
            for one in run.table("meta_extremes", slug).to_pylist()
            if (one["meta"], one["end"]) == (NAMES[0], end)
        ]
        assert [line[0].split(" ")[0] for line in lines] == [f"{one['latent']}" for one in rows]
    assert f"{numbers.MINUS}{numbers.percent(0.05)}" in cells(page.select_one("#least table"))[1]


def test_latents_that_are_shown_are_linked_with_their_labels(run: Run) -> None:
    model = report_of(run)
    slug = run.info.saes[0].slug
    shown = model.shards[slug].latents
    labels = model.dictionaries.labels(slug)
    for latent in range(SHAPE.d_sae):
        cell = meta.named_latent(model, slug, latent)
        assert isinstance(cell, dict)
        assert ("href" in cell) == (latent in shown)
        if latent in labels:
            assert cell["gloss"] == labels[latent]
    assert set(labels) & set(shown)


def test_a_latents_page_says_what_it_is_made_of(run: Run, report: Path) -> None:
    model = report_of(run)
    slug = run.info.saes[0].slug
    view = soup(report / slug / "l0000.html")
    parts = run.table("meta_parts", slug).to_pylist()
    for latent in model.shards[slug].latents:
        text = view.select_one(f"#latent-{latent}")
        assert text is not None
        mine = [one for one in parts if one["latent"] == latent]
        assert len(mine) == 2
        made = list(meta._part_rows(_view(model, slug, latent), mine[0]))
        names = [row[0]["text"] for row in made if isinstance(row[0], dict)]
        assert names == [f"{part}" for part in mine[0]["parts"]]
        # Every other latent that has a meta-latent, and not this one.
        others = [str(row[3]["text"]) for row in made if isinstance(row[3], dict)]
        assert f"{latent}" not in others
    assert not list((report / run.info.saes[1].slug).rglob("*made-of*"))


def _view(model: Any, slug: str, latent: int) -> Any:
    from saereport.site.columns import LatentChunk
    from saereport.site.context import LatentView

    (sae,) = [one for one in model.saes if one.info.slug == slug]
    band = LatentChunk(model.run, slug, ["meta_parts"], latent, latent + 1)
    return LatentView(sae, latent, band)


def test_the_only_meta_sae_has_one_page(tmp_path: Path) -> None:
    write_run(tmp_path / "run", SHAPE, meta_saes((NAMES[0],), without=(1,)))
    render(tmp_path / "run", tmp_path / "report")
    slug = open_run(tmp_path / "run").info.saes[0].slug
    (page,) = (tmp_path / "report" / "meta-saes").glob("*.html")
    assert page.name == f"of-{slug}--{NAMES[0]}.html"
    links = soup(tmp_path / "report" / slug / "index.html").select("nav a")
    assert "Evaluation" in [link.get_text(strip=True) for link in links]
    (entry,) = [a for a in soup(page).select("nav a") if a.get_text(strip=True) == "Meta-SAEs"]
    assert entry["href"] == page.name


def test_a_report_with_them_can_be_published_cut_and_be_one_file(
    run: Run, report: Path, tmp_path: Path
) -> None:
    assert check(report) == ()
    slug = run.info.saes[0].slug
    latents = list(run.latents(slug))[:3]
    extract(report, tmp_path / "cut", latents=[f"{slug}:{latent}" for latent in latents])
    assert check(tmp_path / "cut") == ()
    cut = open_run(tmp_path / "cut")
    cut.verify()
    assert set(cut.table("meta_parts", slug).column("latent").to_pylist()) == set(latents)
    assert len(cut.table("meta_latents", slug)) == len(run.table("meta_latents", slug))
    render_as(run.path, tmp_path / "one.html", single_file=True)
    assert "Meta-latents that most latents have" in (tmp_path / "one.html").read_text("utf-8")


def test_a_blinded_latents_label_stands_on_no_page(tmp_path: Path) -> None:
    blind = blind_extra(lambda shown: [(slug, int(of[0]), False) for slug, of in shown.items()])
    write_run(tmp_path / "run", SHAPE, meta_saes(), blind)
    model = report_of(open_run(tmp_path / "run"))
    for sae in model.saes:
        hidden = next(latent for slug, latent in model.blind if slug == sae.info.slug)
        assert hidden not in model.dictionaries.labels(sae.info.slug)
