"""Choosing examples whose windows do not overlap, for many latents at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def spaced(
    group: NDArray[Any],
    sequence: NDArray[Any],
    position: NDArray[Any],
    reach: int,
    limit: int,
) -> NDArray[np.int64]:
    """Within each group take events greedily, best first, skipping those that overlap a taken one.

    Two events overlap if they are of one sequence and at most `reach` positions apart: that is when
    windows of `before` tokens before and `after` after the peak share a token, with
    `reach = before + after`. (Clipping windows to the sequence does not change that.)

    Args:
        group: Group of each event, equal ones side by side, [k].
        sequence: Sequence of each event, [k].
        position: Place in the sequence of each event, [k].
        reach: Largest distance at which two windows overlap.
        limit: At most so many a group.

    Returns:
        Indices of the events taken, ascending.

    Within a group the order of the input is the order of preference. Each round takes the best
    remaining event of every group and drops what overlaps it, so the work is `limit` passes over a
    shrinking list, without a loop over groups or events.
    """
    taken: list[NDArray[np.int64]] = []
    left = np.arange(len(group), dtype=np.int64)
    for _ in range(limit):
        if not len(left):
            break
        groups = group[left]
        new = np.concatenate([[True], groups[1:] != groups[:-1]])
        best = left[new]
        taken.append(best)
        rival = best[np.cumsum(new) - 1]
        near = np.abs(position[left] - position[rival]) <= reach
        left = left[~(near & (sequence[left] == sequence[rival]))]
    return np.sort(np.concatenate(taken)) if taken else left


def sort_by(group: NDArray[np.int64], key: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The order by (group, key): one fast sort where both fit into 64 bits without ties.

    Args:
        group: Not negative.
        key: Distinct within a group.
    """
    if not len(group):
        return np.zeros(0, dtype=np.int64)
    bits = np.uint64(max(int(group.max()).bit_length(), 1))
    packed = (group.astype(np.uint64) << (np.uint64(64) - bits)) | (key >> bits)
    order = np.argsort(packed)
    packed = packed[order]
    if (packed[1:] == packed[:-1]).any():
        order = np.lexsort((key, group))
    return order


def rank_in_runs(key: NDArray[Any]) -> NDArray[np.int64]:
    """The place (from 0) of each element within its run of equal keys."""
    if not len(key):
        return np.zeros(0, dtype=np.int64)
    start = np.concatenate([[0], np.flatnonzero(key[1:] != key[:-1]) + 1])
    lengths = np.diff(np.append(start, len(key)))
    place: NDArray[np.int64] = np.arange(len(key)) - np.repeat(start, lengths)
    return place
