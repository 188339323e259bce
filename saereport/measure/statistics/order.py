"""The largest activations of each latent, value by value: order statistics where bins are too wide.

A bin of the histograms says how many activations lie in it, not which: for a latent that was
active a few times, or near its maximum, that is too coarse to split its activations into groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saereport.measure.batch import State
from saereport.measure.statistics.spacing import rank_in_runs

KEPT = 64
"""Values kept of each latent, 256 bytes."""
_WAITING = 1 << 18


class LargestValues:
    """The `KEPT` largest activations of each row, descending, float32[rows, KEPT]; zero where less.

    A function of the multiset of activations alone, hence independent of batches and merging.
    """

    def __init__(self, rows: int) -> None:
        self._values = np.zeros((rows, KEPT), dtype=np.float32)
        self._waiting: list[tuple[NDArray[Any], NDArray[np.float32]]] = []
        self._n_waiting = 0

    def add(self, row: NDArray[Any], value: NDArray[np.float32]) -> None:
        """Take in events: row and activation of each, both [k]."""
        larger = value > self._values[row, -1]
        if larger.any():
            self._waiting.append((row[larger], value[larger]))
            self._n_waiting += len(self._waiting[-1][0])
            if self._n_waiting > _WAITING:
                self._compact()

    def _compact(self) -> None:
        if not self._waiting:
            return
        row, value = (np.concatenate(column) for column in zip(*self._waiting, strict=True))
        self._waiting, self._n_waiting = [], 0
        rows = np.unique(row)
        kept = self._values[rows]
        row = np.concatenate([row, np.repeat(rows, KEPT)])
        value = np.concatenate([value, kept.reshape(-1)])
        order = np.lexsort((-value, row))
        row, value = row[order], value[order]
        rank = rank_in_runs(row)
        first = rank < KEPT
        self._values[row[first], rank[first]] = value[first]

    def merge(self, other: LargestValues) -> None:
        """Take in another part of the text."""
        values = other.values
        row, rank = np.nonzero(values)
        self.add(row, values[row, rank])

    @property
    def values(self) -> NDArray[np.float32]:
        """The values, float32[rows, KEPT]."""
        self._compact()
        return self._values

    def state(self) -> State:
        """The values."""
        return {"values": self.values}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become the table whose `state` this is."""
        self._values = state["values"].copy()
        self._waiting, self._n_waiting = [], 0


def rank_of(q: NDArray[Any] | float, n: NDArray[Any], *, up: bool) -> NDArray[np.int64]:
    """`q n` rounded up or down to a rank, with no error of the product: 0.07 * 100 is 7.

    Args:
        q: Shares between 0 and 1 with at most nine decimals.
        n: Counts, broadcast against `q`.
        up: Whether to round up.
    """
    product = np.asarray(q) * n
    rank: NDArray[np.int64] = (np.ceil(product - 1e-6) if up else np.floor(product + 1e-6)).astype(
        np.int64
    )
    return rank
