"""Moments of whole dictionaries and token-set enrichment against loops, definitions and a null."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from saereport.measure.weights import WEIGHT_TABLES, TokenRows, WeightContext, enrichment
from saereport.measure.weights.enrichment import (
    benjamini_hochberg,
    p_values,
    permutation_null,
    running_sums,
)
from saereport.measure.weights.whole_lens import MOMENTS, central_moments, lens_blocks
from tests.factories import tiny_model
from tests.measure.test_weights import HOOKS, sae_of

MEMORY = 2**24


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny_model()


# ---- moments


@pytest.mark.parametrize("kind", [k for k in HOOKS if k != "weighted"])
@pytest.mark.parametrize("piece", [2**29, 4 * 32 * 32])
def test_the_lens_of_all_latents_is_that_of_each(model: Any, kind: str, piece: int) -> None:
    """Blocks of latents, and of a vocabulary in pieces, give the numbers of the table of few."""
    context = WeightContext(sae_of(kind), np.arange(14), TokenRows(model, piece), memory=3000)
    found = np.concatenate([central_moments(s) for _, s in lens_blocks(context)], axis=1)
    spans = [span for span, _ in lens_blocks(context)]
    assert [span.start for span in spans] == [0, *(span.stop for span in spans[:-1])]
    assert spans[-1].stop == 14
    some = replace(context, latents=np.array([3, 9]), tokens=TokenRows(model))
    table = WEIGHT_TABLES["logit_lens"].compute(some)
    for row, name in enumerate(MOMENTS):
        np.testing.assert_allclose(found[row, [3, 9]], table[name], rtol=2e-4, atol=2e-5)


def test_directions_made_in_parts_are_all_directions(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = WeightContext(sae_of("z"), np.arange(14), TokenRows(model))
    whole = torch.cat([scores for _, scores in lens_blocks(context)])
    monkeypatch.setattr("saereport.measure.weights.whole_lens._DIRECTIONS", 4)
    parts = list(lens_blocks(context))
    assert [span.start for span, _ in parts] == [0, 4, 8, 12]
    torch.testing.assert_close(torch.cat([scores for _, scores in parts]), whole)


def test_moments_are_exact_where_float32_loses() -> None:
    """Rows far from zero, of which the squares of float32 keep no digit of the spread."""
    rng = np.random.default_rng(0)
    rows = (4096 + rng.gamma(0.5, 0.01, (4, 20_000))).astype(np.float32)
    rows[3] = 7.25
    found = central_moments(torch.from_numpy(rows))
    exact = rows.astype(np.float64)
    np.testing.assert_allclose(found[0], exact.mean(1), rtol=1e-13)
    np.testing.assert_allclose(found[1], exact.std(1), rtol=1e-9)
    np.testing.assert_allclose(found[2, :3], stats.skew(exact[:3], axis=1), rtol=1e-9)
    np.testing.assert_allclose(found[3, :3], stats.kurtosis(exact[:3], axis=1), rtol=1e-9)
    assert found[1:, 3].tolist() == [0, 0, 0]


# ---- enrichment


def walked(scores: list[float], members: set[int]) -> Fraction:
    """The definition, step by step in fractions; equal scores are one step."""
    n, k = len(scores), len(members)
    total, best = Fraction(0), Fraction(0)
    for value in sorted(set(scores), reverse=True):
        for token, score in enumerate(scores):
            if score == value:
                total += Fraction(1, k) if token in members else Fraction(-1, n - k)
        if abs(total) > abs(best) or (abs(total) == abs(best) and total > best):
            best = total
    return best


@st.composite
def ranked(draw: st.DrawFn) -> tuple[list[list[float]], list[set[int]]]:
    n = draw(st.integers(2, 14))
    score = st.integers(-3, 3) if draw(st.booleans()) else st.integers(-1000, 1000)
    rows = draw(st.lists(st.lists(score, min_size=n, max_size=n), min_size=1, max_size=4))
    one = st.sets(st.integers(0, n - 1), min_size=1, max_size=n - 1)
    return rows, draw(st.lists(one, min_size=1, max_size=3))


@given(ranked())
def test_scores_are_those_of_the_definition(case: tuple[list[list[float]], list[set[int]]]) -> None:
    rows, sets = case
    n = len(rows[0])
    members = [torch.tensor(sorted(one)) for one in sets]
    # A row at a time, and all together.
    for memory in (1, MEMORY):
        found = running_sums(torch.tensor(rows, dtype=torch.float32), members, memory)
        for i, row in enumerate(rows):
            for j, one in enumerate(sets):
                score = Fraction(int(found[i, j]), len(one) * (n - len(one)))
                assert score == walked(row, one)


def test_scores_are_the_statistic_of_kolmogorov_and_smirnov() -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(3, 5000)).astype(np.float32)
    members = rng.choice(5000, 300, replace=False)
    scores[1, members] += 0.4
    scores[2, members] -= 0.4
    found = running_sums(torch.from_numpy(scores), [torch.from_numpy(members)], MEMORY)[:, 0]
    others = np.setdiff1d(np.arange(5000), members)
    for i, row in enumerate(scores):
        test = stats.ks_2samp(row[members], row[others])
        assert found[i] / (300 * 4700) == pytest.approx(-test.statistic_sign * test.statistic)
    # Raised sets are positive, lowered ones negative.
    assert found[1] > 0 > found[2]


def test_the_null_is_that_of_random_sets() -> None:
    """Against sets drawn one by one, and against the distribution in the limit."""
    n, k = 4000, 200
    null = permutation_null(k, n, 4000, 0)
    assert np.array_equal(null, permutation_null(k, n, 4000, 0))
    assert not np.array_equal(null, permutation_null(k, n, 4000, 1))
    assert np.array_equal(null, permutation_null(n - k, n, 4000, 0))
    assert (np.diff(null) >= 0).all()
    scale = np.sqrt(k * (n - k) / n) / (k * (n - k))
    assert stats.kstest(null * scale, stats.kstwobign.cdf).statistic < 0.05
    rng = np.random.default_rng(2)
    scores = torch.from_numpy(rng.normal(size=(1, n)).astype(np.float32))
    drawn = [torch.from_numpy(rng.choice(n, k, replace=False)) for _ in range(400)]
    sums = np.abs(running_sums(scores, drawn, MEMORY)[0])
    assert stats.ks_2samp(sums, null).pvalue > 0.01


@pytest.mark.parametrize(("k", "n"), [(1, 6), (3, 7), (4, 7)])
def test_the_null_of_a_small_vocabulary_is_that_of_all_its_sets(k: int, n: int) -> None:
    order = [float(n - token) for token in range(n)]
    exact = [abs(walked(order, set(one))) * k * (n - k) for one in combinations(range(n), k)]
    null = permutation_null(k, n, 20_000, 0)
    assert set(null.tolist()) == {int(value) for value in exact}
    for value in set(null.tolist()):
        share = sum(one >= value for one in exact) / len(exact)
        assert p_values(np.array([value]), null)[0] == pytest.approx(share, abs=0.015)


@pytest.mark.parametrize("size", [6, 60, 1900])
def test_p_values_under_the_null_are_uniform(size: int) -> None:
    """Latents without any meaning: a share q of p-values is at most q."""
    n = 2000
    rng = np.random.default_rng(size)
    scores = torch.from_numpy(rng.normal(size=(1500, n)).astype(np.float32))
    members = [torch.from_numpy(rng.choice(n, size, replace=False))]
    p = p_values(running_sums(scores, members, MEMORY)[:, 0], permutation_null(size, n, 2000, 0))
    assert 1 / 2001 <= p.min() <= p.max() <= 1
    for q in (0.01, 0.05, 0.2, 0.5, 0.9):
        assert abs((p <= q).mean() - q) < 4 * np.sqrt(q * (1 - q) / 1500) + 0.01
    # Of none of them is it said that it is one, but by the chance that the correction leaves.
    assert (benjamini_hochberg(p) <= 0.05).sum() <= 1


def test_equal_logits_make_no_set_significant() -> None:
    """A vocabulary in few distinct values: p-values err towards 1, never below their level."""
    n, rng = 1000, np.random.default_rng(3)
    scores = torch.from_numpy(rng.integers(0, 4, size=(1500, n)).astype(np.float32))
    members = [torch.arange(50)]
    p = p_values(running_sums(scores, members, MEMORY)[:, 0], permutation_null(50, n, 2000, 0))
    for q in (0.01, 0.05, 0.2, 0.5):
        assert (p <= q).mean() <= q + 0.01
    equal = running_sums(torch.zeros(2, n), members, MEMORY)
    assert equal.tolist() == [[0], [0]]
    assert p_values(equal, permutation_null(50, n, 99, 0)).tolist() == [[1.0], [1.0]]


def test_a_planted_set_is_found_with_its_sign() -> None:
    n, rng = 3000, np.random.default_rng(4)
    scores = rng.normal(size=(40, n)).astype(np.float32)
    sets = [rng.choice(n, k, replace=False) for k in (20, 200, 2900)]
    scores[7, sets[0]] += 1.5
    scores[8, sets[1]] -= 0.7
    sums = running_sums(torch.from_numpy(scores), [torch.from_numpy(s) for s in sets], MEMORY)
    nulls = [permutation_null(len(s), n, 5000, 0) for s in sets]
    p = np.stack([p_values(sums[:, i], null) for i, null in enumerate(nulls)], axis=1)
    found = np.argwhere(benjamini_hochberg(p) <= 0.05).tolist()
    assert [7, 0] in found
    assert [8, 1] in found
    assert len(found) <= 3
    assert sums[7, 0] > 0 > sums[8, 1]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_correction_is_that_of_benjamini_and_hochberg(p: list[float]) -> None:
    found = benjamini_hochberg(np.array(p))
    np.testing.assert_allclose(found, stats.false_discovery_control(p, method="bh"), atol=1e-15)


def test_ranking_takes_no_more_memory_than_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    most: list[int] = []
    ranks = enrichment._ranks

    def counted(scores: torch.Tensor) -> Any:
        most.append(scores.numel())
        return ranks(scores)

    monkeypatch.setattr(enrichment, "_ranks", counted)
    running_sums(torch.randn(64, 500), [torch.arange(9)], 500 * 48 * 5)
    assert max(most) == 5 * 500
    assert sum(most) == 64 * 500
