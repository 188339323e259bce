"""Which latents of two SAEs are alike: by what they write, or by where they are active.

Both return the pairs worth considering, not a full matrix: two SAEs of 25,000 latents have 625
million pairs, and hardly any of them are alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import sparse

from saereport.diff.columns import Lists
from saereport.util.priority import SKETCHED, token_priorities

FLOOR = 0.3
"""Similarity below which two latents are not alike: twice what chance gives in 64 dimensions."""

BLOCK = 512
"""Latents whose similarities are held at a time."""

KEPT = 64
"""Candidates kept for each latent before, the most similar."""

COMMON = 3
"""Common tokens without which an overlap says nothing: rare latents meet by chance."""


@dataclass(frozen=True)
class SimilarPairs:
    """Pairs of latents whose similarity is at least `FLOOR`, as places in two lists of latents.

    Attributes:
        n_before: Latents before.
        n_after: Latents after.
        before: int64[m], ascending.
        after: int64[m], ascending within `before`.
        similarity: float64[m].
    """

    n_before: int
    n_after: int
    before: NDArray[np.int64]
    after: NDArray[np.int64]
    similarity: NDArray[np.float64]


def unit_rows(directions: pa.ChunkedArray) -> NDArray[np.float32]:
    """float32[n, d]: the rows of `decoder_directions`, of unit length; what is not a number is 0.

    Raises:
        ValueError: The rows have no common length.
    """
    lengths = set(pc.list_value_length(directions).unique().to_pylist())
    if len(lengths) > 1:
        raise ValueError("rows of different lengths")
    width = lengths.pop() if lengths else 0
    flat = pc.list_flatten(directions).to_numpy().astype(np.float32)
    rows: NDArray[np.float32] = np.nan_to_num(flat, posinf=0, neginf=0).reshape(-1, width or 1)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    rows /= np.where(norms == 0, 1, norms)
    return rows


def alike_by_direction(before: NDArray[np.float32], after: NDArray[np.float32]) -> SimilarPairs:
    """Pairs by the cosine of their decoder directions.

    Args:
        before: [n, d] unit rows.
        after: [m, d] unit rows.
    """
    found: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
    for start in range(0, len(before), BLOCK):
        cosines = before[start : start + BLOCK] @ after.T
        row, column = np.nonzero(cosines >= FLOOR)
        found.append(_most_similar(row + start, column, cosines[row, column].astype(np.float64)))
    return _candidates(len(before), len(after), found)


def alike_by_activity(before: Lists, after: Lists, context: int) -> SimilarPairs:
    """Pairs by the overlap of the tokens on which they are active, estimated from sketches.

    For each latent before, the latents after with which it has most tokens in common are looked
    at; the Jaccard overlap is that among the lowest tokens of the union of both sketches, so far
    as these are complete (bottom-k sketch, Cohen and Kaplan 2007).

    Args:
        before: `active_sketch.tokens` of n latents.
        after: `active_sketch.tokens` of m latents.
        context: Tokens in a sequence, which makes a token's number its place.
    """
    tokens, where = np.unique(np.concatenate([before.items, after.items]), return_inverse=True)
    priority = token_priorities(tokens, context)
    # Ranks of priority stand for the priorities, and sort the same.
    rank = np.empty(len(tokens), np.int64)
    rank[np.argsort(priority, kind="stable")] = np.arange(len(tokens))
    split = len(before.items)
    one = _incidence(before, rank[where[:split]], len(tokens))
    two = _incidence(after, rank[where[split:]], len(tokens))
    two_t = two.T.tocsr()
    padded = [_padded(side, len(tokens)) for side in (one, two)]
    found = []
    for start in range(0, one.shape[0], BLOCK):
        shared = (one[start : start + BLOCK] @ two_t).tocoo()
        keep = shared.data >= COMMON
        row, column = shared.row[keep] + start, shared.col[keep].astype(np.int64)
        either = before.lengths[row] + after.lengths[column] - shared.data[keep]
        guess = shared.data[keep] / np.maximum(either, 1)
        row, column, _ = _most_similar(row, column, guess)
        overlap = _overlap(padded[0][row], padded[1][column], len(tokens))
        keep = overlap >= FLOOR
        found.append((row[keep], column[keep], overlap[keep]))
    return _candidates(one.shape[0], two.shape[0], found)


def _incidence(lists: Lists, tokens: NDArray[np.int64], n_tokens: int) -> Any:
    n = len(lists.offsets) - 1
    ones = np.ones(len(tokens), np.int32)
    matrix = sparse.csr_matrix((ones, (lists.rows, tokens)), shape=(n, n_tokens))
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def _padded(matrix: Any, beyond: int) -> NDArray[np.int64]:
    """[n, SKETCHED]: each row's tokens, lowest first, filled up with `beyond`."""
    held = Lists(matrix.indices.astype(np.int64), matrix.indptr.astype(np.int64)).first(SKETCHED)
    rows = np.full((matrix.shape[0], SKETCHED), beyond)
    rows[held.rows, held.places] = held.items
    return rows


def _overlap(
    before: NDArray[np.int64], after: NDArray[np.int64], beyond: int
) -> NDArray[np.float64]:
    """Share of common tokens among the lowest `SKETCHED` of each union; float64[pairs]."""
    both = np.sort(np.concatenate([before, after], axis=1), axis=1)
    fresh = np.ones(both.shape, bool)
    fresh[:, 1:] = both[:, 1:] != both[:, :-1]
    real = both < beyond
    inside = (np.cumsum(fresh, axis=1) <= SKETCHED) & real
    union = (inside & fresh).sum(axis=1)
    common = (inside & ~fresh).sum(axis=1)
    overlap: NDArray[np.float64] = np.where(common >= COMMON, common / np.maximum(union, 1), 0.0)
    return overlap


def _most_similar(
    row: NDArray[np.int64], column: NDArray[np.int64], similarity: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """At most `KEPT` of each row."""
    order = np.lexsort((column, -similarity, row))
    row, column, similarity = row[order], column[order], similarity[order]
    place = np.arange(len(row)) - np.searchsorted(row, row, side="left")
    keep = place < KEPT
    return row[keep], column[keep], similarity[keep]


def _candidates(
    n_before: int,
    n_after: int,
    found: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]],
) -> SimilarPairs:
    row = np.concatenate([np.empty(0, np.int64), *(part[0] for part in found)])
    column = np.concatenate([np.empty(0, np.int64), *(part[1] for part in found)])
    similarity = np.concatenate([np.empty(0), *(part[2] for part in found)])
    order = np.lexsort((column, row))
    return SimilarPairs(n_before, n_after, row[order], column[order], similarity[order])
