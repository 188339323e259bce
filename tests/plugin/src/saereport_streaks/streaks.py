"""Streaks of active tokens: an accumulator that merges exactly, in numpy on the host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saereport.measure import Columns, Setting, SortedEvents, State, TrackedLatents
from saereport.measure.batch import HostEvents

KEPT = 16
"""Tokens of the longest streak."""


class Streaks:
    """Number, mean length and longest of the streaks of each tracked latent."""

    def __init__(self, setting: Setting) -> None:
        self.rows = TrackedLatents(setting.latents, setting.d_sae)
        n = len(self.rows)
        self.count = np.zeros(n, np.int64)
        self.total = np.zeros(n, np.int64)
        # Length, and place in the text, of the longest: compared in this order.
        self.longest = np.zeros(n, np.int64)
        self.place = np.full(n, np.iinfo(np.int64).max)
        self.tokens = np.full((n, KEPT), -1, np.int32)

    def update(self, prepared: SortedEvents) -> None:
        """Take in one batch of whole sequences."""
        if not len(prepared):
            return
        self._count(prepared.host())

    def _count(self, prepared: HostEvents) -> None:
        begins = np.ones(len(prepared.row), bool)
        same = prepared.row[1:] == prepared.row[:-1]
        begins[1:] = ~(same & (prepared.flat[1:] == prepared.flat[:-1] + 1) & _within(prepared))
        start = np.flatnonzero(begins)
        length = np.diff(np.append(start, len(begins)))
        row = prepared.row[start].astype(np.int64)
        np.add.at(self.count, row, 1)
        np.add.at(self.total, row, length)
        context = prepared.tokens.shape[1]
        place = prepared.sequence[start].astype(np.int64) * context + prepared.position[start]
        order = np.lexsort((place, -length, row))
        best = order[np.append(True, row[order][1:] != row[order][:-1])]
        tokens = np.full((len(best), KEPT), -1, np.int32)
        flat = prepared.tokens.reshape(-1)
        for number, one in enumerate(best):
            first = prepared.flat[start[one]]
            kept = flat[first : first + min(length[one], KEPT)]
            tokens[number, : len(kept)] = kept
        self._take(row[best], length[best], place[best], tokens)

    def merge(self, other: Streaks) -> None:
        """Take in another part of the text."""
        self.count += other.count
        self.total += other.total
        self._take(np.arange(len(self.rows)), other.longest, other.place, other.tokens)

    def _take(
        self,
        rows: NDArray[Any],
        length: NDArray[Any],
        place: NDArray[Any],
        tokens: NDArray[Any],
    ) -> None:
        longer = length > self.longest[rows]
        earlier = (length == self.longest[rows]) & (place < self.place[rows])
        better = longer | earlier
        chosen = rows[better]
        self.longest[chosen], self.place[chosen] = length[better], place[better]
        self.tokens[chosen] = tokens[better]

    def result(self, latents: NDArray[Any], peers: Mapping[str, Any]) -> dict[str, Columns]:
        """Table `streaks`, a row for each latent."""
        rows = self.rows.chosen(latents)
        count = self.count[rows]
        return {
            "streaks": {
                "latent": np.asarray(latents, np.int32),
                "n_streaks": count,
                "mean_length": self.total[rows] / np.maximum(count, 1),
                "longest": self.longest[rows].astype(np.int32),
                "tokens": [found[found >= 0] for found in self.tokens[rows]],
            }
        }

    def state(self) -> State:
        """Everything, as arrays."""
        return {
            "count": self.count,
            "total": self.total,
            "longest": self.longest,
            "place": self.place,
            "tokens": self.tokens,
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become the accumulator whose `state` this is."""
        for name in ("count", "total", "longest", "place", "tokens"):
            setattr(self, name, state[name].copy())


def _within(prepared: HostEvents) -> NDArray[np.bool_]:
    """Whether an event and the next lie in one sequence."""
    same: NDArray[np.bool_] = prepared.sequence[1:] == prepared.sequence[:-1]
    return same
