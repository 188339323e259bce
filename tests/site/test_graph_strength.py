"""Scores of links, against a dense computation with matrices and against a sum over paths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saereport.site.circuits.graph_data import DrawnNode, Link, PromptGraph, Scores
from saereport.site.circuits.graph_strength import reach, scores
from saereport.util.errors import SaereportError

SCORES = Scores(("a",), 1, 1, 0.0, 1, 1, 1, 0.8, 0.9, 0.5, 0.5, "logit", 1.0, 1.0, 0.0, 0.0)


def graph_of(probabilities: list[float], links: list[tuple[int, int, float]]) -> PromptGraph:
    """Nodes of which the first ones are logits with these probabilities or 0 for all others."""
    nodes = tuple(
        DrawnNode(k, f"3_{k}_0", "logit" if p else "latent", "", 3, k, 0, 1.0, 0.0, p)
        for k, p in enumerate(probabilities)
    )
    return PromptGraph(0, "x", "x", (1,), -1, SCORES, nodes, tuple(Link(*k) for k in links), ())


@st.composite
def graphs(draw: st.DrawFn) -> PromptGraph:
    """Graphs without cycles: every link leads to a node that comes earlier."""
    n = draw(st.integers(1, 9))
    n_logits = draw(st.integers(1, n))
    shares = st.floats(0.01, 0.5)
    probabilities = [draw(shares) if k < n_logits else 0.0 for k in range(n)]
    pairs = [(source, target) for target in range(n) for source in range(target + 1, n)]
    weights = st.one_of(st.just(0.0), st.floats(0.01, 30), st.floats(-30, -0.01))
    chosen = draw(st.sets(st.sampled_from(pairs))) if pairs else set()
    return graph_of(probabilities, [(s, t, draw(weights)) for s, t in sorted(chosen)])


@given(graphs())
def test_scores_are_those_of_the_dense_inverse(graph: PromptGraph) -> None:
    n = len(graph.nodes)
    weights = np.zeros((n, n))
    for link in graph.links:
        weights[link.target, link.source] = abs(link.weight)
    sums = weights.sum(axis=1, keepdims=True)
    shares = np.divide(weights, sums, out=np.zeros_like(weights), where=sums > 0)
    probabilities = np.array([node.probability for node in graph.nodes])
    dense = probabilities @ np.linalg.inv(np.eye(n) - shares)
    np.testing.assert_allclose(reach(graph), dense, rtol=1e-9, atol=1e-12)
    wanted = [shares[k.target, k.source] * dense[k.target] for k in graph.links]
    np.testing.assert_allclose(scores(graph), wanted, rtol=1e-9, atol=1e-12)


@given(graphs(), st.floats(0.01, 100))
def test_the_scale_of_a_target_does_not_matter(graph: PromptGraph, factor: float) -> None:
    scaled = replace(
        graph,
        links=tuple(
            replace(link, weight=link.weight * factor) if link.target == 0 else link
            for link in graph.links
        ),
    )
    np.testing.assert_allclose(scores(scaled), scores(graph), rtol=1e-9, atol=1e-12)


@given(graphs())
def test_what_a_node_receives_it_hands_on_in_full(graph: PromptGraph) -> None:
    found, into = scores(graph), np.zeros(len(graph.nodes))
    fed = np.zeros(len(graph.nodes), dtype=bool)
    for score, link in zip(found, graph.links, strict=True):
        into[link.target] += score
        fed[link.target] |= link.weight != 0
    np.testing.assert_allclose(into, np.where(fed, reach(graph), 0.0), rtol=1e-9, atol=1e-12)


def test_a_graph_done_by_hand() -> None:
    """Logit 0 (0.5) takes 3 parts of 4 from node 1, which takes all from 2, and 1 part from 2."""
    graph = graph_of([0.5, 0.0, 0.0], [(1, 0, 3.0), (2, 0, -1.0), (2, 1, 20.0)])
    assert reach(graph).tolist() == pytest.approx([0.5, 0.375, 0.5])
    assert scores(graph).tolist() == pytest.approx([0.375, 0.125, 0.375])


def test_without_links_and_with_a_cycle() -> None:
    assert scores(graph_of([0.5, 0.0], [])).tolist() == []
    assert reach(graph_of([0.5, 0.0], [])).tolist() == [0.5, 0.0]
    cycle = graph_of([0.5, 0.0, 0.0], [(1, 0, 1.0), (2, 1, 1.0), (1, 2, 1.0)])
    with pytest.raises(SaereportError, match="has a cycle"):
        reach(cycle)
