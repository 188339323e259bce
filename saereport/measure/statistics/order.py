"""The largest activations of each latent, value by value: order statistics where bins are too wide.

A bin of the histograms says how many activations lie in it, not which: for a latent that was
active a few times, or near its maximum, that is too coarse to split its activations into groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.measure.batch import SortedEvents
from saereport.measure.columns import State
from saereport.measure.crossing import to_device, to_host
from saereport.measure.exact import rank_in_groups
from saereport.measure.sorting import sort_integers

KEPT = 64
"""Values kept of each latent, 256 bytes."""
_WAITING = 1 << 18
_BELOW = 31
_HIGHEST = (1 << _BELOW) - 1


class LargestValues:
    """The `KEPT` largest activations of each row, descending, float32[rows, KEPT]; zero where less.

    A function of the multiset of activations alone, hence independent of batches and merging.
    """

    def __init__(self, rows: int, device: torch.device | str) -> None:
        self._values = torch.zeros((rows, KEPT), dtype=torch.float32, device=device)
        self._waiting: list[tuple[Tensor, Tensor]] = []
        self._n_waiting = 0

    def choose(self, prepared: SortedEvents) -> None:
        """Ask for the events above the smallest value kept."""
        threshold = self._values.select(1, -1).index_select(0, prepared.row)
        prepared.want("activity.largest", prepared.value > threshold)

    def add(self, prepared: SortedEvents) -> None:
        """Take in a batch's events."""
        larger = prepared.picked("activity.largest")
        if len(larger):
            self.take(
                prepared.wide_row.index_select(0, larger), prepared.value.index_select(0, larger)
            )

    def take(self, row: Tensor, value: Tensor) -> None:
        """Take in activations above the smallest value kept: row (int64) and value of each."""
        self._waiting.append((row, value))
        self._n_waiting += len(row)
        if self._n_waiting > max(_WAITING, self._values.numel() // 2):
            self._compact()

    def _compact(self) -> None:
        if not self._waiting:
            return
        n = len(self._values)
        kept = self._values.reshape(-1)
        held = torch.nonzero(kept).squeeze(1)
        # A row and the bits of an activation are one integer, which is all there is to sort.
        packed = sort_integers(
            torch.cat(
                [
                    _packed(held // KEPT, kept.index_select(0, held)),
                    *(_packed(row, value) for row, value in self._waiting),
                ]
            )
        )
        self._waiting, self._n_waiting = [], 0
        row = packed >> _BELOW
        value = (_HIGHEST - (packed & _HIGHEST)).to(torch.int32).view(torch.float32)
        rank = rank_in_groups(row, n)
        # What is not kept goes to a place behind the table, so that its number need not be known.
        place = torch.where(rank < KEPT, row * KEPT + rank, n * KEPT)
        table = torch.zeros(n * KEPT + 1, dtype=torch.float32, device=value.device)
        self._values = table.scatter_(0, place, value)[:-1].reshape(n, KEPT)

    def merge(self, other: LargestValues) -> None:
        """Take in another part of the text."""
        other._compact()
        row, rank = torch.nonzero(other._values, as_tuple=True)
        if len(row):
            self.take(row, other._values[row, rank])

    @property
    def values(self) -> NDArray[np.float32]:
        """The values, float32[rows, KEPT]."""
        self._compact()
        return to_host(self._values)

    def state(self) -> State:
        """The values."""
        return {"values": self.values}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become the table whose `state` this is."""
        self._values = to_device(state["values"], self._values.device)
        self._waiting, self._n_waiting = [], 0


def _packed(row: Tensor, value: Tensor) -> Tensor:
    """Row, then activation, the largest first, as one integer."""
    return (row << _BELOW) | (_HIGHEST - value.view(torch.int32).to(torch.int64))


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
