"""From pairs that are alike to a one-to-one assignment, and to those that are one-to-many."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linear_sum_assignment
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from saereport.diff.model import Cluster
from saereport.diff.similarity import FLOOR, SimilarPairs

DENSE = 1500
"""Latents of a side up to which the assignment is solved on the full matrix."""

CLUSTERED = 0.5
"""Similarity from which a latent counts as a part of another."""

Chosen = NDArray[np.int64]


def one_to_one(candidates: SimilarPairs) -> Chosen:
    """The candidates that are chosen so that each latent has at most one partner.

    The sum over the chosen pairs of similarity minus `FLOOR` is the largest that is possible.

    Returns:
        int64[k], indices into the candidates, ascending.
    """
    gain = candidates.similarity - FLOOR
    if not len(gain):
        return np.empty(0, np.int64)
    shape = (candidates.n_before, candidates.n_after)
    if max(shape) <= DENSE:
        matrix = np.zeros(shape)
        matrix[candidates.before, candidates.after] = gain
        rows, columns = linear_sum_assignment(matrix, maximize=True)
    else:
        rows, columns = _sparse_assignment(candidates, gain)
    chosen = rows * candidates.n_after + columns
    keys = candidates.before * candidates.n_after + candidates.after
    found: Chosen = np.flatnonzero(np.isin(keys, chosen))
    return found


def _sparse_assignment(
    candidates: SimilarPairs, gain: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The same, on the candidates alone: each latent may stay alone with a stand-in of its own."""
    before, rows = np.unique(candidates.before, return_inverse=True)
    after, columns = np.unique(candidates.after, return_inverse=True)
    alone = np.arange(len(before))
    # A cost of 0 would be read as no edge.
    costs = np.concatenate([2 - gain, np.full(len(before), 2.0)])
    graph = sparse.csr_matrix(
        (costs, (np.concatenate([rows, alone]), np.concatenate([columns, len(after) + alone]))),
        shape=(len(before), len(after) + len(before)),
    )
    row, column = min_weight_full_bipartite_matching(graph)
    real = column < len(after)
    return before[row[real]], after[column[real]]


def clusters(
    candidates: SimilarPairs, before: NDArray[np.int64], after: NDArray[np.int64]
) -> tuple[Cluster, ...]:
    """Latents of one side that are the best partner of several of the other side.

    A latent takes part in the cluster of its best partner if their similarity is at least
    `CLUSTERED`. Ties go to the smaller number.

    Args:
        candidates: Pairs that are alike.
        before: int64[n], numbers of the latents before.
        after: int64[m], numbers of the latents after.
    """
    keep = candidates.similarity >= CLUSTERED
    one = before[candidates.before[keep]]
    two = after[candidates.after[keep]]
    similarity = candidates.similarity[keep]
    return (
        *_clusters("before", one, two, similarity),
        *_clusters("after", two, one, similarity),
    )


def _clusters(
    side: Literal["before", "after"],
    centre: NDArray[np.int64],
    part: NDArray[np.int64],
    similarity: NDArray[np.float64],
) -> list[Cluster]:
    order = np.lexsort((centre, -similarity, part))
    best = order[np.unique(part[order], return_index=True)[1]]
    best = best[np.lexsort((part[best], -similarity[best], centre[best]))]
    centres, starts = np.unique(centre[best], return_index=True)
    groups = np.split(best, starts[1:]) if len(best) else []
    return [
        Cluster(
            side,
            int(latent),
            tuple(part[group].tolist()),
            tuple(np.round(similarity[group], 6).tolist()),
        )
        for latent, group in zip(centres, groups, strict=True)
        if len(group) > 1
    ]
