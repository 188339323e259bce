"""Which events may become examples: the largest ones, and a random sample of every size.

Both keep a bounded number of candidates a latent, know a threshold below which a new event cannot
matter, and put off sorting until enough candidates are waiting. What they keep is a function of
the events alone; when they sort is not visible in it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from saereport.measure.batch import SortedEvents, State
from saereport.measure.statistics.floats import FINE, fine_bin, priorities
from saereport.measure.statistics.histograms import cover
from saereport.measure.statistics.spacing import distinct, rank_in_runs, sort_by, spaced

_WAITING = 1 << 17
_TINY = np.nextafter(np.float32(0), np.float32(1))
NEVER = np.uint64(0xFFFFFFFFFFFFFFFF)

FIELDS = (
    ("row", np.int32),
    ("sequence", np.int32),
    ("position", np.int32),
    ("document", np.int32),
    ("value", np.float32),
)


class Candidates(ABC):
    """Columns of candidate events: those sorted out, and those waiting to be.

    Attributes:
        columns: `row`, `sequence`, `position`, `document`, `value` of the candidates kept.
    """

    def __init__(self) -> None:
        self.columns: State = {name: np.zeros(0, dtype=kind) for name, kind in FIELDS}
        self._waiting: list[State] = []
        self._n_waiting = 0

    def __len__(self) -> int:
        return len(self.columns["row"])

    def _wait(self, columns: State) -> None:
        self._waiting.append(columns)
        self._n_waiting += len(columns["row"])
        if self._n_waiting > max(_WAITING, len(self)):
            self.compact()

    def _take(self, prepared: SortedEvents, events: NDArray[np.int64]) -> None:
        if len(events):
            document = prepared.batch.documents.reshape(-1)[prepared.flat[events]]
            columns = {name: getattr(prepared, name)[events] for name, _ in FIELDS[:3]}
            self._wait({**columns, "document": document, "value": prepared.value[events]})

    def compact(self) -> None:
        """Keep what can still matter and raise the thresholds."""
        if self._waiting:
            parts = [self.columns, *self._waiting]
            self._waiting, self._n_waiting = [], 0
            self._sort_out(
                {name: np.concatenate([part[name] for part in parts]) for name, _ in FIELDS}
            )

    @abstractmethod
    def _sort_out(self, columns: State) -> None:
        """Keep of these candidates, which are all there are, those that can still matter."""

    def merge(self, other: Self) -> None:
        """Take in the candidates of another part of the text."""
        other.compact()
        self._wait(other.columns)
        self.compact()

    def keys(self) -> NDArray[np.int64]:
        """`row << 32 | sequence` of every candidate, waiting ones too, unique and ascending."""
        parts = [self.columns, *self._waiting]
        return distinct(np.concatenate([row_key(p["row"], p["sequence"]) for p in parts]))

    def state(self) -> State:
        """The candidates kept."""
        self.compact()
        return dict(self.columns)

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become the candidates whose `state` this is."""
        self._waiting, self._n_waiting = [], 0
        self._sort_out({name: state[name].copy() for name, _ in FIELDS})


def row_key(row: NDArray[Any], sequence: NDArray[Any]) -> NDArray[np.int64]:
    """`row << 32 | sequence`: one integer for a latent's activations on one sequence."""
    return (row.astype(np.int64) << 32) | sequence.astype(np.int64)


def by_size(columns: Mapping[str, NDArray[Any]], group: NDArray[Any]) -> NDArray[np.int64]:
    """The order by (group, activation descending, sequence, position)."""
    place = row_key(columns["sequence"], columns["position"])
    return np.lexsort((place, -columns["value"], group))


class Largest(Candidates):
    """The k largest events of each row, of which no two windows of one sequence overlap.

    Within a sequence events are taken by (activation descending, position), skipping those whose
    window overlaps a taken one; over the sequences the k largest of these are kept, ties going to
    the earlier (sequence, position), which is the order of the text.
    """

    def __init__(self, rows: int, k: int, reach: int) -> None:
        super().__init__()
        self.k = k
        self.reach = reach
        self._threshold = np.zeros(rows, dtype=np.float32)

    def offer(self, prepared: SortedEvents) -> NDArray[np.int64]:
        """Consider a batch of whole sequences; the indices of its events that became candidates."""
        # An event below the threshold can neither be kept nor keep a larger one out.
        if not self.k:
            return np.zeros(0, dtype=np.int64)
        events = np.flatnonzero(prepared.value >= self._threshold[prepared.row])
        group = prepared.group_of[events]
        order = np.lexsort((-prepared.value[events], group))  # stable: ties stay by position
        events, group = events[order], group[order]
        place = prepared.sequence[events], prepared.position[events]
        events = events[spaced(group, *place, self.reach, self.k)]
        self._take(prepared, events)
        return events

    def _sort_out(self, columns: State) -> None:
        order = by_size(columns, columns["row"])
        row = columns["row"][order]
        rank = rank_in_runs(row)
        order = order[rank < self.k]
        self.columns = {name: values[order] for name, values in columns.items()}
        last = rank_in_runs(self.columns["row"]) == self.k - 1
        self._threshold[self.columns["row"][last]] = self.columns["value"][last]


class Sample(Candidates):
    """A uniform sample of each row's events in every quarter of an octave of activation.

    Every event has a pseudo-random priority (`floats.priorities`). Of each row and stratum the
    `size` events with the smallest priorities are kept: a uniform sample without replacement.

    For any range of activations, all events whose priority is at most that of the last event kept
    in each stratum that the range touches are at hand, and they are a uniform sample of the range.
    """

    _PER_STRATUM = FINE // 4

    def __init__(self, latents: NDArray[np.int64], size: int, seed: int) -> None:
        super().__init__()
        self.latents = latents
        self.size = size
        self.seed = seed
        self._first = 0
        self._last = np.zeros((len(latents), 0), dtype=np.uint64)

    def stratum_of(self, value: NDArray[np.float32]) -> NDArray[np.int32]:
        """The quarter octave of each activation above zero."""
        return fine_bin(value.view(np.int32)) // self._PER_STRATUM

    def priority_of(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.uint64]:
        """The pseudo-random priority of each candidate of some columns."""
        latent = self.latents[columns["row"]]
        return priorities(self.seed, latent, columns["sequence"], columns["position"])

    def offer(self, prepared: SortedEvents) -> NDArray[np.int64]:
        """Consider a batch; the indices of its events that became candidates."""
        if not self.size or not len(prepared.row):
            return np.zeros(0, dtype=np.int64)
        stratum = self.stratum_of(prepared.value)
        self._cover(stratum)
        latent = self.latents[prepared.row]
        priority = priorities(self.seed, latent, prepared.sequence, prepared.position)
        flat = prepared.row * np.int64(self._last.shape[1]) + (stratum - self._first)
        events = np.flatnonzero(priority <= self._last.reshape(-1)[flat])
        self._take(prepared, events)
        return events

    def _cover(self, stratum: NDArray[np.int32]) -> None:
        start, stop = int(stratum.min()), int(stratum.max()) + 1
        self._last, self._first = cover(self._last, self._first, start, stop, fill=int(NEVER))

    def _sort_out(self, columns: State) -> None:
        if not len(columns["row"]):
            return
        stratum = self.stratum_of(columns["value"])
        self._cover(stratum)
        column = stratum - self._first
        flat = columns["row"] * np.int64(self._last.shape[1]) + column
        priority = self.priority_of(columns)
        order = sort_by(flat, priority)
        rank = rank_in_runs(flat[order])
        order, rank = order[rank < self.size], rank[rank < self.size]
        self.columns = {name: values[order] for name, values in columns.items()}
        full = order[rank == self.size - 1]
        self._last.reshape(-1)[flat[full]] = priority[full]

    def drawer(self, rows: NDArray[Any]) -> Drawer:
        """Get ready to draw from ranges of some rows (ascending)."""
        self.compact()
        return Drawer(self, rows, self._last[rows], self._first)


class Drawer:
    """Draws from a `Sample` of some rows, one range of activations after the other."""

    def __init__(
        self, sample: Sample, rows: NDArray[Any], last: NDArray[np.uint64], first: int
    ) -> None:
        self._sample, self._last, self._first = sample, last, first
        place_of = np.full(len(sample.latents), -1, dtype=np.int64)
        place_of[rows] = np.arange(len(rows))
        place = place_of[sample.columns["row"]]
        chosen = np.flatnonzero(place >= 0)
        priority = sample.priority_of({n: v[chosen] for n, v in sample.columns.items()})
        order = sort_by(place[chosen], priority)
        self._events, self._priority = chosen[order], priority[order]
        self._place = place[self._events]
        self._value = sample.columns["value"][self._events]

    def within(
        self, lower: NDArray[np.float32], upper: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """A uniform sample of each row's events in (lower, upper], in random order.

        Args:
            lower: Lower end of each row's range, float32[len(rows)].
            upper: Upper end of each row's range, float32[len(rows)].

        Returns:
            Indices into the sample's `columns`, and the place in `rows` that each belongs to;
            ordered by place, then priority. A function of the text's events and the seed.
        """
        limit = np.full(len(lower), NEVER)
        low = self._sample.stratum_of((lower.view(np.int32) + 1).view(np.float32))
        high = self._sample.stratum_of(np.maximum(upper, _TINY))
        for i in range(self._last.shape[1]):
            touched = (low <= self._first + i) & (self._first + i <= high)
            np.minimum(limit, self._last[:, i], out=limit, where=touched)
        place, value = self._place, self._value
        inside = (value > lower[place]) & (value <= upper[place])
        inside &= self._priority <= limit[place]
        return self._events[inside], place[inside]
