"""Which events may become examples: the largest ones, and a random sample of every size.

A bounded number of candidates a latent is kept, on the device, together with the latent's other
activations on their sequences. Thresholds tell below which a new event cannot matter, and sorting
is put off until enough candidates wait. What is kept is a function of the events alone; when they
are sorted is not visible in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.measure.batch import SortedEvents, runs
from saereport.measure.columns import State
from saereport.measure.crossing import indices, to_device, to_host
from saereport.measure.exact import (
    NEVER,
    fine_bin,
    fine_ends,
    latent_bits,
    mix,
    ordered,
    rank_in_groups,
)
from saereport.measure.sorting import lexicographic, order_by
from saereport.measure.statistics import floats
from saereport.measure.statistics.floats import FINE, priorities
from saereport.measure.statistics.histograms import cover
from saereport.measure.statistics.spacing import sort_by
from saereport.measure.waiting import Waiting
from saereport.util.ragged import Ragged

_WAITING = 1 << 22
_TINY = np.nextafter(np.float32(0), np.float32(1))
_UNSIGNED_NEVER = np.uint64(0xFFFFFFFFFFFFFFFF)
_PER_STRATUM = FINE // 4
_HIGHEST = (1 << 31) - 1

FIELDS = {
    "row": torch.int32,
    "sequence": torch.int32,
    "position": torch.int32,
    "document": torch.int32,
    "value": torch.float32,
    "wanted": torch.uint8,
}
LARGEST, SAMPLED = 1, 2
"""Why an event is a candidate, as bits of `wanted`; 0 for one beside a candidate."""


class Candidates:
    """The candidate events of some latents, and all events of these latents on their sequences.

    *Largest*: the `top` largest events of each row, of which no two windows of one sequence
    overlap. Within a sequence events are taken by (activation descending, position), skipping those
    whose window overlaps a taken one; over the sequences the largest of these are kept, ties going
    to the earlier (sequence, position), which is the order of the text.

    *Sampled*: of each row and each quarter of an octave of activation (a stratum) the `size` events
    with the smallest priorities (`floats.priorities`): a uniform sample without replacement. For
    any range of activations, all events whose priority is at most that of the last event kept in
    each stratum that the range touches are at hand, and they are a uniform sample of the range.

    Args:
        latents: Latent of each row, int64[r].
        top: Largest events of a row.
        reach: Two events of a sequence at most that far apart have windows that overlap.
        size: Sampled events of a stratum.
        seed: Seed of the sample.
        device: Where the events lie.
    """

    def __init__(
        self,
        latents: NDArray[np.int64],
        device: torch.device | str,
        *,
        top: int,
        reach: int,
        size: int,
        seed: int,
    ) -> None:
        self.latents, self.seed = latents, seed
        self.top, self.reach, self.size = top, reach, size
        self.events = Waiting(FIELDS, device, _WAITING)
        self._threshold = torch.zeros(len(latents), dtype=torch.float32, device=device)
        self._latent_bits = latent_bits(seed, to_device(latents, device))
        self._first = 0
        self._last = torch.zeros((len(latents), 0), dtype=torch.int64, device=device)
        self._sample: Tensor | None = None

    def choose(self, prepared: SortedEvents) -> None:
        """Ask for the events on each latent's sequences with a candidate."""
        nothing = torch.zeros(len(prepared), dtype=torch.bool, device=prepared.row.device)
        large = sampled = nothing
        if self.top:
            large = prepared.value >= self._threshold.index_select(0, prepared.row)
        if self.size and len(prepared):
            stratum = fine_bin(prepared.bits) // _PER_STRATUM
            self._cover(prepared.batch.bits)
            last = self._last.view(-1).index_select(0, self._stratum_group(prepared.row, stratum))
            sampled = self._priority(prepared) <= last
        self._sample = sampled
        prepared.want("examples.large", large)
        group = prepared.group
        inside = torch.zeros(len(group), dtype=torch.int32, device=group.device)
        inside.scatter_add_(0, group, (large | sampled).to(torch.int32))
        prepared.want("examples", inside.index_select(0, group) > 0)

    def _priority(self, prepared: SortedEvents) -> Tensor:
        place = prepared.batch.place.index_select(0, prepared.flat)
        return ordered(mix(self._latent_bits.index_select(0, prepared.row) ^ place))

    def _cover(self, bits: tuple[int, int]) -> None:
        start, last = (end // _PER_STRATUM for end in fine_ends(*bits))
        self._last, self._first = cover(self._last, self._first, start, last + 1, fill=NEVER)

    def _stratum_group(self, row: Tensor, stratum: Tensor) -> Tensor:
        return row.to(torch.int64) * self._last.shape[1] + (stratum - self._first)

    def update(self, prepared: SortedEvents) -> None:
        """Take in a batch of whole sequences."""
        chosen, sampled, self._sample = prepared.picked("examples"), self._sample, None
        if not len(chosen) or sampled is None:
            return
        wanted = self._spaced(prepared) * LARGEST + sampled.to(torch.uint8) * SAMPLED
        flat = prepared.flat.index_select(0, chosen)
        columns = {
            name: getattr(prepared, name).index_select(0, chosen)
            for name in ("row", "sequence", "position")
        }
        columns["document"] = prepared.batch.documents.reshape(-1).index_select(0, flat)
        columns["value"] = prepared.value.index_select(0, chosen)
        columns["wanted"] = wanted.index_select(0, chosen)
        self.events.add(columns)
        if self.events.due:
            self.compact()

    def _spaced(self, prepared: SortedEvents) -> Tensor:
        """Which events are taken as large ones when windows of a sequence must not overlap.

        Greedy: each round takes the largest that is left of every (row, sequence), and drops what
        overlaps it. More rounds than windows that find room in a sequence are not needed.

        Returns:
            1 for those taken, uint8[k].
        """
        large = prepared.picked("examples.large")
        found = torch.zeros(len(prepared), dtype=torch.uint8, device=large.device)
        n = len(large)
        group = runs(prepared.group.index_select(0, large))
        falling = _HIGHEST - prepared.bits.index_select(0, large)
        order = order_by(falling, _HIGHEST)
        order = order.index_select(0, order_by(group.index_select(0, order), max(n, 1)))
        group = group.index_select(0, order)
        position = prepared.position.index_select(0, large).index_select(0, order)
        here = torch.arange(n, device=large.device)
        left = torch.ones(n, dtype=torch.bool, device=large.device)
        taken = torch.zeros(n + 1, dtype=torch.uint8, device=large.device)
        behind = torch.full((1,), -(1 << 30), dtype=position.dtype, device=large.device)
        place_of = torch.cat([position, behind])
        for _ in range(min(self.top, (prepared.batch.context - 1) // (self.reach + 1) + 1)):
            best = torch.full((n,), n, dtype=torch.int64, device=large.device)
            best.scatter_reduce_(0, group, torch.where(left, here, n), "amin")
            rival = best.index_select(0, group)
            taken.index_fill_(0, best, 1)
            left &= (position - place_of.index_select(0, rival)).abs() > self.reach
        return found.scatter_(0, large.index_select(0, order), taken.narrow(0, 0, n))

    def compact(self) -> None:
        """Keep what can still matter and raise the thresholds."""
        if self.events.anything:
            self.events.rework("row", len(self.latents), self._ranked)

    def _ranked(self, columns: Mapping[str, Tensor], first: int, stop: int) -> dict[str, Tensor]:
        """What can still matter of the candidates of some rows."""
        wanted = columns["wanted"]
        kept = torch.zeros_like(wanted)
        for bit, rank_out in ((LARGEST, self._largest), (SAMPLED, self._sampled)):
            at = indices((wanted & bit) > 0)
            if len(at):
                kept[rank_out(columns, at, first, stop)] |= bit
        group = runs(columns["row"], columns["sequence"])
        inside = torch.zeros(len(group), dtype=torch.bool, device=group.device)
        inside[group[indices(kept > 0)]] = True
        chosen = indices(inside.index_select(0, group))
        found = {**columns, "wanted": kept}
        return {name: column.index_select(0, chosen) for name, column in found.items()}

    def _largest(self, columns: Mapping[str, Tensor], at: Tensor, first: int, stop: int) -> Tensor:
        row, value = (columns[name].index_select(0, at) for name in ("row", "value"))
        # Candidates of before the threshold rose are out already.
        still = indices(value >= self._threshold.index_select(0, row))
        at, row, value = (x.index_select(0, still) for x in (at, row, value))
        order = lexicographic(row, -value.view(torch.int32), _places(columns, at))
        rank = rank_in_groups(row.index_select(0, order) - first, stop - first)
        last = order[indices(rank == self.top - 1)]
        self._threshold[row[last].to(torch.int64)] = value[last]
        return at[order[indices(rank < self.top)]]

    def _sampled(self, columns: Mapping[str, Tensor], at: Tensor, first: int, stop: int) -> Tensor:
        row = columns["row"].index_select(0, at)
        bits = columns["value"].view(torch.int32).index_select(0, at)
        self._cover((int(bits.min()), int(bits.max())))
        strata = self._last.shape[1]
        group = self._stratum_group(row - first, fine_bin(bits) // _PER_STRATUM)
        bits_of_latent = self._latent_bits.index_select(0, row)
        priority = mix(bits_of_latent ^ mix(_places(columns, at)))
        order = order_by(group, (stop - first) * strata, priority)
        ranked = group.index_select(0, order)
        rank = rank_in_groups(ranked, (stop - first) * strata)
        last = indices(rank == self.size - 1)
        self._last[first:stop].view(-1)[ranked[last]] = ordered(priority[order[last]])
        return at[order[indices(rank < self.size)]]

    def sequences(self) -> NDArray[np.int64]:
        """The sequences that some candidate lies in, ascending."""
        self.compact()
        return to_host(torch.unique(self.events.kept["sequence"])).astype(np.int64)

    def merge(self, other: Candidates) -> None:
        """Take in the candidates of another part of the text."""
        other.compact()
        self.events.add(other.events.kept)
        self.compact()

    def state(self) -> State:
        """The candidates kept, in order of (row, sequence, position)."""
        return self._ordered()

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become the candidates whose `state` this is."""
        self.events.restore({name: state[name][:0] for name in FIELDS})
        device = self._threshold.device
        self.events.add({name: to_device(state[name], device) for name in FIELDS})
        self.compact()

    def on_host(self) -> HostCandidates:
        """Everything for a result, in order of (row, sequence, position)."""
        columns = self._ordered()
        last = to_host(self._last).view(np.uint64) ^ np.uint64(1 << 63)
        return HostCandidates(columns, self.latents, self.seed, last, self._first)

    def _ordered(self) -> State:
        """The candidates on the host: where batches ended cannot be seen in their order."""
        self.compact()
        kept = self.events.kept
        place = (kept["sequence"].to(torch.int64) << 32) | kept["position"]
        order = order_by(place, 1 << 62)
        order = order.index_select(0, order_by(kept["row"][order], max(len(self.latents), 1)))
        return {name: to_host(kept[name].index_select(0, order)) for name in FIELDS}


def _places(columns: Mapping[str, Tensor], at: Tensor) -> Tensor:
    """Sequence and position of some rows as one integer, in the order of the text."""
    place = columns["sequence"].index_select(0, at).to(torch.int64)
    place <<= 32
    place |= columns["position"].index_select(0, at)
    return place


@dataclass(frozen=True, eq=False)
class HostCandidates:
    """Candidates on the host, for making tables.

    Attributes:
        columns: The columns of `FIELDS`, in order of (row, sequence, position).
        latents: Latent of each row.
        seed: Seed of the sample.
        last: Priority of the last event kept of each (row, stratum), uint64[r, strata].
        first: Stratum of column 0 of `last`.
    """

    columns: State
    latents: NDArray[np.int64]
    seed: int
    last: NDArray[np.uint64]
    first: int

    def of(self, why: int, rows: NDArray[Any]) -> State:
        """The candidates of some rows: `LARGEST` or `SAMPLED` ones, in order of the text."""
        member = np.zeros(len(self.latents), dtype=bool)
        member[rows] = True
        chosen = ((self.columns["wanted"] & why) > 0) & member[self.columns["row"]]
        return {name: values[chosen] for name, values in self.columns.items()}

    def lists(self, row: NDArray[Any], sequence: NDArray[Any]) -> tuple[Ragged, Ragged]:
        """Positions and values of a latent's events on each (row, sequence) of a candidate."""
        keys = row_key(self.columns["row"], self.columns["sequence"])
        wanted = row_key(row, sequence)
        start = np.searchsorted(keys, wanted, side="left")
        stop = np.searchsorted(keys, wanted, side="right")
        lengths = stop - start
        offset = np.cumsum(lengths) - lengths
        at = np.arange(int(lengths.sum())) + np.repeat(start - offset, lengths)
        return (
            Ragged.of_lengths(self.columns["position"][at], lengths),
            Ragged.of_lengths(self.columns["value"][at], lengths),
        )

    def drawer(self, rows: NDArray[Any]) -> Drawer:
        """Get ready to draw from ranges of some rows (ascending)."""
        return Drawer(self, rows)


def row_key(row: NDArray[Any], sequence: NDArray[Any]) -> NDArray[np.int64]:
    """`row << 32 | sequence`: one integer for a latent's activations on one sequence."""
    return (row.astype(np.int64) << 32) | sequence.astype(np.int64)


def by_size(columns: Mapping[str, NDArray[Any]], group: NDArray[Any]) -> NDArray[np.int64]:
    """The order by (group, activation descending, sequence, position)."""
    place = row_key(columns["sequence"], columns["position"])
    return np.lexsort((place, -columns["value"], group))


def stratum_of(value: NDArray[np.float32]) -> NDArray[np.int32]:
    """The quarter octave of each activation above zero."""
    return floats.fine_bin(value.view(np.int32)) // _PER_STRATUM


class Drawer:
    """Draws from the sampled candidates of some rows, one range of activations after the other.

    Attributes:
        columns: The sampled candidates, ordered by row, then priority.
    """

    def __init__(self, candidates: HostCandidates, rows: NDArray[Any]) -> None:
        self._last, self._first = candidates.last[rows], candidates.first
        found = candidates.of(SAMPLED, rows)
        place_of = np.full(len(candidates.latents), -1, dtype=np.int64)
        place_of[rows] = np.arange(len(rows))
        place = place_of[found["row"]]
        latent = candidates.latents[found["row"]]
        where = found["sequence"], found["position"]
        priority = priorities(candidates.seed, latent, *where)
        order = sort_by(place, priority)
        self.columns = {name: values[order] for name, values in found.items()}
        self._priority, self._place = priority[order], place[order]

    def within(
        self, lower: NDArray[np.float32], upper: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """A uniform sample of each row's events in (lower, upper], in random order.

        Args:
            lower: Lower end of each row's range, float32[len(rows)].
            upper: Upper end of each row's range, float32[len(rows)].

        Returns:
            Indices into `columns`, and the place in `rows` that each belongs to; ordered by place,
            then priority. A function of the text's events and the seed.
        """
        limit = np.full(len(lower), _UNSIGNED_NEVER)
        low = stratum_of((lower.view(np.int32) + 1).view(np.float32))
        high = stratum_of(np.maximum(upper, _TINY))
        for i in range(self._last.shape[1]):
            touched = (low <= self._first + i) & (self._first + i <= high)
            np.minimum(limit, self._last[:, i], out=limit, where=touched)
        place, value = self._place, self.columns["value"]
        inside = (value > lower[place]) & (value <= upper[place])
        inside &= self._priority <= limit[place]
        return np.flatnonzero(inside), place[inside]
