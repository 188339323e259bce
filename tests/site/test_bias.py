"""The page of the bias test: what stands in the HTML is what the run holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from saereport.publish import check
from saereport.run import Run, open_run
from saereport.run.bias import VARIANTS
from saereport.site import bias as pages
from saereport.site.probing import share_cell
from tests.site.test_probing import cells, soup, words
from tests.synthetic import Shape, write_run
from tests.synthetic_bias import bias

SHAPE = Shape(d_sae=32, n_chosen=4, n_sequences=20, n_vocabulary=700, n_saes=3, hostile=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three SAEs, of which the last is not tested."""
    folder = tmp_path_factory.mktemp("bias")
    write_run(folder / "run", SHAPE, bias(without=(2,)))
    return open_run(folder / "run")


def test_the_groups_and_every_score_are_there(run: Run, report: Path) -> None:
    page = soup(report / "bias" / "index.html")
    _, *rows = cells(page.select("#texts table")[0])
    assert [row[:2] for row in rows] == [
        ["nurse", "female"],
        ["nurse", "male"],
        ["<b>professor</b>", "male"],
        ["<b>professor</b>", "female"],
    ]
    assert [row[3] for row in rows] == ["24", "0", "24", "0"]
    head, *rows = cells(page.select("#scores table")[0])
    assert head[5:] == [
        "<b>professor</b>, male",
        "<b>professor</b>, female",
        "nurse, male",
        "nurse, female",
    ]
    expected = []
    for sae in run.info.saes[:2]:
        held = {r["variant"]: r for r in run.table("bias_scores", sae.slug).to_pylist()}
        for variant in VARIANTS:
            row = held[variant]
            figures = [words(share_cell(row, name)) for name in ("accuracy", "worst")]
            groups = [f"{100 * one:.1f} %" for one in row["groups"]]
            expected.append([pages.DONE[variant], str(row["n_latents"]), *figures, *groups])
    assert [row[1:] for row in rows] == expected


def test_judged_latents_come_first_then_by_rank(run: Run, report: Path) -> None:
    page = soup(report / "bias" / "index.html")
    for place, sae in enumerate(run.info.saes[:2]):
        _, *rows = cells(page.select(f"#latents-{place} table")[0])
        held = run.table("bias_latents", sae.slug).to_pylist()
        ordered = sorted(held, key=lambda r: (not r["judged"], r["rank"]))
        assert [row[0] for row in rows] == [str(r["latent"]) for r in ordered]
        assert rows[0][5] == "by the list"
    assert page.select_one("#latents-2") is None


def test_hostile_words_stay_text(report: Path) -> None:
    page = soup(report / "bias" / "index.html")
    assert not page.select("main script, main img, main b")
    assert check(report) == ()
