"""The pages of attribution graphs without a browser: what the HTML says and links to."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bs4 import BeautifulSoup

from saereport.run import open_run
from saereport.site import render
from saereport.site.circuits.agreement import correlation, verdict
from saereport.site.circuits.graph_data import Scores, read_graphs
from saereport.site.circuits.graph_strength import scores
from saereport.site.circuits.graph_words import GraphWords, check_summary
from tests.synthetic import Shape, write_run
from tests.synthetic_graph import LARGE, SMALL, GraphShape, graphs

SHAPE = Shape(d_sae=2048, n_chosen=24, n_sequences=80, n_vocabulary=1500, n_saes=3, hostile=True)
HOSTILE = GraphShape(n_tokens=100, n_latents=40, hostile=True, slug="hostile")
POOR = GraphShape(slug="poor", outside=1.2, token_links=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graph-pages") / "run"
    write_run(path, SHAPE, graphs(SMALL, LARGE, HOSTILE, POOR))
    return path


@pytest.fixture(scope="module")
def folder(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("graph-report") / "report"
    render(run, out)
    return out / "circuits"


def page(folder: Path, slug: str) -> BeautifulSoup:
    return BeautifulSoup((folder / f"{slug}-graph.html").read_text("utf-8"), "html.parser")


def test_the_numbers_are_in_the_html(folder: Path) -> None:
    text = page(folder, "small").get_text(" ", strip=True)
    assert "0.413" in text
    assert "0.738" in text
    assert "they explain 74.7 % of the difference" in text
    assert "14.3 % is left" in text
    assert "of 160 before pruning" in text
    assert "3.1 % of the influence on the others" in text


def test_what_is_missing_or_less_than_nothing_is_said(folder: Path) -> None:
    said = {slug: page(folder, slug).get_text(" ", strip=True) for slug in ("small", "poor")}
    for words, name in (
        ("−9.9 % is left. Negative means below the state with no latent at all", "poor"),
        ("by intervention, below the state with no latent", "poor"),
        ("No link straight from a token was strong enough", "poor"),
        ("by intervention, small is complete", "small"),
    ):
        assert [slug for slug, text in said.items() if words in text] == [name]


def test_tables_hold_the_strongest(run: Path, folder: Path) -> None:
    graph = next(g for g in read_graphs(open_run(run)) if g.slug == "large")
    soup = page(folder, "large")
    shown = [
        [float(cell.get_text().replace("−", "-")) for cell in row.find_all("td")[-2:]]
        for row in soup.select("#strongest tbody tr")
    ]
    assert len(shown) == 40
    pairs = zip(scores(graph).tolist(), (link.weight for link in graph.links), strict=True)
    largest = sorted(pairs, key=lambda pair: -pair[0])[:40]
    assert [pair[1] for pair in shown] == pytest.approx([s for s, _ in largest], rel=6e-3)
    assert [pair[0] for pair in shown] == pytest.approx([w for _, w in largest], rel=6e-3)
    assert len(soup.select("#latents-in-it tbody tr")) == 80
    assert len(soup.select("#checks tbody tr")) == len(graph.checks) == 20
    marks = [row.find_all("td")[-1].get_text() for row in soup.select("#checks tbody tr")]
    assert marks == [verdict(check.predicted, check.measured) for check in graph.checks]
    assert any(marks)
    # The drawing marks and names the same ones.
    data = (folder / "large-graph.js").read_text("utf-8")
    record = json.loads(data.split("push(", 1)[1].rstrip().removesuffix(");"))
    assert [(row[5:] or [""])[0] for row in record["checks"]] == marks


def test_links_lead_to_files(folder: Path) -> None:
    soup = page(folder, "small")
    download = soup.select_one("a[download]")
    assert download is not None
    assert (folder / str(download["href"])).is_file()
    assert soup.select_one('script[src="small-graph.js"]') is not None


def test_hostile_tokens_stay_text(folder: Path) -> None:
    html = (folder / "hostile-graph.html").read_text("utf-8")
    soup = BeautifulSoup(html, "html.parser")
    assert not soup.select("script:not([src])")
    assert not soup.select("main img, main style, main body, main svg")
    assert "self.stolen=1" in soup.get_text()
    assert not {"\u202e", "\u2066", "\u2028", "\x00"} & set(html)
    script = (folder / "hostile-graph.js").read_text("utf-8")
    assert not set("<>&\u2028\u2029\u202e") & set(script)


def test_verdicts_say_where_linearity_fails() -> None:
    assert verdict(1.0, -0.1) == "opposite sign"
    assert verdict(1.0, 2.1) == "more than twice the prediction"
    assert verdict(-1.0, -0.4) == "less than half the prediction"
    assert verdict(-1.0, -1.9) == verdict(1.0, 0.5) == verdict(0.0, 0.0) == ""


def test_the_correlation_is_pearsons() -> None:
    rng = np.random.default_rng(0)
    pairs = rng.normal(size=(9, 2))
    rows = [(float(x), float(y)) for x, y in pairs]
    assert correlation(rows) == pytest.approx(np.corrcoef(pairs.T)[0, 1])
    assert correlation(rows[:1]) is None
    assert correlation([rows[0], rows[0]]) is None


def test_links_to_latents_and_to_outputs_are_not_pooled(run: Path) -> None:
    """Each agrees perfectly on its own scale; pooled, the correlation would be another one."""
    graph = read_graphs(open_run(run))[0]
    at = {
        kind: next(i for i, n in enumerate(graph.nodes) if n.kind == kind)
        for kind in ("latent", "logit")
    }
    checks = [
        replace(graph.checks[0], target=at[kind], predicted=x, measured=factor * x)
        for kind, factor in (("latent", 0.01), ("logit", -40.0))
        for x in (1.0, 2.0, 4.0)
    ]
    words = GraphWords(None, replace(graph, checks=checks), {})  # type: ignore[arg-type]
    said = check_summary(words)
    assert "is 1 over 3 links to latents and −1 over 3 links to outputs." in said
    one = replace(graph, checks=checks[:3])
    assert "is 1 over 3 links to latents." in check_summary(GraphWords(None, one, {}))  # type: ignore[arg-type]
    alone = replace(graph, checks=checks[:1])
    assert "correlation" not in check_summary(GraphWords(None, alone, {}))  # type: ignore[arg-type]


def test_shares_by_intervention(run: Path) -> None:
    scores = read_graphs(open_run(run))[0].scores
    assert scores.faithfulness == pytest.approx((8.9 - 2.1) / (11.2 - 2.1))
    assert scores.without == pytest.approx((3.4 - 2.1) / (11.2 - 2.1))
    flat: Scores = replace(scores, metric_none=scores.metric_model)
    assert flat.faithfulness is None
    assert flat.without is None


def test_a_report_without_graphs_has_none(tmp_path: Path) -> None:
    write_run(tmp_path / "run", Shape(d_sae=64, n_chosen=8, n_sequences=40, n_vocabulary=700))
    assert read_graphs(open_run(tmp_path / "run")) == []
    render(tmp_path / "run", tmp_path / "out")
    assert not (tmp_path / "out" / "circuits").exists()
