"""The page of absorption: what stands in the HTML is what the run holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from saereport.publish import check
from saereport.run import Run, open_run
from saereport.site import absorption as pages
from saereport.site import report_of
from tests.site.test_probing import cells, soup, words
from tests.synthetic import Shape, write_run
from tests.synthetic_absorption import absorption

SHAPE = Shape(d_sae=32, n_chosen=4, n_sequences=20, n_vocabulary=700, n_saes=3, hostile=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three SAEs, of which the last is not measured."""
    folder = tmp_path_factory.mktemp("absorption")
    write_run(folder / "run", SHAPE, absorption(without=(2,)))
    return open_run(folder / "run")


def test_the_means_and_the_letters_of_every_sae(run: Run, report: Path) -> None:
    page = soup(report / "absorption" / "index.html")
    head, *rows = cells(page.select("#scores table")[0])
    assert head[5:] == ["absorption fraction", "full absorption"]
    assert len(rows) == 2
    for place, sae in enumerate(run.info.saes[:2]):
        held = {r["letter"]: r for r in run.table("absorption_letters", sae.slug).to_pylist()}
        assert rows[place][1] == "3 of 3"
        assert rows[place][5:] == [words(pages._part(held["*"], n)) for n in ("fraction", "full")]
        letters, absorbing = page.select(f"#letters-{place} table")
        _, *found = cells(letters)
        assert [row[0] for row in found] == list("abc")
        for row in found:
            one = held[row[0]]
            assert row[3:5] == [words(pages._part(one, n)) for n in ("fraction", "full")]
        # The words on which the main latent is silent are named.
        assert bool(found[1][8])
        assert not found[0][8]
        _, first = cells(absorbing)
        assert (first[0], first[4]) == ("b", "2")
        shown = report_of(run).shards[sae.slug]
        latent = int(first[1])
        assert latent in shown.chosen
        (link,) = absorbing.select("a")
        assert link["href"].endswith(shown.address(latent))


def test_the_model_s_own_accuracy_and_the_caveat_are_said(run: Run, report: Path) -> None:
    panel = soup(report / "absorption" / "index.html").select_one("#scores")
    assert panel is not None
    words_of = {r["letter"]: r for r in run.table("absorption_words").to_pylist()}
    share, letters = f"{100 * words_of['*']['spelled']:.3g} %", len(words_of) - 1
    assert f"{share} of them their own first letter, of {letters} letters" in panel.text
    assert pages.CAVEAT in panel.text


def test_hostile_words_stay_text(report: Path) -> None:
    page = soup(report / "absorption" / "index.html")
    assert not page.select("main script, main img")
    assert "begins" not in [b.text for b in page.select("main b")]
    assert "<b>begins</b>" in page.text
    assert check(report) == ()


def test_no_other_latent_stands_in_place_of_a_main_one_that_is_blinded(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = pages._rows

    def redacted(report: Any, table: str, slug: str | None = None) -> list[Any]:
        rows = real(report, table, slug)
        if table == "absorption_latents":
            return [{**row, "rank": 2} if row["role"] == "main" else row for row in rows]
        return [{**row, "n_main": 2} for row in rows]

    monkeypatch.setattr(pages, "_rows", redacted)
    report = report_of(run)
    letters, _ = pages._letters(report, report.saes[0])
    assert {(row[5], row[7], row[8]) for row in letters["rows"]} == {("–", "1", "")}
