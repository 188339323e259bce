"""Tables of counts and sums, one row a latent, that grow with the data and add up exactly.

Each table is a function of the set of events alone: neither batching nor the order of merging can
be seen in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saereport.measure.batch import State
from saereport.measure.statistics.floats import FINE, fine_bin, linear_exponent, scale, significand


def cover(
    table: NDArray[Any], first: int, start: int, stop: int, fill: int = 0
) -> tuple[NDArray[Any], int]:
    """Widen the last axis of a table so that it has columns for `start` to `stop` (exclusive).

    Args:
        table: Any table; column 0 stands for `first`. A table without columns may start anywhere.
        first: What column 0 stands for.
        start: The first column that is needed.
        stop: One past the last column that is needed.
        fill: What new columns hold.

    Returns:
        The table, widened where it had to be, and what its column 0 stands for.
    """
    width = table.shape[-1]
    if not width:
        return np.full((*table.shape[:-1], stop - start), fill, dtype=table.dtype), start
    before, after = max(first - start, 0), max(stop - first - width, 0)
    if before or after:
        padding = [(0, 0)] * (table.ndim - 1) + [(before, after)]
        table = np.pad(table, padding, constant_values=fill)
    return table, first - before


class LogHistogram:
    """Counts by fine logarithmic bin, int64[rows, bins], covering whole octaves that were met.

    Attributes:
        first: The fine bin of column 0 (see `floats.fine_bin`), a multiple of 32.
        counts: The counts.
    """

    def __init__(self, rows: int) -> None:
        self.first = 0
        self.counts = np.zeros((rows, 0), dtype=np.int64)

    def add(self, row: NDArray[np.int32], bits: NDArray[np.int32]) -> None:
        """Count events: row and float32 bits of each, both [k], k > 0."""
        bins = fine_bin(bits)
        self._cover(int(bins.min()) // FINE * FINE, (int(bins.max()) // FINE + 1) * FINE)
        flat = row.astype(np.int64) * self.counts.shape[1] + (bins - self.first)
        np.add.at(self.counts.reshape(-1), flat, 1)

    def _cover(self, start: int, stop: int) -> None:
        self.counts, self.first = cover(self.counts, self.first, start, stop)

    def merge(self, other: LogHistogram) -> None:
        """Add another table's counts."""
        width = other.counts.shape[1]
        if width:
            self._cover(other.first, other.first + width)
            at = other.first - self.first
            self.counts[:, at : at + width] += other.counts

    def state(self) -> State:
        """The non-zero counts only."""
        where = np.flatnonzero(self.counts)
        shape = np.array([self.first, *self.counts.shape], dtype=np.int64)
        return {"shape": shape, "where": where, "counts": self.counts.reshape(-1)[where]}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become the table whose `state` this is."""
        first, rows, width = (int(v) for v in state["shape"])
        self.first = first
        self.counts = np.zeros((rows, width), dtype=np.int64)
        self.counts.reshape(-1)[state["where"]] = state["counts"]


class Sums:
    """Exact sums of activations and of their squares, by row and octave.

    Within one octave an activation is an integer below 2^24 times a fixed unit. Those integers, and
    the two 24-bit halves of their squares, are summed in int64: exact below 2^39 events.
    """

    def __init__(self, rows: int) -> None:
        self.first = 0
        self.parts = np.zeros((3, rows, 0), dtype=np.int64)

    def add(self, row: NDArray[np.int32], bits: NDArray[np.int32]) -> None:
        """Add events: row and float32 bits of each, both [k], k > 0."""
        exponent, integer = significand(bits)
        self._cover(int(exponent.min()), int(exponent.max()) + 1)
        flat = row.astype(np.int64) * self.parts.shape[2] + (exponent - self.first)
        square = integer * integer
        for part, values in enumerate((integer, square >> 24, square & 0xFFFFFF)):
            np.add.at(self.parts[part].reshape(-1), flat, values)

    def _cover(self, start: int, stop: int) -> None:
        self.parts, self.first = cover(self.parts, self.first, start, stop)

    def merge(self, other: Sums) -> None:
        """Add another table's sums."""
        width = other.parts.shape[2]
        if width:
            self._cover(other.first, other.first + width)
            at = other.first - self.first
            self.parts[:, :, at : at + width] += other.parts

    def totals(self, rows: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Sum of the activations and of their squares, float64[len(rows)] each."""
        total = np.zeros(len(rows))
        squares = np.zeros(len(rows))
        # One octave after the other, small ones first: empty octaves cannot change the rounding.
        for octave in range(self.parts.shape[2]):
            unit = scale(self.first + octave)
            value, high, low = self.parts[:, rows, octave].astype(np.float64)
            total += value * unit
            squares += (high * 2.0**24 + low) * unit * unit
        return total, squares

    def state(self) -> State:
        """Sums as arrays."""
        return {"first": np.array(self.first, dtype=np.int64), "parts": self.parts}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become the table whose `state` this is."""
        self.first = int(state["first"])
        self.parts = state["parts"].copy()


class LinearHistogram:
    """Counts in bins of a power-of-two width, int64[rows, 512], and each row's maximum.

    Bin b holds the activations in (b w, (b + 1) w], where w = 2^exponent is the smallest power of
    two for which the bins reach the row's maximum. Since such bins nest, a row whose maximum grows
    is coarsened by adding neighbours, and nothing is lost.

    Attributes:
        counts: The counts.
        exponent: log2 of each row's bin width, int32[rows]; meaningless where maximum is 0.
        maximum: Largest activation of each row, float32[rows]; 0 where there is none.
    """

    BINS_LOG2 = 9

    def __init__(self, rows: int) -> None:
        self.counts = np.zeros((rows, 1 << self.BINS_LOG2), dtype=np.int64)
        self.exponent = np.zeros(rows, dtype=np.int32)
        self.maximum = np.zeros(rows, dtype=np.float32)

    def add(self, row: NDArray[np.int32], value: NDArray[np.float32]) -> None:
        """Count events: row (ascending) and activation of each, both [k], k > 0."""
        start = np.concatenate([[0], np.flatnonzero(row[1:] != row[:-1]) + 1])
        self._reach(row[start], np.maximum.reduceat(value, start))
        width = -self.exponent[row]
        bins = np.ceil(np.ldexp(value.astype(np.float64), width)).astype(np.int64) - 1
        flat = row.astype(np.int64) * self.counts.shape[1] + bins
        np.add.at(self.counts.reshape(-1), flat, 1)

    def _reach(self, rows: NDArray[Any], maximum: NDArray[np.float32]) -> None:
        """Make the bins of some distinct rows reach new maxima, coarsening where they must."""
        bigger = maximum > self.maximum[rows]
        rows, maximum = rows[bigger], maximum[bigger]
        exponent = linear_exponent(maximum, self.BINS_LOG2)
        old = self.exponent[rows]
        coarser = (exponent > old) & (self.maximum[rows] > 0)
        self._coarsen(rows[coarser], (exponent - old)[coarser])
        self.exponent[rows] = exponent
        self.maximum[rows] = maximum

    def _coarsen(self, rows: NDArray[Any], steps: NDArray[np.int32]) -> None:
        if not len(rows):
            return
        counts = self.counts[rows]
        self.counts[rows] = 0
        at, bins = np.nonzero(counts)
        to = bins >> np.minimum(steps[at], 63)
        np.add.at(self.counts, (rows[at], to), counts[at, bins])

    def merge(self, other: LinearHistogram) -> None:
        """Add another table's counts."""
        rows = np.flatnonzero(other.maximum > 0)
        self._reach(rows, other.maximum[rows])
        at, bins = np.nonzero(other.counts[rows])
        row = rows[at]
        to = bins >> np.minimum(self.exponent[row] - other.exponent[row], 63)
        np.add.at(self.counts, (row, to), other.counts[row, bins])

    def below(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        """Counts of activations at or below each bin edge b w, int64[len(rows), 513]."""
        running = np.cumsum(self.counts[rows], axis=1)
        return np.pad(running, ((0, 0), (1, 0)))

    def state(self) -> State:
        """The non-zero counts, exponents and maxima."""
        where = np.flatnonzero(self.counts)
        counts = self.counts.reshape(-1)[where]
        parts = {"where": where, "counts": counts}
        return {**parts, "exponent": self.exponent, "maximum": self.maximum}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become the table whose `state` this is."""
        self.exponent = state["exponent"].copy()
        self.maximum = state["maximum"].copy()
        self.counts = np.zeros((len(self.exponent), 1 << self.BINS_LOG2), dtype=np.int64)
        self.counts.reshape(-1)[state["where"]] = state["counts"]
