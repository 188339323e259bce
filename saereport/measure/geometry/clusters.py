"""Clusters of a dictionary's directions, in the space that they live in.

Average linkage on cosines: two clusters are joined while the mean cosine between a latent of the
one and a latent of the other is the largest there is and not below a cut. For unit vectors that
mean is the scalar product of the clusters' mean vectors, so no matrix of all cosines is needed:
clusters keep the sums of their directions. Who may be joined with whom is limited to clusters of
which a latent is among the nearest of a latent of the other; with as many nearest as there are
latents, it is plain average linkage. The number of clusters is not chosen: it follows from the cut.

What grows with the square of the latents is time alone, and that by products of matrices. Two
things would make the joining itself grow like that. Thousands of equal directions all are
neighbours of the same few: where those nearest to a direction all are near-equal to it, they are
joined beforehand, as they would be anyway. And thousands that lie close together, each at another
place, are joined one by one, each time compared with all that are left: beyond `MOST_MEANS` of
these comparisons the work is given up.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.measure.geometry.matching import MEMORY, mean_cosine
from saereport.measure.weights.extremes import largest

NEAREST = 16
"""Neighbours by which latents may be joined."""
ALIKE = 0.999
"""Cosine from which directions are near-equal: where all that are nearest are, they are one."""
MOST_MEANS = 4_000_000
"""Mean cosines between clusters that are taken at most; a dictionary takes some ten a latent."""
LED = 1024
"""Near-equal directions that are looked at together."""


class TooClose(Exception):
    """So many directions lie close together that to join them would take too long."""


@dataclass(frozen=True, eq=False)
class Cluster:
    """Directions that belong together.

    Attributes:
        rows: Their places among the dictionary's rows, the nearest to the centre first.
        cosines: Of each with the centre, which is the mean of all, float32.
        cohesion: Mean cosine between two of them.
    """

    rows: NDArray[np.int64]
    cosines: NDArray[np.float32]
    cohesion: float


def clusters(
    rows: Tensor, cut: float, smallest: int = 3, nearest: int = NEAREST, memory: int = MEMORY
) -> list[Cluster]:
    """Clusters by average linkage on cosines.

    Args:
        rows: Unit rows, float32 `[n, d]`.
        cut: Mean cosine from which clusters are joined, above 0.
        smallest: Directions of a cluster at least; the others are in none.
        nearest: Neighbours by which latents may be joined.
        memory: Bytes that a block of cosines may take.

    Returns:
        The largest first, of equal ones the one with the row of smallest number.

    Raises:
        TooClose: To join them would take more than `MOST_MEANS` mean cosines.
    """
    # Two that are that near to a third have a cosine with each other that is not below the cut.
    alike = max(ALIKE, ((1 + cut) / 2) ** 0.5)
    pairs, crowded = _neighbours(rows, nearest, cut, alike, memory)
    groups: list[NDArray[np.int64]] = [np.array([row]) for row in range(len(rows))]
    if len(crowded):
        groups = _one_of_alike(rows, crowded, alike)
        first = torch.from_numpy(np.array([group[0] for group in groups]))
        # What are still many, and near-equal to many, are no more than others.
        pairs, _ = _neighbours(rows[first.to(rows.device)], nearest, cut, 2.0, memory)
    joined = _Joining(rows.cpu().numpy(), groups, cut)
    for one, other, cosine in zip(*(part.tolist() for part in pairs), strict=True):
        joined.offer(one, other, cosine)
    found = [np.sort(group) for group in joined.joined() if len(group) >= smallest]
    made = [_cluster(rows, group) for group in found]
    return sorted(made, key=lambda c: (-len(c.rows), int(c.rows.min())))


Pairs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]
"""The smaller and the larger of two rows, and their cosine; in this order, each pair once."""


def _neighbours(
    rows: Tensor, k: int, cut: float, alike: float, memory: int
) -> tuple[Pairs, NDArray[np.int64]]:
    """Pairs of rows of which one is among the other's k nearest, with cosines from the cut on.

    Returns:
        The pairs, and the rows that have k others at a cosine from `alike` on, which are not asked
        for theirs.
    """
    n = len(rows)
    k = min(k, n - 1)
    step = max(1, memory // (8 * max(n, 1)))
    ones, others, cosines, crowded = [], [], [], []
    for start in range(0, n if k else 0, step):
        cosine = rows[start : start + step] @ rows.T
        own = torch.arange(len(cosine), device=rows.device)
        cosine[own, own + start] = -torch.inf
        full = (cosine >= alike).sum(dim=1) >= k
        crowded.append(np.flatnonzero(full.cpu().numpy()) + start)
        if bool(full.any()):
            own, cosine = own[~full], cosine[~full]
        index, values = largest(cosine, k)
        place, rank = np.nonzero(values.numpy() >= cut)
        ones.append(own.cpu().numpy()[place] + start)
        others.append(index.numpy()[place, rank])
        cosines.append(values.numpy()[place, rank])
    if not ones:
        return (*np.zeros((2, 0), np.int64), np.zeros(0, np.float32)), np.zeros(0, np.int64)
    one, other = np.concatenate(ones), np.concatenate(others)
    key = np.minimum(one, other) * n + np.maximum(one, other)
    # Of a pair that was found from both ends the cosine that was found last.
    found, last = np.unique(key[::-1], return_index=True)
    cosine_of = np.concatenate(cosines)[::-1][last]
    return (found // n, found % n, cosine_of), np.concatenate(crowded)


def _one_of_alike(
    rows: Tensor, crowded: NDArray[np.int64], alike: float
) -> list[NDArray[np.int64]]:
    """All rows in groups: each by itself, but the crowded ones with the first that they are like.

    Args:
        rows: Unit rows, `[n, d]`.
        crowded: Those that have many near-equal ones, ascending.
        alike: Cosine from which one goes with another.
    """
    leads = np.arange(len(rows), dtype=np.int64)
    led: list[int] = []
    for start in range(0, len(crowded), LED):
        block = crowded[start : start + LED]
        mine = rows[torch.from_numpy(block).to(rows.device)]
        free = np.ones(len(block), dtype=bool)
        if led:
            # The first of those that are alike.
            cosine = mine @ rows[torch.tensor(led, device=rows.device)].T
            alike_to = (cosine >= alike).cpu().numpy()
            free = np.logical_not(alike_to.any(axis=1))
            leads[block[~free]] = np.array(led)[alike_to.argmax(axis=1)[~free]]
        while free.any():
            place = int(free.argmax())
            led.append(int(block[place]))
            near = (mine @ mine[place] >= alike).cpu().numpy() & free
            near[place] = True
            leads[block[near]] = led[-1]
            free &= ~near
    order = np.argsort(leads, kind="stable")
    _, starts = np.unique(leads[order], return_index=True)
    return np.split(order, starts[1:])


class _Joining:
    """Clusters being joined, the pair with the largest mean cosine first.

    Args:
        rows: Unit rows, `[n, d]`.
        groups: Of each cluster at the beginning the places of its rows.
        cut: Mean cosine from which clusters are joined.
    """

    def __init__(
        self, rows: NDArray[np.float32], groups: Sequence[NDArray[np.int64]], cut: float
    ) -> None:
        self._cut, self._rows = cut, rows
        self._members: dict[int, list[int]] = {i: g.tolist() for i, g in enumerate(groups)}
        self._sums: dict[int, NDArray[np.float64]] = {
            i: rows[group].sum(axis=0, dtype=np.float64)
            for i, group in enumerate(groups)
            if len(group) > 1
        }
        self._near: dict[int, set[int]] = {i: set() for i in range(len(groups))}
        self._heap: list[tuple[float, int, int]] = []
        self._next, self._means = len(groups), 0

    def offer(self, one: int, other: int, cosine: float) -> None:
        """Two clusters of the beginning that may be joined."""
        if one in self._sums or other in self._sums:
            cosine = self._mean(one, other)
            if cosine < self._cut:
                return
        self._near[one].add(other)
        self._near[other].add(one)
        self._heap.append((-cosine, one, other))

    def joined(self) -> list[list[int]]:
        """The rows of each cluster when nothing is left to be joined.

        Raises:
            TooClose: It would take more than `MOST_MEANS` mean cosines.
        """
        heapq.heapify(self._heap)
        while self._heap:
            _, one, other = heapq.heappop(self._heap)
            # Of what was joined since, newer pairs are in the heap.
            if one in self._members and other in self._members:
                self._join(one, other)
        return list(self._members.values())

    def _sum(self, cluster: int) -> NDArray[np.float64]:
        found = self._sums.get(cluster)
        return self._rows[self._members[cluster][0]].astype(np.float64) if found is None else found

    def _mean(self, one: int, other: int) -> float:
        size = len(self._members[one]) * len(self._members[other])
        return float(self._sum(one) @ self._sum(other)) / size

    def _join(self, one: int, other: int) -> None:
        made, self._next = self._next, self._next + 1
        total = self._sum(one) + self._sum(other)
        members = self._members.pop(one) + self._members.pop(other)
        near = (self._near.pop(one) | self._near.pop(other)) - {one, other}
        self._means += len(near)
        if self._means > MOST_MEANS:
            raise TooClose
        for gone in (one, other):
            self._sums.pop(gone, None)
        self._sums[made], self._members[made], self._near[made] = total, members, near
        for neighbour in sorted(near):
            self._near[neighbour] -= {one, other}
            self._near[neighbour].add(made)
            mean = self._mean(made, neighbour)
            if mean >= self._cut:
                heapq.heappush(self._heap, (-mean, neighbour, made))


def _cluster(rows: Tensor, members: NDArray[np.int64]) -> Cluster:
    inside = rows[torch.from_numpy(members).to(rows.device)]
    centre = inside.mean(dim=0)
    cosines = (inside @ (centre / centre.norm().clamp(min=1e-30))).clamp(-1, 1).cpu().numpy()
    order = np.lexsort((members, -cosines))
    return Cluster(members[order], cosines[order], mean_cosine(inside))
