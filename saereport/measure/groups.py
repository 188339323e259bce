"""Splitting a latent's activations into ranges whose counts are known exactly.

The edges of the groups lie on the edges of histogram bins, which makes the counts exact and
independent of how the text was read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saereport.measure.activity import Activity
from saereport.measure.floats import fine_edge


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
    linear = activity.linear
    maximum = linear.maximum[rows]
    exponent = np.where(maximum > 0, linear.exponent[rows], 0)
    bins = np.ldexp(maximum.astype(np.float64), -exponent)
    below = linear.below(rows)
    at = [np.floor(bins * i / n + 0.5).astype(np.int64) for i in range(n)]
    edges = [np.ldexp(a.astype(np.float64), exponent).astype(np.float32) for a in at]
    totals = [np.take_along_axis(below, a[:, None], axis=1)[:, 0] for a in at]
    return _groups("interval", [*edges, maximum], [*totals, below[:, -1]])


def quantiles(activity: Activity, rows: NDArray[Any], inner: tuple[float, ...]) -> list[Group]:
    """Quantile groups of the non-zero activations, split at upper edges of fine logarithmic bins.

    The edge for quantile q is the upper edge of the bin that holds the activation of rank
    ceil(q n), so a group can hold somewhat more or less than its nominal share; the last edge is
    the maximum. Where many activations are equal a group may be empty.
    """
    maximum = activity.linear.maximum[rows]
    n = activity.n_active(rows)
    bins = activity.rank_bins(rows, inner)
    edges = [np.zeros(len(rows), dtype=np.float32)]
    totals = [np.zeros(len(rows), dtype=np.int64)]
    counts = activity.log.counts
    for i in range(len(inner)):
        edge = fine_edge(bins[:, i] + 1)
        edges.append(np.minimum(edge, maximum).astype(np.float32))
        total = np.zeros(len(rows), dtype=np.int64)
        if counts.shape[1]:
            for at in range(0, len(rows), 1024):
                running = np.cumsum(counts[rows[at : at + 1024]], axis=1)
                column = bins[at : at + 1024, i : i + 1] - activity.log.first
                total[at : at + 1024] = np.take_along_axis(running, column, axis=1)[:, 0]
        totals.append(total)
    return _groups("quantile", [*edges, maximum], [*totals, n])


def _groups(
    name: str, edges: list[NDArray[np.float32]], totals: list[NDArray[np.int64]]
) -> list[Group]:
    return [
        Group(f"{name}:{b}", edges[b], edges[b + 1], totals[b + 1] - totals[b])
        for b in range(len(edges) - 1)
    ]
