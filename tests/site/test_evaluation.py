"""Pages of evaluation: what stands in the HTML is what the run holds."""

from __future__ import annotations

from math import log10
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from saereport.publish import check
from saereport.run import Run, open_run
from saereport.run.figures import figures_of
from saereport.site import evaluation, numbers, render, report_of, sparsity, weights
from saereport.site.densities import dense
from tests.diff.edited import edited
from tests.diff.rewriting import rewritten
from tests.site.reading import cells, soup
from tests.synthetic import Shape, write_run
from tests.synthetic_evaluation import distributions, shipped

SHAPE = Shape(n_saes=3, d_sae=32, n_chosen=4, n_sequences=20, hostile=True)

Edited = dict[str, list[Any]]


def little(columns: Edited) -> Edited:
    """Zero ablation that costs hardly anything."""
    found = {name: list(column) for name, column in columns.items()}
    found["value"][found["metric"].index("ce_added_zero")] = 0.02
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("evaluation")
    write_run(folder / "plain", SHAPE, distributions(sampled=20), shipped(without=(2,)))
    slug = open_run(folder / "plain").info.saes[1].slug
    edited(folder / "plain", folder / "run", {("sae_metrics", slug): little})
    return open_run(folder / "run")


def test_the_page_of_all_saes_has_a_row_for_each(run: Run, report: Path) -> None:
    page = soup(report / "evaluation" / "index.html")
    (table,) = page.select("#reconstruction table")
    head, *rows = cells(table)
    assert head[:3] == ["SAE", "explained variance", "without the largest norms"]
    labels = [sae.info.label for sae in report_of(run).saes]
    assert [row[0] for row in rows] == labels
    for sae, row in zip(run.info.saes, rows, strict=True):
        figure = figures_of(run, sae.slug)["explained_variance"]
        assert figure.interval is not None
        assert row[1] == f"{figure.value:.3f} " + " to ".join(f"{x:.3f}" for x in figure.interval)
    (table,) = page.select("#prediction table")
    assert cells(table)[0][1:3] == ["share recovered", "of mean ablation"]
    said = page.select_one("#prediction").text  # type: ignore[union-attr]
    assert f"means little: {labels[1]}. Read" in said
    drawn = page.select("#trade figure")
    assert len(drawn) == 2
    assert cells(drawn[0].table)[1][0] == labels[0]


def test_shares_of_latents_are_counted(run: Run, report: Path) -> None:
    page = soup(report / "evaluation" / "index.html")
    rows = cells(page.select_one("#densities table"))[1:]
    for place, sae in enumerate(run.info.saes):
        counts = np.array(run.table("sae_activity", sae.slug)["n_active"].to_pylist())
        share = counts / run.info.text.n_counted
        found = dense(report_of(run).saes[place])
        assert found is not None
        assert found.dead == (counts == 0).sum()
        assert (found.above_1, found.above_10) == ((share > 0.01).sum(), (share > 0.1).sum())
        middle = np.sort(share[share > 0])[(share > 0).sum() // 2]
        assert found.median_log10 == pytest.approx(log10(middle))
        assert rows[place][3:5] == [
            numbers.percent(n / len(counts)) for n in (found.dead, found.above_1)
        ]


def test_the_page_of_one_sae_has_all_of_its_figures(run: Run, report: Path) -> None:
    slug = run.info.saes[0].slug
    page = soup(report / "evaluation" / f"of-{slug}.html")
    titles = [h3.get_text(strip=True) for h3 in page.select("#figures h3")]
    assert titles == ["Activations", "Share recovered", "Next-token predictions, in nats"]
    said = page.select_one("#figures").text  # type: ignore[union-attr]
    assert "Over the first 1,260 counted tokens of the text, in 20 sequences." in said
    assert "(sae_metrics, version " in said
    assert len(page.select("#densities figure")) == 1
    home = soup(report / slug / "index.html")
    assert home.find("a", href=f"../evaluation/of-{slug}.html")
    assert check(report) == ()


def test_weights_are_told_by_their_quantiles(run: Run, report: Path) -> None:
    slug, other, _ = (sae.slug for sae in run.info.saes)
    rows = {row["quantity"]: row for row in run.table("weight_distributions", slug).to_pylist()}
    panel = soup(report / "evaluation" / f"of-{slug}.html").select_one("#weights")
    assert panel is not None
    titles = [h3.get_text(strip=True) for h3 in panel("h3")]
    assert titles == list(weights.TITLES.values())
    for figure, row in zip(panel("figure"), map(rows.get, weights.TITLES), strict=True):
        assert row is not None
        said, half = figure.select_one(".summary").text, numbers.value(row["quantiles"][2])
        assert f"the median is {half}, the smallest {numbers.value(row['min'])}" in said
        assert ("Of 20 of 32 latents" in said) == (row["quantity"] == "largest_decoder_cosine")
        counts = [int(line[2]) for line in cells(figure.table)[1:]]
        assert counts == [n for n in row["counts"] if n]
    panel = soup(report / "evaluation" / f"of-{other}.html").select_one("#weights")
    assert panel is not None
    assert len(panel("figure")) == 4
    assert "Cosine of encoder and decoder: it writes elsewhere than it reads" in panel.text
    table = cells(soup(report / "evaluation" / "index.html").select_one("#weights table"))
    assert table[1][1].split()[0] == numbers.value(rows["encoder_norm"]["quantiles"][2])
    assert table[2][4] == "–"


def test_densities_beside_those_that_come_with_the_sae(run: Run, report: Path) -> None:
    slug, n = run.info.saes[0].slug, run.info.text.n_counted
    there = run.table("shipped_sparsity", slug)["log10_density"].to_numpy().astype(float)
    counts = run.table("sae_activity", slug)["n_active"].to_numpy().astype(float)
    least = log10(0.5 / n)
    x, y = np.maximum(there, least), np.log10(np.maximum(counts, 0.5) / n)
    found = sparsity.agreement(report_of(run).saes[0])
    assert found is not None
    assert found.correlation == pytest.approx(stats.spearmanr(x, y).statistic)
    assert found.n_apart == sum(abs(a - b) > 1 for a, b in zip(x, y, strict=True))
    assert found.n_apart > 0
    page = soup(report / "evaluation" / f"of-{slug}.html")
    facts = [dd.get_text(" ") for dd in page.select("#sparsity dd")]
    assert facts == [numbers.value(found.correlation), f"{found.n_apart} of 32 latents"]
    assert len(page.select("#sparsity figure")) == 1
    last = run.info.saes[2].slug
    assert not soup(report / "evaluation" / f"of-{last}.html").select("#sparsity")


def test_ranks_of_equal_values_are_shared() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 5, (2, 60)).astype(float)
    assert sparsity.rank_correlation(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert np.isnan(sparsity.rank_correlation(x, np.ones(60)))


def test_what_was_not_measured_is_said(run: Run, tmp_path: Path) -> None:
    """Without figures the densities are still there; without both there is no such part."""
    slugs = [sae.slug for sae in run.info.saes]

    def without(name: str) -> dict[tuple[str, str | None], Any]:
        return {(name, slug): lambda _: None for slug in slugs if run.has(name, slug)}

    bare = rewritten(
        run,
        tmp_path / "run",
        without("sae_metrics") | without("weight_distributions") | without("shipped_sparsity"),
    )
    render(bare.path, tmp_path / "report")
    page = soup(tmp_path / "report" / "evaluation" / "index.html")
    assert [panel["id"] for panel in page.select("section.panel")] == ["densities"]
    own = soup(tmp_path / "report" / "evaluation" / f"of-{slugs[0]}.html")
    assert "Not measured: the run does not hold it." in own.text
    neither = rewritten(bare, tmp_path / "neither", without("sae_activity"))
    assert not evaluation.present(report_of(neither))
