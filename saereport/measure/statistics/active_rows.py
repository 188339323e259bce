"""Each candidate example's activations over its whole sequence, while it is a candidate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saereport.measure.batch import SortedEvents, State
from saereport.measure.statistics.candidates import row_key
from saereport.measure.statistics.spacing import distinct

_WAITING = 1 << 20


class ActiveRows:
    """Positions and values of a latent on a sequence, kept while some example refers to them.

    Entries are keyed by `row << 32 | sequence`. New ones are appended; `keep` sorts them in and
    throws out what nobody needs any more.
    """

    def __init__(self) -> None:
        self._keys = np.zeros(0, dtype=np.int64)
        self._start = np.zeros(1, dtype=np.int64)
        self._positions = np.zeros(0, dtype=np.int32)
        self._values = np.zeros(0, dtype=np.float32)
        self._waiting: list[tuple[NDArray[Any], ...]] = []
        self._n_waiting = 0

    @property
    def full(self) -> bool:
        """Whether it is time to `keep` what is needed: the waiting outgrew the kept."""
        return self._n_waiting > max(_WAITING, len(self._values))

    def add(self, prepared: SortedEvents, events: NDArray[np.int64]) -> None:
        """Remember the sequences' activations around some events of a batch."""
        if not len(events):
            return
        start = prepared.group_start
        wanted = np.zeros(len(start), dtype=bool)
        wanted[prepared.group_of[events]] = True
        chosen = np.flatnonzero(wanted)
        inside = wanted[prepared.group_of]
        at = start[chosen]
        lengths = np.diff(np.append(start, len(prepared.row)))[chosen]
        keys = row_key(prepared.row[at], prepared.sequence[at])
        self._wait(keys, lengths, prepared.position[inside], prepared.value[inside])

    def _wait(self, *part: NDArray[Any]) -> None:
        self._waiting.append(part)
        self._n_waiting += len(part[2])

    def keep(self, keys: NDArray[np.int64]) -> None:
        """Drop everything but some keys (ascending and unique)."""
        parts = [(self._keys, np.diff(self._start), self._positions, self._values), *self._waiting]
        self._waiting, self._n_waiting = [], 0
        known, lengths, positions, values = (np.concatenate(c) for c in zip(*parts, strict=True))
        first = needed(known, keys)
        start = np.concatenate([[0], np.cumsum(lengths)])
        index, self._start = _ranges(start[first], lengths[first])
        self._keys = known[first]
        self._positions, self._values = positions[index], values[index]

    def merge(self, other: ActiveRows) -> None:
        """Take in another part's entries; follow with `keep`."""
        other.keep(distinct(np.concatenate([other._keys, *(p[0] for p in other._waiting)])))
        self._wait(other._keys, np.diff(other._start), other._positions, other._values)

    def lists(
        self, row: NDArray[Any], sequence: NDArray[Any]
    ) -> tuple[list[NDArray[np.int32]], list[NDArray[np.float32]]]:
        """Positions and values for each (row, sequence); all must be kept, none waiting."""
        at = np.searchsorted(self._keys, row_key(row, sequence))
        spans = list(zip(self._start[at].tolist(), self._start[at + 1].tolist(), strict=True))
        positions = [self._positions[a:b] for a, b in spans]
        return positions, [self._values[a:b] for a, b in spans]

    def state(self) -> State:
        """Entries as arrays; call `keep` first."""
        return {
            "keys": self._keys,
            "start": self._start,
            "positions": self._positions,
            "values": self._values,
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become the store whose `state` this is."""
        self._keys, self._start = state["keys"].copy(), state["start"].copy()
        self._positions, self._values = state["positions"].copy(), state["values"].copy()
        self._waiting, self._n_waiting = [], 0


def needed(known: NDArray[np.int64], keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where to find each of `keys` (ascending, unique) that is among `known`, in their order."""
    if not len(keys) or not len(known):
        return np.zeros(0, dtype=np.int64)
    order = np.argsort(known)
    at = np.minimum(np.searchsorted(known[order], keys), len(known) - 1)
    found: NDArray[np.int64] = order[at][known[order[at]] == keys]
    return found


def _ranges(
    start: NDArray[np.int64], lengths: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of consecutive ranges, and where each begins among them (one more at the end)."""
    offset = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    index = np.arange(offset[-1]) + np.repeat(start - offset[:-1], lengths)
    return index, offset
