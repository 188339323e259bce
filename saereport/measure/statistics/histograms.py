"""Tables of counts and sums, one row a latent, that grow with the data and add up exactly.

Each table is a function of the set of events alone: neither batching nor the order of merging can
be seen in it. They lie on the device; `state` and the readers for results bring them to the host.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.measure.batch import SortedEvents, ones_like
from saereport.measure.columns import State
from saereport.measure.crossing import to_device, to_host
from saereport.measure.exact import Powers, fine_bin, linear_exponent, octaves, significand
from saereport.measure.statistics.floats import scale

Device = torch.device | str


def cover(table: Tensor, first: int, start: int, stop: int, fill: int = 0) -> tuple[Tensor, int]:
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
        return table.new_full((*table.shape[:-1], stop - start), fill), start
    before, after = max(first - start, 0), max(stop - first - width, 0)
    if before or after:
        # (`pad` takes what it fills with as a float, which has no room for a priority.)
        ends = [table.new_full((*table.shape[:-1], n), fill) for n in (before, after)]
        table = torch.cat([ends[0], table, ends[1]], dim=-1)
    return table, first - before


class LogHistogram:
    """Counts by fine logarithmic bin, int32[rows, bins], covering whole octaves that were met.

    Attributes:
        first: The fine bin of column 0 (see `floats.fine_bin`), a multiple of 32.
        counts: The counts.
    """

    def __init__(self, rows: int, device: Device) -> None:
        self.first = 0
        self.counts = torch.zeros((rows, 0), dtype=torch.int32, device=device)

    def add(self, row: Tensor, bits: Tensor, extremes: tuple[int, int]) -> None:
        """Count events.

        Args:
            row: Row of each, int64[k], k > 0.
            bits: float32 bits of each, int32[k].
            extremes: No bits are below the first or above the second.
        """
        self._cover(*octaves(*extremes))
        flat = row * self.counts.shape[1] + (fine_bin(bits) - self.first)
        self.counts.view(-1).scatter_add_(0, flat, ones_like(flat, torch.int32))

    def _cover(self, start: int, stop: int) -> None:
        self.counts, self.first = cover(self.counts, self.first, start, stop)

    def merge(self, other: LogHistogram) -> None:
        """Add another table's counts."""
        width = other.counts.shape[1]
        if width:
            self._cover(other.first, other.first + width)
            at = other.first - self.first
            self.counts[:, at : at + width] += other.counts

    def of(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        """The counts of some rows, int64[len(rows), bins]."""
        at = to_device(np.asarray(rows, dtype=np.int64), self.counts.device)
        return to_host(self.counts.index_select(0, at)).astype(np.int64)

    def state(self) -> State:
        """The non-zero counts only."""
        counts = to_host(self.counts).reshape(-1)
        where = np.flatnonzero(counts)
        shape = np.array([self.first, *self.counts.shape], dtype=np.int64)
        return {"shape": shape, "where": where, "counts": counts[where]}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become the table whose `state` this is."""
        first, rows, width = (int(v) for v in state["shape"])
        self.first = first
        counts = np.zeros(rows * width, dtype=np.int32)
        counts[state["where"]] = state["counts"]
        self.counts = to_device(counts.reshape(rows, width), self.counts.device)


class Sums:
    """Exact sums of activations and of their squares, by row and octave.

    Within one octave an activation is an integer below 2^24 times a fixed unit. Those integers, and
    the two 24-bit halves of their squares, are summed in int64: exact below 2^39 events.
    """

    def __init__(self, rows: int, device: Device) -> None:
        self.first = 0
        self.parts = torch.zeros((3, rows, 0), dtype=torch.int64, device=device)

    def add(self, row: Tensor, bits: Tensor, extremes: tuple[int, int]) -> None:
        """Add events: see `LogHistogram.add`."""
        exponent, integer = significand(bits)
        lowest, highest = (max(end >> 23, 1) for end in extremes)
        self._cover(lowest, highest + 1)
        flat = row * self.parts.shape[2] + (exponent - self.first)
        square = integer * integer
        for part, values in enumerate((integer, square >> 24, square & 0xFFFFFF)):
            self.parts.select(0, part).view(-1).scatter_add_(0, flat, values)

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
        at = to_device(np.asarray(rows, dtype=np.int64), self.parts.device)
        parts = to_host(self.parts.index_select(1, at))
        # One octave after the other, small ones first: empty octaves cannot change the rounding.
        for octave in range(parts.shape[2]):
            unit = scale(self.first + octave)
            value, high, low = parts[:, :, octave].astype(np.float64)
            total += value * unit
            squares += (high * 2.0**24 + low) * unit * unit
        return total, squares

    def state(self) -> State:
        """Sums as arrays."""
        return {"first": np.array(self.first, dtype=np.int64), "parts": to_host(self.parts)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become the table whose `state` this is."""
        self.first = int(state["first"])
        self.parts = to_device(state["parts"], self.parts.device)


class LinearHistogram:
    """Counts in bins of a power-of-two width, int32[rows, 512], and each row's maximum.

    Bin b holds the activations in (b w, (b + 1) w], where w = 2^exponent is the smallest power of
    two for which the bins reach the row's maximum. Since such bins nest, a row whose maximum grows
    is coarsened by adding neighbours, and nothing is lost.

    Attributes:
        counts: The counts.
        exponent: log2 of each row's bin width, int32[rows]; meaningless where maximum is 0.
        maximum: Largest activation of each row, float32[rows]; 0 where there is none.
    """

    BINS_LOG2 = 9

    def __init__(self, rows: int, device: Device) -> None:
        self.counts = torch.zeros((rows, 1 << self.BINS_LOG2), dtype=torch.int32, device=device)
        self.exponent = torch.zeros(rows, dtype=torch.int32, device=device)
        self.maximum = torch.zeros(rows, dtype=torch.float32, device=device)
        self._reached = self.maximum
        self._powers = Powers(device)

    def choose(self, prepared: SortedEvents) -> None:
        """Find out which rows have to be coarsened."""
        self._reached = self.maximum.scatter_reduce(
            0, prepared.wide_row, prepared.value, "amax", include_self=True
        )
        prepared.want("activity.coarser", self._coarser())

    def _coarser(self) -> Tensor:
        exponent = linear_exponent(self._reached, self.BINS_LOG2)
        return (exponent > self.exponent) & (self.maximum > 0)

    def add(self, prepared: SortedEvents) -> None:
        """Count a batch's events."""
        self._reach(prepared.picked("activity.coarser"))
        row = prepared.wide_row
        width = self._powers.of(-self.exponent)
        scaled = prepared.value.to(torch.float64) * width.index_select(0, row)
        bins = scaled.ceil_().to(torch.int64) - 1
        flat = (row << self.BINS_LOG2) + bins
        self.counts.view(-1).scatter_add_(0, flat, ones_like(flat, torch.int32))

    def _reach(self, coarser: Tensor) -> None:
        """Make the bins reach the new maxima, coarsening some rows."""
        exponent = linear_exponent(self._reached, self.BINS_LOG2)
        if len(coarser):
            steps = (exponent - self.exponent).index_select(0, coarser).clamp_max(63)
            self._spread(coarser, self.counts.index_select(0, coarser), steps, replaced=True)
        bigger = self._reached > self.maximum
        self.exponent = torch.where(bigger, exponent, self.exponent)
        self.maximum = self._reached

    def _spread(self, rows: Tensor, counts: Tensor, steps: Tensor, *, replaced: bool) -> None:
        """Add counts of finer bins to those of some rows, whose bins are 2^steps times as wide."""
        if replaced:
            self.counts.index_fill_(0, rows, 0)
        bins = torch.arange(1 << self.BINS_LOG2, device=counts.device)
        flat = (rows.unsqueeze(1) << self.BINS_LOG2) + (bins.unsqueeze(0) >> steps.unsqueeze(1))
        self.counts.view(-1).scatter_add_(0, flat.reshape(-1), counts.reshape(-1))

    def merge(self, other: LinearHistogram) -> None:
        """Add another table's counts."""
        self._reached = torch.maximum(self.maximum, other.maximum)
        self._reach(torch.nonzero(self._coarser()).squeeze(1))
        rows = torch.nonzero(other.maximum > 0).squeeze(1)
        steps = (self.exponent - other.exponent).index_select(0, rows).clamp_max(63)
        self._spread(rows, other.counts.index_select(0, rows), steps, replaced=False)

    def of(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        """The counts of some rows, int64[len(rows), 512]."""
        at = to_device(np.asarray(rows, dtype=np.int64), self.counts.device)
        return to_host(self.counts.index_select(0, at)).astype(np.int64)

    def below(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        """Counts of activations at or below each bin edge b w, int64[len(rows), 513]."""
        running = np.cumsum(self.of(rows), axis=1)
        return np.pad(running, ((0, 0), (1, 0)))

    def state(self) -> State:
        """The non-zero counts, exponents and maxima."""
        counts = to_host(self.counts).reshape(-1)
        where = np.flatnonzero(counts)
        parts = {"where": where, "counts": counts[where]}
        return {**parts, "exponent": to_host(self.exponent), "maximum": to_host(self.maximum)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become the table whose `state` this is."""
        device = self.counts.device
        self.exponent = to_device(state["exponent"], device)
        self.maximum = to_device(state["maximum"], device)
        counts = np.zeros(len(state["exponent"]) << self.BINS_LOG2, dtype=np.int32)
        counts[state["where"]] = state["counts"]
        self.counts = to_device(counts.reshape(-1, 1 << self.BINS_LOG2), device)
