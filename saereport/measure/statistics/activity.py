"""Each latent's activations: counts, moments, quantiles and histograms, all exact and mergeable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saereport.measure.batch import Columns, SortedEvents, State, TrackedLatents
from saereport.measure.setting import Setting
from saereport.measure.statistics.floats import FINE, fine_edge
from saereport.measure.statistics.histograms import LinearHistogram, LogHistogram, Sums
from saereport.measure.statistics.order import KEPT, LargestValues, rank_of

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
"""The quantiles of the non-zero activations that are reported."""
SHOWN_BINS = 64
"""Bins of the linear histogram in the table."""
_LOG_SHOWN = 4
_CHUNK = 1024
_PARTS = ("log", "linear", "sums", "largest")


class Activity:
    """Tables `activity` and `activation_histogram`.

    Two tables of counts, one of integer sums and the largest values of a latent; memory is
    `r * (octaves * 35 + 544) * 8` bytes for r tracked latents whose activations span `octaves`
    powers of two.
    """

    def __init__(self, setting: Setting) -> None:
        self.rows = TrackedLatents(setting.latents, setting.d_sae)
        self.counted = 0
        self.log = LogHistogram(len(self.rows))
        self.linear = LinearHistogram(len(self.rows))
        self.sums = Sums(len(self.rows))
        self.largest = LargestValues(len(self.rows))

    def update(self, prepared: SortedEvents) -> None:
        """Take in one batch."""
        self.counted += prepared.batch.n_counted
        if len(prepared.row):
            self.log.add(prepared.row, prepared.bits)
            self.sums.add(prepared.row, prepared.bits)
            self.linear.add(prepared.row, prepared.value)
            self.largest.add(prepared.row, prepared.value)

    def merge(self, other: Activity) -> None:
        """Add another part of the text."""
        self.counted += other.counted
        self.log.merge(other.log)
        self.sums.merge(other.sums)
        self.linear.merge(other.linear)
        self.largest.merge(other.largest)

    def result(self, latents: NDArray[Any], peers: Mapping[str, Any]) -> dict[str, Columns]:
        """The two tables for some of the tracked latents.

        `std_active` divides by the number of active tokens. Of fewer than two activations there is
        neither a standard deviation (0) nor a quantile (an empty list); a latent that was never
        active has zeros, and empty `log_counts`.
        """
        rows = self.rows.chosen(latents)
        n = self.n_active(rows)
        total, squares = self.sums.totals(rows)
        divisor = np.maximum(n, 1)
        mean = total / divisor
        variance = np.maximum(squares / divisor - mean * mean, 0.0)
        maximum = self.linear.maximum[rows]
        names = np.asarray(latents, dtype=np.int32)
        return {
            "activity": {
                "latent": names,
                "n_active": n,
                "density": n / max(self.counted, 1),
                "max": maximum,
                "mean_active": mean,
                "std_active": np.where(n > 1, np.sqrt(variance), 0.0),
                "quantile_values": [
                    values if count > 1 else values[:0]
                    for values, count in zip(self.quantiles(rows, QUANTILES), n, strict=True)
                ],
            },
            "activation_histogram": {"latent": names, **self._histogram(rows)},
        }

    def n_active(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        """Active tokens of each row."""
        n: NDArray[np.int64] = self.linear.counts[rows].sum(axis=1)
        return n

    def bins_of(
        self, rows: NDArray[Any], ranks: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """The fine bin of the activation of each rank, and how many lie below and up to its end.

        Args:
            rows: Rows to look at.
            ranks: Ranks in ascending order, counted from 1, int64[len(rows), q].

        Returns:
            Three int64[len(rows), q]. Rows without events get the first bin of the table.
        """
        found, below, upto = (np.zeros(ranks.shape, dtype=np.int64) for _ in range(3))
        counts = self.log.counts
        for at in range(0, len(rows) if counts.shape[1] else 0, _CHUNK):
            span = slice(at, at + _CHUNK)
            running = np.pad(np.cumsum(counts[rows[span]], axis=1), ((0, 0), (1, 0)))
            rank = np.clip(ranks[span], 1, np.maximum(running[:, -1:], 1))
            for i in range(ranks.shape[1]):
                place = (running[:, 1:] < rank[:, i : i + 1]).sum(axis=1)
                place = np.minimum(place, counts.shape[1] - 1)
                found[span, i] = place
                below[span, i] = np.take_along_axis(running, place[:, None], axis=1)[:, 0]
                upto[span, i] = np.take_along_axis(running, place[:, None] + 1, axis=1)[:, 0]
        return found + self.log.first, below, upto

    def order_statistics(
        self, rows: NDArray[Any], ranks: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Activations by rank where they are known value by value: the `KEPT` largest of each row.

        Args:
            rows: Rows to look at.
            ranks: Ranks in ascending order, counted from 1, int64[len(rows), q].

        Returns:
            The activations float32[len(rows), q], and where they are known.
        """
        from_top = self.n_active(rows)[:, None] - ranks
        known = (from_top >= 0) & (from_top < KEPT)
        place = np.clip(from_top, 0, KEPT - 1)
        return np.take_along_axis(self.largest.values[rows], place, axis=1), known

    def quantiles(self, rows: NDArray[Any], quantiles: tuple[float, ...]) -> NDArray[np.float32]:
        """Quantiles of the non-zero activations, float32[len(rows), q], zero where there are none.

        Quantile q is the activation of rank ceil(q n) in ascending order: itself where it is among
        the `KEPT` largest, else the middle of its fine bin, which is at most 1/64 of it away.
        """
        ranks = np.maximum(rank_of(np.asarray(quantiles), self.n_active(rows)[:, None], up=True), 1)
        bins, _, _ = self.bins_of(rows, ranks)
        middle = (fine_edge(bins) + fine_edge(bins + 1)) / 2
        exact, known = self.order_statistics(rows, ranks)
        maximum = self.linear.maximum[rows][:, None]
        values: NDArray[np.float32] = np.minimum(
            np.where(known, exact, middle.astype(np.float32)), maximum
        )
        return values

    def _histogram(self, rows: NDArray[Any]) -> Columns:
        fold = self.linear.counts.shape[1] // SHOWN_BINS
        counts = self.linear.counts[rows].reshape(len(rows), SHOWN_BINS, fold).sum(axis=2)
        exponent = self.linear.exponent[rows] + int(np.log2(fold))
        alive = self.linear.maximum[rows] > 0
        coarse = FINE // _LOG_SHOWN
        log_first = np.zeros(len(rows), dtype=np.int32)
        log_counts: list[NDArray[np.int64]] = []
        base = self.log.first // coarse - 127 * _LOG_SHOWN
        for i, row in enumerate(rows):
            quarters = self.log.counts[row].reshape(-1, coarse).sum(axis=1)
            used = np.flatnonzero(quarters)
            if len(used):
                log_first[i] = base + used[0]
                quarters = quarters[used[0] : used[-1] + 1]
            log_counts.append(quarters if len(used) else np.zeros(0, dtype=np.int64))
        return {
            "exponent": np.where(alive, exponent, 0).astype(np.int32),
            "counts": list(counts),
            "log_first": log_first,
            "log_counts": log_counts,
        }

    def state(self) -> State:
        """Histograms and sums as arrays."""
        parts = {name: getattr(self, name).state() for name in _PARTS}
        flat = {f"{part}.{name}": a for part, arrays in parts.items() for name, a in arrays.items()}
        return {"counted": np.array(self.counted, dtype=np.int64), **flat}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become the accumulator whose `state` this is."""
        self.counted = int(state["counted"])
        for part in _PARTS:
            prefix = part + "."
            arrays = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            getattr(self, part).restore(arrays)
