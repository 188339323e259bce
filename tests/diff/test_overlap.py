"""Distances between lists and histograms, against slow readings of their definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from saereport.diff.columns import Lists
from saereport.diff.overlap import (
    PERSISTENCE,
    histogram_distance,
    place_distance,
    rank_distance,
    set_distance,
)

ranking = st.lists(st.integers(0, 12), unique=True, max_size=9)
pairs = st.lists(st.tuples(ranking, ranking), min_size=1, max_size=6)
histogram = st.dictionaries(st.integers(-40, 40), st.integers(0, 50), max_size=8)


def as_lists(lists: list[list[int]]) -> Lists:
    flat = np.array([item for one in lists for item in one], np.int64)
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in lists])]).astype(np.int64)
    return Lists(flat, offsets)


def slow_overlap(one: list[int], two: list[int], p: float = PERSISTENCE) -> float:
    """RBO_EXT, equation 32 of Webber, Moffat and Zobel (2010), term by term."""
    short, long = sorted((one, two), key=len)
    if not long:
        return 1.0
    if not short:
        return 0.0
    s, n = len(short), len(long)

    def common(d: int) -> int:
        return len(set(short[:d]) & set(long[:d]))

    total = sum(common(d) / d * p**d for d in range(1, n + 1))
    total += sum(common(s) * (d - s) / (s * d) * p**d for d in range(s + 1, n + 1))
    return (1 - p) / p * total + ((common(n) - common(s)) / n + common(s) / s) * p**n


@settings(deadline=None)
@given(pairs)
def test_rank_distance_is_the_published_definition(given_pairs: list) -> None:
    one, two = (as_lists([pair[side] for pair in given_pairs]) for side in (0, 1))
    expected = [1 - slow_overlap(*pair) for pair in given_pairs]
    np.testing.assert_allclose(rank_distance(one, two), expected, atol=1e-12)
    np.testing.assert_array_equal(rank_distance(one, two), rank_distance(two, one))


def test_rank_distance_of_an_infinite_sum() -> None:
    """Two lists that agree on the share they saw, continued for ever by that share."""
    one, two = [1, 2, 3, 4], [2, 1, 5, 3]
    agreement = [len(set(one[:d]) & set(two[:d])) / d for d in range(1, 5)]
    agreement += [agreement[-1]] * 2000
    p = PERSISTENCE
    endless = (1 - p) * sum(a * p**i for i, a in enumerate(agreement))
    assert rank_distance(as_lists([one]), as_lists([two]))[0] == pytest.approx(1 - endless)


def test_of_equal_entries_the_first_counts() -> None:
    one, two = as_lists([[4, 4, 2, 4], [3, 3]]), as_lists([[4, 2], [3]])
    for distance in (rank_distance, place_distance, set_distance):
        np.testing.assert_allclose(distance(one, two), 0, atol=1e-12)


def test_what_stands_first_matters_most() -> None:
    base = list(range(10))
    first, last = [1, 0, *base[2:]], [*base[:8], 9, 8]
    distances = rank_distance(as_lists([base, base, base]), as_lists([base, first, last]))
    assert distances[0] == pytest.approx(0)
    assert distances[2] < distances[1] == pytest.approx(0.1)


@settings(deadline=None)
@given(pairs)
def test_sets_and_places(given_pairs: list) -> None:
    one, two = (as_lists([pair[side] for pair in given_pairs]) for side in (0, 1))
    for row, (a, b) in enumerate(given_pairs):
        shared, either = set(a) & set(b), set(a) | set(b)
        expected = 1 - len(shared) / len(either) if either else 0
        assert set_distance(one, two)[row] == pytest.approx(expected)
        longest = max(len(a), len(b))
        expected = 1 - len(shared) / longest if longest else 0
        assert place_distance(one, two)[row] == pytest.approx(expected)


@settings(deadline=None)
@given(st.lists(st.tuples(histogram, histogram), min_size=1, max_size=5))
def test_histogram_distance_is_scipys(given_pairs: list) -> None:
    sides = []
    for side in (0, 1):
        held = [pair[side] for pair in given_pairs]
        sides.append(as_lists([list(one) for one in held]))
        sides.append(np.array([count for one in held for count in one.values()], np.int64))
    found = histogram_distance(*sides)
    np.testing.assert_array_equal(found, histogram_distance(*sides[2:], *sides[:2]))
    for row, (a, b) in enumerate(given_pairs):
        bins = sorted({*a, *b})
        p, q = ([one.get(bin_, 0) for bin_ in bins] for one in (a, b))
        if sum(p) and sum(q):
            expected = jensenshannon(p, q, base=2)
        else:
            expected = float(bool(sum(p)) != bool(sum(q)))
        # The root of a rounding error is 1e-8.
        assert found[row] == pytest.approx(expected, abs=1e-7)
