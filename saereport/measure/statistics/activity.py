"""Each latent's activations: counts, moments, quantiles and histograms, all exact and mergeable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saereport.measure.batch import SortedEvents, TrackedLatents, flat_state, part_state
from saereport.measure.columns import Columns, State
from saereport.measure.crossing import to_host
from saereport.measure.setting import Setting
from saereport.measure.statistics.floats import FINE, fine_edge
from saereport.measure.statistics.histograms import LinearHistogram, LogHistogram, Sums
from saereport.measure.statistics.order import KEPT, LargestValues, rank_of
from saereport.util.ragged import Ragged

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
    `r * (octaves * 152 + 2304)` bytes for r tracked latents whose activations span `octaves`
    powers of two. Counts are exact below 2^31 tokens, which is what a text may have.
    """

    def __init__(self, setting: Setting) -> None:
        self.rows = TrackedLatents(setting.latents, setting.d_sae, setting.device)
        self.counted = 0
        self.log = LogHistogram(len(self.rows), setting.device)
        self.linear = LinearHistogram(len(self.rows), setting.device)
        self.sums = Sums(len(self.rows), setting.device)
        self.largest = LargestValues(len(self.rows), setting.device)

    def choose(self, prepared: SortedEvents) -> None:
        """Ask for the events that may be among the largest, and the rows to be coarsened."""
        if len(prepared):
            self.linear.choose(prepared)
            self.largest.choose(prepared)

    def update(self, prepared: SortedEvents) -> None:
        """Take in one batch."""
        self.counted += prepared.batch.n_counted
        if len(prepared):
            events = prepared.wide_row, prepared.bits, prepared.batch.bits
            self.log.add(*events)
            self.sums.add(*events)
            self.linear.add(prepared)
            self.largest.add(prepared)

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
        maximum = self.maximum(rows)
        names = np.asarray(latents, dtype=np.int32)
        return {
            "activity": {
                "latent": names,
                "n_active": n,
                "density": n / max(self.counted, 1),
                "max": maximum,
                "mean_active": mean,
                "std_active": np.where(n > 1, np.sqrt(variance), 0.0),
                "quantile_values": Ragged.of_lengths(
                    self.quantiles(rows, QUANTILES)[n > 1].reshape(-1),
                    np.where(n > 1, len(QUANTILES), 0),
                ),
            },
            "activation_histogram": {"latent": names, **self._histogram(rows)},
        }

    def n_active(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        """Active tokens of each row."""
        n: NDArray[np.int64] = to_host(self.linear.counts.sum(1))[rows]
        return n

    def maximum(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """Largest activation of each row, 0 where there is none."""
        maximum: NDArray[np.float32] = to_host(self.linear.maximum)[rows]
        return maximum

    def exponent(self, rows: NDArray[Any]) -> NDArray[np.int32]:
        """log2 of the width of each row's linear bins; meaningless where there is no activation."""
        exponent: NDArray[np.int32] = to_host(self.linear.exponent)[rows]
        return exponent

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
        width = self.log.counts.shape[1]
        for at in range(0, len(rows) if width else 0, _CHUNK):
            span = slice(at, at + _CHUNK)
            running = np.pad(np.cumsum(self.log.of(rows[span]), axis=1), ((0, 0), (1, 0)))
            rank = np.clip(ranks[span], 1, np.maximum(running[:, -1:], 1))
            for i in range(ranks.shape[1]):
                place = (running[:, 1:] < rank[:, i : i + 1]).sum(axis=1)
                place = np.minimum(place, width - 1)
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
        maximum = self.maximum(rows)[:, None]
        values: NDArray[np.float32] = np.minimum(
            np.where(known, exact, middle.astype(np.float32)), maximum
        )
        return values

    def _histogram(self, rows: NDArray[Any]) -> Columns:
        fold = (1 << self.linear.BINS_LOG2) // SHOWN_BINS
        exponent = self.exponent(rows) + int(np.log2(fold))
        spans = [rows[at : at + _CHUNK] for at in range(0, max(len(rows), 1), _CHUNK)]
        counts = [self.linear.of(span).reshape(-1, SHOWN_BINS, fold).sum(axis=2) for span in spans]
        log_first, log_counts = zip(*(self._quarters(span) for span in spans), strict=True)
        return {
            "exponent": np.where(self.maximum(rows) > 0, exponent, 0).astype(np.int32),
            "counts": Ragged.of_rows(np.concatenate(counts)),
            "log_first": np.concatenate(log_first),
            "log_counts": Ragged.concatenate(log_counts),
        }

    def _quarters(self, rows: NDArray[Any]) -> tuple[NDArray[np.int32], Ragged]:
        """First quarter of an octave in which each row has a count, and its counts to the last."""
        coarse = FINE // _LOG_SHOWN
        counts = self.log.of(rows)
        quarters = counts.reshape(len(rows), counts.shape[1] // coarse, coarse).sum(axis=2)
        if not quarters.shape[1]:
            none = Ragged.of_lengths(np.zeros(0, dtype=np.int64), np.zeros(len(rows)))
            return np.zeros(len(rows), dtype=np.int32), none
        used = quarters > 0
        alive = used.any(axis=1)
        first = used.argmax(axis=1)
        stop = used.shape[1] - used[:, ::-1].argmax(axis=1)
        column = np.arange(used.shape[1])[None]
        shown = (column >= first[:, None]) & (column < stop[:, None]) & alive[:, None]
        base = self.log.first // coarse - 127 * _LOG_SHOWN
        log_first = np.where(alive, base + first, 0).astype(np.int32)
        return log_first, Ragged.of_lengths(quarters[shown], shown.sum(axis=1))

    def state(self) -> State:
        """Histograms and sums as arrays."""
        parts = {name: getattr(self, name).state() for name in _PARTS}
        return {"counted": np.array(self.counted, dtype=np.int64), **flat_state(parts)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become the accumulator whose `state` this is."""
        self.counted = int(state["counted"])
        for part in _PARTS:
            getattr(self, part).restore(part_state(state, part))
