"""Clusters of a dictionary's directions, in the space that they live in.

Average linkage on cosines: two clusters are joined while the mean cosine between a latent of the
one and a latent of the other is the largest there is and not below a cut. For unit vectors that
mean is the scalar product of the clusters' mean vectors, so no matrix of all cosines is needed:
clusters keep the sums of their directions. Who may be joined with whom is limited to clusters of
which a latent is among the nearest of a latent of the other; with as many nearest as there are
latents, it is plain average linkage. The number of clusters is not chosen: it follows from the cut.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.measure.geometry.matching import MEMORY, mean_cosine
from saereport.measure.weights.extremes import largest

NEAREST = 16
"""Neighbours by which latents may be joined."""


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
    """
    joined = _Joining(rows.cpu().numpy(), cut)
    for one, other, cosine in _neighbours(rows, nearest, cut, memory):
        joined.offer(one, other, cosine)
    groups = [g for g in joined.groups() if len(g) >= smallest]
    found = [_cluster(rows, np.array(sorted(group), np.int64)) for group in groups]
    return sorted(found, key=lambda c: (-len(c.rows), int(c.rows.min())))


def _neighbours(rows: Tensor, k: int, cut: float, memory: int) -> list[tuple[int, int, float]]:
    """Pairs of rows of which one is among the other's nearest, with cosines from the cut on."""
    n = len(rows)
    step = max(1, memory // (8 * max(n, 1)))
    found: dict[tuple[int, int], float] = {}
    for start in range(0, n, step):
        cosine = rows[start : start + step] @ rows.T
        own = torch.arange(len(cosine), device=rows.device)
        cosine[own, own + start] = -torch.inf
        index, values = largest(cosine, min(k, n - 1))
        for place, (others, near) in enumerate(zip(index.tolist(), values.tolist(), strict=True)):
            row = place + start
            for other, value in zip(others, near, strict=True):
                if value >= cut:
                    found[min(row, other), max(row, other)] = value
    return [(one, other, value) for (one, other), value in sorted(found.items())]


class _Joining:
    """Clusters being joined, the pair with the largest mean cosine first."""

    def __init__(self, rows: NDArray[np.float32], cut: float) -> None:
        self._cut = cut
        self._sums: dict[int, NDArray[np.float64]] = {}
        self._rows = rows
        self._members: dict[int, list[int]] = {i: [i] for i in range(len(rows))}
        self._near: dict[int, set[int]] = {i: set() for i in range(len(rows))}
        self._heap: list[tuple[float, int, int]] = []
        self._next = len(rows)

    def offer(self, one: int, other: int, cosine: float) -> None:
        """Two rows that may be joined."""
        self._near[one].add(other)
        self._near[other].add(one)
        self._heap.append((-cosine, one, other))

    def groups(self) -> list[list[int]]:
        """What there is when nothing is left to be joined."""
        heapq.heapify(self._heap)
        while self._heap:
            _, one, other = heapq.heappop(self._heap)
            # Of what was joined since, newer pairs are in the heap.
            if one in self._members and other in self._members:
                self._join(one, other)
        return list(self._members.values())

    def _sum(self, cluster: int) -> NDArray[np.float64]:
        found = self._sums.get(cluster)
        return self._rows[cluster].astype(np.float64) if found is None else found

    def _join(self, one: int, other: int) -> None:
        made, self._next = self._next, self._next + 1
        total = self._sum(one) + self._sum(other)
        members = self._members.pop(one) + self._members.pop(other)
        near = (self._near.pop(one) | self._near.pop(other)) - {one, other}
        for gone in (one, other):
            self._sums.pop(gone, None)
        self._sums[made], self._members[made], self._near[made] = total, members, near
        for neighbour in sorted(near):
            self._near[neighbour] -= {one, other}
            self._near[neighbour].add(made)
            size = len(members) * len(self._members[neighbour])
            mean = float(total @ self._sum(neighbour)) / size
            if mean >= self._cut:
                heapq.heappush(self._heap, (-mean, neighbour, made))


def _cluster(rows: Tensor, members: NDArray[np.int64]) -> Cluster:
    inside = rows[torch.from_numpy(members).to(rows.device)]
    centre = inside.mean(dim=0)
    cosines = (inside @ (centre / centre.norm().clamp(min=1e-30))).clamp(-1, 1).cpu().numpy()
    order = np.lexsort((members, -cosines))
    return Cluster(members[order], cosines[order], mean_cosine(inside))
