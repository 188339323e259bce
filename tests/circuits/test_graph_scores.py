"""Influence, pruning and scores against dense algebra, and their properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from saereport.circuits.graph.scores import (
    EMBEDDING,
    ERROR,
    LATENT,
    LOGIT,
    cumulative,
    influence,
    prune,
    row_shares,
    scores,
    strongest,
    total_effects,
)


def random_graph(seed: int, n: int = 30, density: float = 0.4) -> tuple[object, ...]:
    """A graph without cycles: embeddings and errors first, latents, then two logits."""
    rng = np.random.default_rng(seed)
    kinds = np.full(n, LATENT, dtype=np.int8)
    kinds[:4], kinds[4:9], kinds[-2:] = EMBEDDING, ERROR, LOGIT
    dense = np.tril(rng.normal(size=(n, n)), -1) * (rng.random((n, n)) < density)
    dense[:9] = 0
    dense[:, -2:] = 0
    logits = np.zeros(n)
    logits[-2:] = (0.6, 0.3)
    return sparse.csr_matrix(dense), dense, kinds, logits


def dense_shares(dense: np.ndarray) -> np.ndarray:
    sums = np.abs(dense).sum(axis=1, keepdims=True)
    return np.abs(dense) / np.where(sums == 0, 1, sums)


def test_influence_is_that_of_the_inverse() -> None:
    weights, dense, _, logits = random_graph(0)
    shares = dense_shares(dense)
    np.testing.assert_allclose(row_shares(weights).toarray(), shares, atol=1e-14)
    n = len(dense)
    expected = logits @ (np.linalg.inv(np.eye(n) - shares) - np.eye(n))
    np.testing.assert_allclose(influence(row_shares(weights), logits), expected, atol=1e-12)


def test_a_cycle_is_refused() -> None:
    loop = sparse.csr_matrix(np.array([[0.0, 1.0], [1.0, 0.0]]))
    with pytest.raises(ValueError, match="cycle"):
        influence(loop, np.array([1.0, 0.0]))


def test_total_effects_are_those_of_the_inverse() -> None:
    weights, dense, kinds, _ = random_graph(1)
    n = len(dense)
    rng = np.random.default_rng(2)
    values = np.where(kinds == LATENT, rng.uniform(0.5, 2.0, n), 0.0)
    derivative = dense * np.where(values == 0, 0, 1 / np.where(values == 0, 1, values))
    source = int(np.flatnonzero(kinds == LATENT)[0])
    expected = (np.linalg.inv(np.eye(n) - derivative) @ derivative)[:, source] * values[source]
    np.testing.assert_allclose(total_effects(weights, values, source), expected, atol=1e-10)


def test_scores_against_their_definition() -> None:
    weights, dense, kinds, logits = random_graph(3)
    shares = dense_shares(dense)
    n = len(dense)
    strength = logits @ (np.linalg.inv(np.eye(n) - shares) - np.eye(n))
    tokens, errors = strength[kinds == EMBEDDING].sum(), strength[kinds == ERROR].sum()
    reach = strength + logits
    complete = ((1 - shares[:, kinds == ERROR].sum(axis=1)) * reach).sum() / reach.sum()
    found = scores(weights, kinds, logits, np.ones(n, dtype=bool))
    np.testing.assert_allclose(found, (tokens / (tokens + errors), complete), rtol=1e-12)


def test_no_errors_make_both_scores_one() -> None:
    _, dense, kinds, logits = random_graph(4)
    dense = dense.copy()
    dense[:, kinds == ERROR] = 0
    known = np.ones(len(kinds), dtype=bool)
    assert scores(sparse.csr_matrix(dense), kinds, logits, known) == pytest.approx((1.0, 1.0))


@given(st.lists(st.floats(0, 10), min_size=1, max_size=30), st.floats(0.01, 1.0))
@settings(max_examples=100, deadline=None)
def test_strongest_hold_the_share_and_no_smaller_set_does(
    values: list[float], share: float
) -> None:
    array = np.array(values)
    kept = strongest(array, share)
    total = array.sum()
    if total <= 0:
        assert not kept.any()
        return
    assert array[kept].sum() >= share * total * (1 - 1e-9)
    assert array[kept].min() >= array[~kept].max(initial=0)
    fewer = np.sort(array[kept])[1:]
    # Without one of the least of them the share is missed, if ties are counted once.
    least = array[kept].min()
    without = array[array > least].sum() + least * (int((array[kept] == least).sum()) - 1)
    assert fewer.sum() == pytest.approx(without)
    if (array == least).sum() == 1:
        assert without <= share * total * (1 + 1e-9)


def test_cumulative_is_the_share_of_all_that_are_at_least_as_strong() -> None:
    held = cumulative(np.array([1.0, 5.0, 0.0, 4.0]))
    np.testing.assert_allclose(held, [1.0, 0.5, 1.0, 0.9])


@given(st.integers(0, 10_000), st.floats(0.3, 1.0), st.floats(0.3, 1.0), st.floats(0.05, 0.9))
@settings(max_examples=60, deadline=None)
def test_what_pruning_leaves(seed: int, nodes: float, edges: float, density: float) -> None:
    weights, dense, kinds, logits = random_graph(seed, density=density)
    pruned = prune(weights, kinds, logits, node_threshold=nodes, edge_threshold=edges)
    fixed = (kinds == EMBEDDING) | (kinds == LOGIT)
    assert pruned.nodes[fixed].all()
    links = pruned.links.toarray()
    assert not links[~pruned.nodes].any()
    assert not links[:, ~pruned.nodes].any()
    there = links != 0
    np.testing.assert_array_equal(links[there], dense[there])
    inner = pruned.nodes & ~fixed
    assert there[:, inner].any(axis=0).all()
    assert there[pruned.nodes & (kinds == LATENT)].any(axis=1).all()
    more = prune(weights, kinds, logits, node_threshold=1.0, edge_threshold=1.0)
    assert (more.nodes | ~pruned.nodes).all()
    assert more.links.nnz >= pruned.links.nnz


def test_at_thresholds_of_one_nothing_that_matters_is_lost() -> None:
    weights, _, kinds, logits = random_graph(5)
    pruned = prune(weights, kinds, logits, node_threshold=1.0, edge_threshold=1.0)
    strength = influence(row_shares(weights), logits)
    matters = (strength > 0) & (kinds != LATENT)
    assert pruned.nodes[matters].all()
    before = influence(row_shares(pruned.links), logits)
    np.testing.assert_allclose(before[matters], strength[matters], rtol=1e-9)
