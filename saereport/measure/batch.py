"""What the accumulators eat: the events of one batch, and the preparation that they share.

An *event* is one counted token on which one latent is active. Sparse autoencoders fire on some
twenty of thousands of latents, so a batch is a list of events and never a dense array, and the
work of every accumulator grows with the events only.

`SortedEvents` does once what several accumulators need: it drops the events of latents that nobody
asked about and puts the others in order of (row, sequence, position), where a *row* is a latent's
place in the sorted array of tracked latents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from saereport.measure.broken import NONE, Places

Columns = dict[str, Any]
"""One table's columns: name -> array; `Ragged` (or [rows, length], or a list of arrays) for a list
column, `Words` (or a list) for one of words; rows in key order."""

State = dict[str, NDArray[Any]]
"""A checkpoint of an accumulator: plain numeric arrays, fit for `numpy.savez`."""


@dataclass(frozen=True, eq=False)
class Events:
    """The events of some whole sequences for one SAE.

    Attributes:
        first: Index in the text of the first sequence of the batch.
        tokens: Token ids, int32[n, ctx].
        counted: Which tokens count, bool[n, ctx].
        documents: Which document each token is from, int32[n, ctx].
        latent: Index into the SAE's dictionary, int32[m].
        sequence: Index in the text (not in the batch), int32[m].
        position: Place in the sequence, int32[m].
        value: Activation, above zero and finite, float32[m].
        broken: Sequence, position and latent of what is no activation and no event, int64[b, 3].

    Events are sorted by (sequence, position, latent) and lie on counted tokens only.
    """

    first: int
    tokens: NDArray[np.int32]
    counted: NDArray[np.bool_]
    documents: NDArray[np.int32]
    latent: NDArray[np.int32]
    sequence: NDArray[np.int32]
    position: NDArray[np.int32]
    value: NDArray[np.float32]
    broken: Places = field(default_factory=NONE.copy)

    @cached_property
    def flat(self) -> NDArray[np.int64]:
        """Each event's token as an index into the flattened [n * ctx] batch."""
        local = self.sequence.astype(np.int64) - self.first
        flat: NDArray[np.int64] = local * self.tokens.shape[1] + self.position
        return flat

    @cached_property
    def n_counted(self) -> int:
        """How many tokens of the batch count."""
        return int(self.counted.sum())


class TrackedLatents:
    """The tracked latents of one SAE, and the way from a latent to its row.

    Args:
        latents: Sorted distinct indices into the dictionary, int[r].
        d_sae: Size of the dictionary.
    """

    def __init__(self, latents: NDArray[Any], d_sae: int) -> None:
        self.latents = np.ascontiguousarray(latents, dtype=np.int64)
        self.d_sae = int(d_sae)
        if len(self.latents) and not (
            self.latents[0] >= 0
            and self.latents[-1] < d_sae
            and bool(np.all(np.diff(self.latents) > 0))
        ):
            raise ValueError("tracked latents must be sorted, distinct and within the dictionary")
        self._row = np.full(d_sae, -1, dtype=np.int32)
        self._row[self.latents] = np.arange(len(self.latents), dtype=np.int32)

    def __len__(self) -> int:
        return len(self.latents)

    @property
    def everything(self) -> bool:
        """Whether every latent of the SAE is tracked."""
        return len(self.latents) == self.d_sae

    def of(self, latents: NDArray[Any]) -> NDArray[np.int32]:
        """The row of each latent, -1 where it is not tracked."""
        rows: NDArray[np.int32] = self._row[latents]
        return rows

    def chosen(self, latents: NDArray[Any]) -> NDArray[np.int32]:
        """The rows of latents to report; `ValueError` if one of them was not tracked."""
        rows = self._row[np.asarray(latents, dtype=np.int64)]
        if (rows < 0).any():
            raise ValueError("latents were asked for that were not tracked")
        return rows


class SortedEvents:
    """A batch, with its tracked events ordered by (row, sequence, position).

    Attributes:
        batch: The batch as it came.
        rows: The tracked latents.
        row: Row of each tracked event, int32[k].
        sequence, position, value: As in the batch, in the new order.
        flat: The event's token as an index into the flattened batch, int64[k].
    """

    def __init__(self, batch: Events, rows: TrackedLatents) -> None:
        self.batch = batch
        self.rows = rows
        row = batch.latent if rows.everything else rows.of(batch.latent)
        kept = None if rows.everything else np.flatnonzero(row >= 0)
        if kept is not None:
            row = row[kept]
        # uint16 keys get numpy's radix sort; it is stable, so (sequence, position) order stays.
        narrow = row.astype(np.uint16) if len(rows) <= 1 << 16 else row
        order = np.argsort(narrow, kind="stable")
        self.row: NDArray[np.int32] = row[order].astype(np.int32, copy=False)
        events = order if kept is None else kept[order]
        self.sequence = batch.sequence[events]
        self.position = batch.position[events]
        self.value = batch.value[events]
        self.flat = batch.flat[events]

    @cached_property
    def bits(self) -> NDArray[np.int32]:
        """The activations' IEEE bits: for positive floats, an order-preserving integer."""
        return self.value.view(np.int32)

    @cached_property
    def group_start(self) -> NDArray[np.int64]:
        """Where each run of equal (row, sequence) begins, int64[g]."""
        if not len(self.row):
            return np.zeros(0, dtype=np.int64)
        change = (self.row[1:] != self.row[:-1]) | (self.sequence[1:] != self.sequence[:-1])
        return np.concatenate([[0], np.flatnonzero(change) + 1]).astype(np.int64)

    @cached_property
    def group_of(self) -> NDArray[np.int64]:
        """Each event's run of equal (row, sequence), int64[k]."""
        mark = np.zeros(len(self.row), dtype=np.int64)
        mark[self.group_start[1:]] = 1
        return np.cumsum(mark)


class Accumulator(Protocol):
    """A mergeable statistic of events.

    The statistics of disjoint parts of a text merge to those of the whole, whatever the parts,
    the batches and the order of merging.
    """

    def update(self, prepared: SortedEvents) -> None:
        """Take in one batch."""

    def merge(self, other: Self) -> None:
        """Take in what another accumulator of the same setting saw of another part of the text."""

    def result(self, latents: NDArray[Any], peers: Mapping[str, Any]) -> dict[str, Columns]:
        """The tables for some of the tracked latents.

        Args:
            latents: Sorted indices into the dictionary.
            peers: The other accumulators of the measurement, by the statistic's name.
        """

    def state(self) -> State:
        """Everything needed to go on elsewhere, as plain arrays."""

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become the accumulator whose `state` this is."""
