"""Edges of two circuits, joined: gained, lost, turned, reweighted.

A run stores only the strongest edges, so an edge that one side does not hold need not be 0 there.
Each side therefore says how strong an edge may be that it left out (`hidden`); an edge counts as
gained or lost only by what it exceeds that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Change = Literal["gained", "lost", "sign", "weight"]


@dataclass(frozen=True)
class EdgeMap:
    """The edges of one map that one run holds.

    Attributes:
        keys: int64[m, k], what an edge goes from and to, in numbers that both runs share; no edge
            twice.
        weights: float64[m].
    """

    keys: NDArray[np.int64]
    weights: NDArray[np.float64]


@dataclass(frozen=True)
class EdgeChanges:
    """Edges that changed by more than the tolerance; columns of equal length, strongest first.

    Attributes:
        before: int64[c], the edge's row before, -1 where it was not there.
        after: int64[c], the edge's row after, -1 where it is gone.
        sizes: float64[c], absolute change divided by the largest absolute weight of both maps;
            for an edge gained or lost, by how much it certainly changed.
        changes: What happened to each.
    """

    before: NDArray[np.int64]
    after: NDArray[np.int64]
    sizes: NDArray[np.float64]
    changes: tuple[Change, ...]


def joined(
    before: EdgeMap,
    after: EdgeMap,
    hidden: tuple[NDArray[np.float64], NDArray[np.float64]],
    tolerance: float,
) -> EdgeChanges:
    """Find the edges that changed.

    Args:
        before: Edges before.
        after: Edges after.
        hidden: For each edge before, the weight that it may have after though it is not stored
            there (infinite where that is unknown); and for each edge after, likewise before.
        tolerance: Sizes up to this are noise.
    """
    scale = max(np.abs(before.weights).max(initial=0), np.abs(after.weights).max(initial=0)) or 1
    split = len(before.keys)
    _, where = np.unique(np.concatenate([before.keys, after.keys]), axis=0, return_inverse=True)
    where = where.reshape(-1)
    _, one, two = np.intersect1d(where[:split], where[split:], return_indices=True)
    lost = np.setdiff1d(np.arange(split), one)
    gained = np.setdiff1d(np.arange(len(after.keys)), two)
    rows_before = np.concatenate([one, lost, np.full(len(gained), -1)])
    rows_after = np.concatenate([two, np.full(len(lost), -1), gained])
    sizes = np.concatenate(
        [
            np.abs(after.weights[two] - before.weights[one]),
            np.abs(before.weights[lost]) - hidden[0][lost],
            np.abs(after.weights[gained]) - hidden[1][gained],
        ]
    )
    sizes = np.maximum(sizes, 0) / scale
    turned = before.weights[one] * after.weights[two] < 0
    kinds = np.concatenate([np.where(turned, 2, 3), np.full(len(lost), 1), np.full(len(gained), 0)])
    beyond = np.flatnonzero(sizes > tolerance)
    order = beyond[np.lexsort((rows_after[beyond], rows_before[beyond], -sizes[beyond]))]
    names: tuple[Change, ...] = ("gained", "lost", "sign", "weight")
    return EdgeChanges(
        rows_before[order],
        rows_after[order],
        sizes[order],
        tuple(names[kind] for kind in kinds[order]),
    )
