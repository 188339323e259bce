"""How different two lists, two sets or two histograms are, for many pairs at once.

All functions return a distance between 0 (equal) and 1 (nothing in common). They are symmetric.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from saereport.diff.columns import Lists

PERSISTENCE = 0.9
"""`p` of the rank-biased overlap: the first ten places carry 86 % of the weight."""

DEEPEST = 256
"""Entries of a list that are looked at: `p` to this power is below 2e-12."""


def rank_distance(before: Lists, after: Lists) -> NDArray[np.float64]:
    """1 minus the extrapolated rank-biased overlap of each pair of lists.

    RBO_EXT of Webber, Moffat and Zobel, "A similarity measure for indefinite rankings" (2010),
    equation 32, for lists of lengths s <= l with X_d common items among the first d of each (of
    the shorter, all s)::

        (1 - p) / p (sum_{d=1..l} X_d / d p^d + sum_{d=s+1..l} X_s (d - s) / (s d) p^d)
            + ((X_l - X_s) / l + X_s / s) p^l

    Two empty lists are equal; an empty one and another have nothing in common.

    Args:
        before: n lists of whole numbers, 0 or more; of equal ones in a list the first counts.
        after: n lists likewise.

    Returns:
        float64[n].
    """
    before, after = before.distinct().first(DEEPEST), after.distinct().first(DEEPEST)
    n = len(before.offsets) - 1
    short = np.minimum(before.lengths, after.lengths)
    long = np.maximum(before.lengths, after.lengths)
    depth = int(long.max(initial=0))
    if not depth:
        return np.zeros(n)
    rows, at_before, at_after = common_entries(before, after)
    joins = np.maximum(at_before, at_after)
    shared = np.bincount(rows * depth + joins, minlength=n * depth).reshape(n, depth)
    shared = np.cumsum(shared, axis=1)
    d = np.arange(1, depth + 1)
    weight = PERSISTENCE**d
    inside = d <= long[:, None]
    total = np.where(inside, shared / d * weight, 0).sum(axis=1)
    s, deep = np.maximum(short, 1), np.maximum(long, 1)
    at_short = np.where(short > 0, shared[np.arange(n), s - 1], 0)
    at_long = shared[np.arange(n), deep - 1]
    past = inside & (d > short[:, None])
    tail = np.where(past, (d - short[:, None]) / (s[:, None] * d) * weight, 0).sum(axis=1)
    total = (1 - PERSISTENCE) / PERSISTENCE * (total + at_short * tail)
    overlap = total + ((at_long - at_short) / deep + at_short / s) * PERSISTENCE**deep
    # Equal lists are 0 apart, and not the last bit of a sum.
    return np.where(long == 0, 0.0, np.clip(np.round(1 - overlap, 12), 0, 1))


def place_distance(before: Lists, after: Lists) -> NDArray[np.float64]:
    """1 minus the share of common entries, of the longer list, in any order; float64[n]."""
    before, after = before.distinct(), after.distinct()
    n = len(before.offsets) - 1
    rows, _, _ = common_entries(before, after)
    longest = np.maximum(before.lengths, after.lengths)
    shared = np.bincount(rows, minlength=n)
    return np.where(longest > 0, 1 - shared / np.maximum(longest, 1), 0.0)


def set_distance(before: Lists, after: Lists) -> NDArray[np.float64]:
    """Share of the entries of either side that only one side has (Jaccard distance); float64[n]."""
    before, after = before.distinct(), after.distinct()
    shared = np.bincount(common_entries(before, after)[0], minlength=len(before.lengths))
    either = before.lengths + after.lengths - shared
    return np.where(either > 0, 1 - shared / np.maximum(either, 1), 0.0)


def _span(*lists: Lists) -> int:
    """More than any entry, so that (list, entry) makes one number."""
    return 1 + max((int(one.items.max()) for one in lists if len(one.items)), default=0)


def common_entries(
    before: Lists, after: Lists
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Entries that both lists of a pair have.

    Args:
        before: n lists of whole numbers, 0 or more, without repetition.
        after: n lists likewise.

    Returns:
        The pair, the place before and the place after of each common entry, int64 each.
    """
    span = _span(before, after)
    _, one, two = np.intersect1d(
        before.rows * span + before.items,
        after.rows * span + after.items,
        assume_unique=True,
        return_indices=True,
    )
    return before.rows[one], before.places[one], after.places[two]


def histogram_distance(
    bins_before: Lists, counts_before: NDArray[Any], bins_after: Lists, counts_after: NDArray[Any]
) -> NDArray[np.float64]:
    """Jensen-Shannon distance of each pair of histograms, to base 2.

    The square root of the mean of the two Kullback-Leibler divergences to the mixture. Two empty
    histograms are equal; an empty one and another have nothing in common.

    Args:
        bins_before: n lists of bin numbers.
        counts_before: [total], the counts in them.
        bins_after: n lists likewise.
        counts_after: [total], likewise.

    Returns:
        float64[n].
    """
    n = len(bins_before.offsets) - 1
    low = min(
        (int(one.items.min()) for one in (bins_before, bins_after) if len(one.items)), default=0
    )
    shifted = [one.with_items(one.items - low) for one in (bins_before, bins_after)]
    span = _span(*shifted)
    keys, where = np.unique(
        np.concatenate([one.rows * span + one.items for one in shifted]), return_inverse=True
    )
    rows, split = keys // span, len(bins_before.items)
    shares = [
        _shares(where[:split], counts_before, rows, n),
        _shares(where[split:], counts_after, rows, n),
    ]
    middle = (shares[0][0] + shares[1][0]) / 2
    divergence = sum(np.bincount(rows, _relative(share, middle), n) for share, _ in shares) / 2
    empty = [total <= 0 for _, total in shares]
    one_only = empty[0] != empty[1]
    distance = np.sqrt(np.clip(divergence, 0, 1))
    return np.where(one_only, 1.0, np.where(empty[0], 0.0, distance))


def _shares(
    where: NDArray[np.int64], counts: NDArray[Any], rows: NDArray[np.int64], n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    held = np.bincount(where, np.maximum(counts, 0).astype(np.float64), len(rows))
    total = np.bincount(rows, held, n).astype(np.float64)
    return held / np.maximum(total, 1e-300)[rows], total


def _relative(share: NDArray[np.float64], middle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share times log2(share / middle), 0 where the share is 0."""
    positive = share > 0
    result = np.zeros_like(share)
    result[positive] = share[positive] * np.log2(share[positive] / middle[positive])
    return result
