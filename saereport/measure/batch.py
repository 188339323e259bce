"""What the accumulators eat: the events of some batches, and the preparation that they share.

An *event* is one counted token on which one latent is active. Sparse autoencoders fire on some
twenty of thousands of latents, so a batch is a list of events and never a dense array, and the
work of every accumulator grows with the events only.

Everything lies on the model's device. A device computes while the host goes on, as long as the
host does not ask it for a number; sizes that depend on the data are such numbers. So the events
come with what the host has to know of them, and an accumulator says first which events it may want
(`SortedEvents.want`); all that was wanted is counted in one question (`settle`).

`SortedEvents` does once what several accumulators need: it drops the events of latents that nobody
asked about and puts the others in order of (row, sequence, position), where a *row* is a latent's
place in the sorted array of tracked latents.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.measure.broken import NONE, Places
from saereport.measure.columns import Columns, State
from saereport.measure.crossing import indices, numbers, to_device, to_host
from saereport.measure.exact import levels_of, ordered, place_bits


@dataclass(frozen=True, eq=False)
class Events:
    """The events of some whole consecutive sequences for one SAE, on one device.

    Attributes:
        first: Index in the text of the first sequence.
        tokens: Token ids, int32[n, ctx].
        counted: Which tokens count, bool[n, ctx].
        documents: Which document each token is from, int32[n, ctx].
        latent: Index into the SAE's dictionary, int32[m].
        flat: The token as an index into the flattened [n * ctx] batch, int32[m].
        value: Activation, above zero and finite, float32[m].
        n_counted: How many tokens count.
        bits: The lowest and the highest of the activations' IEEE bits; of no events (0, 0).
        n_tracked: Events of tracked latents, where that was counted already.
        broken: Sequence, position and latent of what is no activation and no event, int64[b, 3].

    Events are sorted by (flat, latent) and lie on counted tokens only.
    """

    first: int
    tokens: Tensor
    counted: Tensor
    documents: Tensor
    latent: Tensor
    flat: Tensor
    value: Tensor
    n_counted: int
    bits: tuple[int, int]
    n_tracked: int | None = None
    broken: Places = field(default_factory=NONE.copy)

    @classmethod
    def of(
        cls,
        first: int,
        tokens: NDArray[Any],
        counted: NDArray[Any],
        documents: NDArray[Any],
        events: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
        device: torch.device | str = "cpu",
    ) -> Events:
        """From arrays on the host.

        Args:
            first: Index in the text of the first sequence.
            tokens: Token ids, [n, ctx].
            counted: Which tokens count, bool[n, ctx].
            documents: Document of each token, [n, ctx].
            events: Latent, flat index of the token, and activation of each, [m], in order.
            device: Where to put them.
        """
        latent, flat, value = events
        found = np.ascontiguousarray(value, dtype=np.float32)
        bits = found.view(np.int32)
        return cls(
            first=first,
            tokens=to_device(np.asarray(tokens, dtype=np.int32), device),
            counted=to_device(np.asarray(counted, dtype=np.bool_), device),
            documents=to_device(np.asarray(documents, dtype=np.int32), device),
            latent=to_device(np.asarray(latent, dtype=np.int32), device),
            flat=to_device(np.asarray(flat, dtype=np.int32), device),
            value=to_device(found, device),
            n_counted=int(np.asarray(counted).sum()),
            bits=(int(bits.min()), int(bits.max())) if len(bits) else (0, 0),
        )

    @classmethod
    def join(cls, parts: Sequence[Events]) -> Events:
        """The events of parts that follow one another in the text."""
        if len(parts) == 1:
            return parts[0]
        n_tokens = np.cumsum([0, *(part.tokens.numel() for part in parts)]).tolist()
        moved = [part.flat + start for part, start in zip(parts, n_tokens, strict=False)]
        bits = [part.bits for part in parts if len(part.value)] or [(0, 0)]
        tracked = [part.n_tracked for part in parts]
        return cls(
            first=parts[0].first,
            tokens=torch.cat([part.tokens for part in parts]),
            counted=torch.cat([part.counted for part in parts]),
            documents=torch.cat([part.documents for part in parts]),
            latent=torch.cat([part.latent for part in parts]),
            flat=torch.cat(moved),
            value=torch.cat([part.value for part in parts]),
            n_counted=sum(part.n_counted for part in parts),
            bits=(min(low for low, _ in bits), max(high for _, high in bits)),
            n_tracked=None if None in tracked else sum(n for n in tracked if n is not None),
            broken=np.concatenate([part.broken for part in parts]),
        )

    @property
    def device(self) -> torch.device:
        """Where the events lie."""
        return self.value.device

    @property
    def context(self) -> int:
        """Tokens in a sequence."""
        return int(self.tokens.shape[1])

    @cached_property
    def place(self) -> Tensor:
        """A pseudo-random number for each token, by its place in the text alone, int64[n * ctx]."""
        n, context = self.tokens.shape
        sequence = torch.arange(self.first, self.first + n, device=self.device)
        position = torch.arange(context, device=self.device)
        return place_bits(sequence.unsqueeze(1), position.unsqueeze(0)).reshape(-1)

    @cached_property
    def priority(self) -> Tensor:
        """`util.priority.place_priorities` of each token, as signed numbers of the same order."""
        return ordered(self.place)

    @cached_property
    def level(self) -> Tensor:
        """Each token's level (see `exact.levels_of`), int8[n * ctx]."""
        return levels_of(self.place)

    def counts(self, d_sae: int) -> Tensor:
        """Events of each latent of the dictionary, int64[d_sae]; one tensor for all who ask."""
        if "_counts" not in self.__dict__:
            found = torch.zeros(d_sae, dtype=torch.int64, device=self.device)
            found.scatter_add_(0, self.latent.to(torch.int64), ones_like(self.latent))
            self.__dict__["_counts"] = found
        counted: Tensor = self.__dict__["_counts"]
        return counted


def ones_like(events: Tensor, dtype: torch.dtype = torch.int64) -> Tensor:
    """A one for each event, taking no memory."""
    return torch.ones(1, dtype=dtype, device=events.device).expand(len(events))


class TrackedLatents:
    """The tracked latents of one SAE, and the way from a latent to its row.

    Args:
        latents: Sorted distinct indices into the dictionary, int[r].
        d_sae: Size of the dictionary.
        device: Where the events lie whose rows are asked for.
    """

    def __init__(
        self, latents: NDArray[Any], d_sae: int, device: torch.device | str = "cpu"
    ) -> None:
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
        self._on_device = to_device(self._row, device)

    def __len__(self) -> int:
        return len(self.latents)

    @property
    def everything(self) -> bool:
        """Whether every latent of the SAE is tracked."""
        return len(self.latents) == self.d_sae

    def of(self, latents: Tensor) -> Tensor:
        """The row of each latent, -1 where it is not tracked, int32 on the device."""
        return latents if self.everything else self._on_device.index_select(0, latents)

    def chosen(self, latents: NDArray[Any]) -> NDArray[np.int32]:
        """The rows of latents to report; `ValueError` if one of them was not tracked."""
        rows = self._row[np.asarray(latents, dtype=np.int64)]
        if (rows < 0).any():
            raise ValueError("latents were asked for that were not tracked")
        return rows


@dataclass(frozen=True, eq=False)
class HostEvents:
    """Tracked events in numpy's arrays, for statistics that are computed on the host.

    Attributes:
        row, sequence, position: int32[k].
        flat: int64[k].
        value: float32[k].
        tokens, documents: Of the batch, int32[n, ctx].
        counted: Of the batch, bool[n, ctx].
        first: Index in the text of the batch's first sequence.
    """

    row: NDArray[np.int32]
    sequence: NDArray[np.int32]
    position: NDArray[np.int32]
    flat: NDArray[np.int64]
    value: NDArray[np.float32]
    tokens: NDArray[np.int32]
    documents: NDArray[np.int32]
    counted: NDArray[np.bool_]
    first: int


class SortedEvents:
    """A batch, with its tracked events ordered by (row, sequence, position).

    Attributes:
        batch: The batch as it came.
        rows: The tracked latents.
        row: Row of each tracked event, int32[k].
        flat: The event's token as an index into the flattened batch, int32[k].
        value: Activation, float32[k].
    """

    def __init__(self, batch: Events, rows: TrackedLatents) -> None:
        self.batch = batch
        self.rows = rows
        self._wanted: dict[str, Tensor] = {}
        self._picked: dict[str, Tensor] = {}
        row, flat, value = rows.of(batch.latent), batch.flat, batch.value
        if not rows.everything:
            kept = indices(row >= 0, batch.n_tracked)
            row, flat, value = (column.index_select(0, kept) for column in (row, flat, value))
        # Narrow keys sort fastest; sorting is stable, so the order of the tokens stays.
        narrow = row.to(torch.int16) if len(rows) <= 1 << 15 else row
        ordered_rows, order = torch.sort(narrow, stable=True)
        self.row = ordered_rows.to(torch.int32)
        self.flat = flat.index_select(0, order)
        self.value = value.index_select(0, order)

    def __len__(self) -> int:
        return len(self.row)

    @cached_property
    def wide_row(self) -> Tensor:
        """`row` as int64, for scattering."""
        return self.row.to(torch.int64)

    @cached_property
    def bits(self) -> Tensor:
        """The activations' IEEE bits, int32: for positive floats, an order-preserving integer."""
        return self.value.view(torch.int32)

    @cached_property
    def sequence(self) -> Tensor:
        """Index in the text (not in the batch), int32[k]."""
        return self.batch.first + self.flat // self.batch.context

    @cached_property
    def position(self) -> Tensor:
        """Place in the sequence, int32[k]."""
        return self.flat % self.batch.context

    @cached_property
    def level(self) -> Tensor:
        """Level of each event's token, int8[k]."""
        return self.batch.level.index_select(0, self.flat)

    @cached_property
    def group(self) -> Tensor:
        """Each event's run of equal (row, sequence), counted from 0, int64[k]."""
        return runs(self.row, self.sequence)

    def want(self, name: str, mask: Tensor) -> None:
        """Ask for the indices at which a mask holds, of which the host does not know how many."""
        self._wanted[name] = mask

    def settle(self) -> None:
        """Count all that was wanted, in one question to the device, and find it."""
        names = list(self._wanted)
        if not names:
            return
        sizes = numbers([self._wanted[name].sum() for name in names])
        for name, size in zip(names, sizes, strict=True):
            self._picked[name] = indices(self._wanted.pop(name), size)

    def picked(self, name: str) -> Tensor:
        """The indices that were wanted under a name, ascending, int64."""
        if name not in self._picked:
            self.settle()
        return self._picked[name]

    def host(self) -> HostEvents:
        """The tracked events in the host's memory: 20 bytes an event cross over."""
        batch = self.batch
        names = ("row", "sequence", "position", "flat", "value")
        row, sequence, position, flat, value = (to_host(getattr(self, name)) for name in names)
        return HostEvents(
            row,
            sequence,
            position,
            flat.astype(np.int64),
            value,
            to_host(batch.tokens),
            to_host(batch.documents),
            to_host(batch.counted),
            batch.first,
        )


def runs(*keys: Tensor) -> Tensor:
    """The number (from 0) of each element's run of equal keys, int64[k]."""
    first = keys[0]
    if not len(first):
        return torch.zeros(0, dtype=torch.int64, device=first.device)
    change = torch.zeros(len(first), dtype=torch.bool, device=first.device)
    inner = change.narrow(0, 1, len(first) - 1)
    for key in keys:
        inner |= differs(key)
    return torch.cumsum(change, 0)


def differs(key: Tensor) -> Tensor:
    """Whether each element but the first differs from the one before, bool[k - 1]."""
    n = max(len(key) - 1, 0)
    return key.narrow(0, len(key) - n, n) != key.narrow(0, 0, n)


@runtime_checkable
class Chooser(Protocol):
    """An accumulator that says before `update` which events it may want."""

    def choose(self, prepared: SortedEvents) -> None:
        """Call `prepared.want`."""


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


def flat_state(parts: Mapping[str, State]) -> State:
    """The states of an accumulator's parts as one: `part.array`."""
    return {f"{part}.{name}": a for part, arrays in parts.items() for name, a in arrays.items()}


def part_state(state: Mapping[str, NDArray[Any]], part: str) -> State:
    """The state of one part of `flat_state`."""
    prefix = part + "."
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def concatenated(parts: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Columns of the same names, one after the other."""
    listed = list(parts)
    if len(listed) == 1:
        return dict(listed[0])
    return {name: torch.cat([part[name] for part in listed]) for name in listed[0]}
