"""Splitting a latent's activations into ranges whose counts are known exactly.

The edges of the groups lie on the edges of histogram bins, or on activations that are kept one by
one, which makes the counts exact and independent of how the text was read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saereport.measure.statistics.activity import Activity
from saereport.measure.statistics.floats import fine_edge
from saereport.measure.statistics.order import rank_of


@dataclass(frozen=True, eq=False)
class Group:
    """One range of activations for every reported row.

    Attributes:
        name: `interval:b` or `quantile:b`, b counted from 0 at the low end.
        lower, upper: The range (lower, upper], float32[rows]; equal where the group is empty.
        n_active: Active tokens in the range, int64[rows].
    """

    name: str
    lower: NDArray[np.float32]
    upper: NDArray[np.float32]
    n_active: NDArray[np.int64]


def intervals(activity: Activity, rows: NDArray[Any], n: int) -> list[Group]:
    """N equal intervals of (0, max], inner edges rounded to the nearest multiple of the bin width.

    The bin width is the smallest power of two of which 512 reach the maximum, so an edge moves by
    at most 1/512 of the maximum. A latent that was never active has edges 0.
    """
    maximum = activity.maximum(rows)
    exponent = np.where(maximum > 0, activity.exponent(rows), 0)
    bins = np.ldexp(maximum.astype(np.float64), -exponent)
    below = activity.linear.below(rows)
    at = [np.floor(bins * i / n + 0.5).astype(np.int64) for i in range(n)]
    edges = [np.ldexp(a.astype(np.float64), exponent).astype(np.float32) for a in at]
    totals = [np.take_along_axis(below, a[:, None], axis=1)[:, 0] for a in at]
    return _groups("interval", [*edges, maximum], [*totals, below[:, -1]])


def quantiles(activity: Activity, rows: NDArray[Any], inner: tuple[float, ...]) -> list[Group]:
    """Quantile groups of the non-zero activations; the last edge is the maximum.

    Above quantile q lie the ceil((1 - q) n) largest of the n activations, so that the highest group
    holds at least the maximum. The edge is the largest activation that does not belong to them:
    itself where it is among the `order.KEPT` largest; else of the ends of its fine logarithmic bin
    and the smallest of those kept the one which splits the counts nearest to q. Equal activations
    are never split: where many are equal to an edge, the group above it holds fewer.
    """
    maximum = activity.maximum(rows)
    n = activity.n_active(rows)
    ranks = rank_of(np.asarray(inner), n[:, None], up=False)
    bins, below, upto = activity.bins_of(rows, ranks)
    exact, known = activity.order_statistics(rows, ranks)
    largest = activity.largest.values[rows]
    exact = np.where(known, exact, largest[:, -1:])
    above = np.stack([(largest > exact[:, i : i + 1]).sum(axis=1) for i in range(len(inner))], 1)
    ends = np.minimum(fine_edge(np.stack([bins, bins + 1])).astype(np.float32), maximum[:, None])
    edges = np.stack([exact, *ends])
    totals = np.stack([n[:, None] - above, below, upto])
    away = np.abs(totals - ranks)
    away[0][known] = -1
    nearest = away.argmin(axis=0)[None]
    edge = np.take_along_axis(edges, nearest, axis=0)[0]
    total = np.take_along_axis(totals, nearest, axis=0)[0]
    edge[ranks < 1], total[ranks < 1] = 0.0, 0
    # An edge of a bin may lie above the next quantile's own value in the same bin.
    edge, total = np.maximum.accumulate(edge, axis=1), np.maximum.accumulate(total, axis=1)
    zero = np.zeros(len(rows))
    return _groups(
        "quantile",
        [zero.astype(np.float32), *edge.T, maximum],
        [zero.astype(np.int64), *total.T, n],
    )


def _groups(
    name: str, edges: list[NDArray[np.float32]], totals: list[NDArray[np.int64]]
) -> list[Group]:
    return [
        Group(f"{name}:{b}", edges[b], edges[b + 1], totals[b + 1] - totals[b])
        for b in range(len(edges) - 1)
    ]
