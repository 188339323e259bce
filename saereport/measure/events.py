"""From a dense tensor of latent activations to the sparse events that the accumulators read.

Finding what is active asks a device how much that is. `find` does not wait for the answer: it takes
as much room as is asked for, and the numbers that the host has to know come later, for several
batches at once. Where the room was too small, or something is no number, the batch is done again
by `events_of`, which waits and names what it finds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.measure.batch import Events
from saereport.measure.broken import LARGEST_ACTIVATION, NONE, Places
from saereport.measure.crossing import indices, to_device, to_host
from saereport.util.errors import SaereportError

MOST_BROKEN = 10
"""Latents of a batch, or a hundredth of them, that may be broken before the whole SAE is."""
_HIGHEST = 0x7FFFFFFF


class SequencesView(Protocol):
    """Consecutive sequences of a text, as `saereport.sources.text.packing.Packed` holds them."""

    @property
    def first(self) -> int:
        """Index in the text of the first of them."""

    @property
    def tokens(self) -> NDArray[np.int32]:
        """Token ids, [n, ctx]."""

    @property
    def counted(self) -> NDArray[np.bool_]:
        """Which tokens count, [n, ctx]."""

    @property
    def documents(self) -> NDArray[np.int32]:
        """Document of each token, [n, ctx]."""


@dataclass(frozen=True, eq=False)
class DeviceText:
    """Some sequences on a device.

    Attributes:
        first: Index in the text of the first of them.
        tokens, documents: int32[n, ctx].
        counted: bool[n, ctx].
        n_counted: How many tokens count.
    """

    first: int
    tokens: Tensor
    counted: Tensor
    documents: Tensor
    n_counted: int

    @classmethod
    def of(cls, text: SequencesView, device: torch.device) -> DeviceText:
        """Copy them there; nothing waits for it."""
        return cls(
            text.first,
            to_device(np.asarray(text.tokens, dtype=np.int32), device),
            to_device(np.asarray(text.counted, dtype=np.bool_), device),
            to_device(np.asarray(text.documents, dtype=np.int32), device),
            int(text.counted.sum()),
        )


@dataclass(frozen=True, eq=False)
class Found:
    """What is active on some consecutive tokens, in room for more.

    Attributes:
        start: Place of the first token in the flattened batch.
        where: Indices into the flattened activations, ascending, then -1, int64[room].
        value: The activations there, float32[room].
        width: Columns of the activations.
        header: How many there are; how many of them are tracked; the lowest and the highest bits;
            whether all can be measured: int64[5] on the device.
    """

    start: int
    where: Tensor
    value: Tensor
    width: int
    header: Tensor

    def fits(self, header: Sequence[int]) -> bool:
        """Whether nothing is missing, and everything can be measured."""
        return header[0] <= len(self.where) and self.measurable(header)

    def measurable(self, header: Sequence[int]) -> bool:
        """Whether none of the activations is no number, or too large."""
        return bool(header[4])


def active_where(f: Tensor, counted: Tensor, room: int | None = None) -> Tensor:
    """Find the active entries on counted tokens, on the tensors' own device.

    Args:
        f: Latent activations, [m, d], any float type.
        counted: Which tokens count, bool[m], on the same device.
        room: Entries to make room for; None to wait for their number.

    Returns:
        Indices into the flattened `f`, ascending, int64; -1 behind them where there is room.
    """
    mask = ((f > 0) & counted.unsqueeze(1)).reshape(-1)
    if room is not None:
        return torch.nonzero_static(mask, size=room, fill_value=-1).squeeze(1)
    return indices(mask)


def find(
    f: Tensor,
    counted: Tensor,
    *,
    start: int = 0,
    tracked: Tensor | None = None,
    room: int | None = None,
) -> Found:
    """Find the active latents of some tokens, without waiting for how many there are.

    Args:
        f: Latent activations, [m, d], any float type.
        counted: Which tokens count, bool[m], on the same device.
        start: Place of the first token in the flattened batch.
        tracked: Which columns are of tracked latents, bool[d]; all of them by default.
        room: Entries to make room for; None where waiting costs nothing (on the CPU).
    """
    where = active_where(f, counted, room)
    real = where >= 0
    value = f.reshape(-1).index_select(0, where.clamp_min(0)).to(torch.float32)
    bits = value.view(torch.int32)
    n = ((f > 0) & counted.unsqueeze(1)).sum() if room is not None else real.sum()
    n_tracked = n
    if tracked is not None:
        n_tracked = (tracked.index_select(0, where.clamp_min(0) % f.shape[1]) & real).sum()
    low = torch.cat([bits, bits.new_full((1,), _HIGHEST)])
    low = torch.where(torch.cat([real, real.new_ones(1)]), low, _HIGHEST).amin()
    high = torch.cat([torch.where(real, bits, 0), bits.new_zeros(1)]).amax()
    sane = all_finite(f) if f.numel() else torch.ones((), dtype=torch.bool, device=f.device)
    header = torch.stack([x.to(torch.int64) for x in (n, n_tracked, low, high, sane)])
    return Found(start, where, value, f.shape[1], header)


def assemble(
    text: DeviceText,
    found: Sequence[Found],
    headers: Sequence[Sequence[int]],
    latents: Tensor | None = None,
) -> Events:
    """The events of a batch, from what was found on its tokens and what is known of it by now.

    Args:
        text: The sequences of the batch.
        found: What was found on consecutive parts of its tokens; all of it `fits`.
        headers: The numbers of each.
        latents: Which latent each column is, int32[d]; all of them in order by default.
    """
    flats, columns, values = [], [], []
    for part, (n, *_) in zip(found, headers, strict=True):
        where = part.where[:n]
        flats.append((where // part.width + part.start).to(torch.int32))
        columns.append((where % part.width).to(torch.int32))
        values.append(part.value[:n])
    column = torch.cat(columns)
    seen = [header for header in headers if header[0]]
    return Events(
        first=text.first,
        tokens=text.tokens,
        counted=text.counted,
        documents=text.documents,
        latent=column if latents is None else latents.index_select(0, column),
        flat=torch.cat(flats),
        value=torch.cat(values),
        n_counted=text.n_counted,
        bits=(min(h[2] for h in seen), max(h[3] for h in seen)) if seen else (0, 0),
        n_tracked=sum(header[1] for header in headers),
    )


def all_finite(f: Tensor) -> Tensor:
    """Whether `f` can be measured: neither NaN nor infinity, nothing above `LARGEST_ACTIVATION`.

    Returns:
        A bool tensor of no dimension on its device.
    """
    low, high = torch.aminmax(f)
    return torch.isfinite(low) & torch.isfinite(high) & (high <= LARGEST_ACTIVATION)


def measurable(
    f: Tensor,
    text: SequencesView,
    *,
    start: int = 0,
    latents: NDArray[Any] | None = None,
    name: str = "the SAE",
    hook: str = "",
    strict: bool = True,
) -> tuple[Tensor, Places]:
    """Take out of dense activations what cannot be measured; this waits for the device.

    Args:
        f: Latent activations of consecutive tokens of the text, [m, d], any float type.
        text: The sequences that they are of.
        start: Place of the first token among all of theirs.
        latents: Which latent each column of `f` is (ascending); all of them in order by default.
        name: What to call the SAE in an error.
        hook: The hook point that the SAE reads, for an error.
        strict: Whether an activation that cannot be measured is an error; if not, it is taken out
            and named, unless a large part of the latents gives some.

    Returns:
        The activations without them, and the sequence, position and latent of each.

    Raises:
        SaereportError: An activation on a counted token is NaN, infinite or above
            `LARGEST_ACTIVATION`; says which SAE and hook point, and the sequence, position and
            latent of the first.
    """
    if not f.numel() or bool(all_finite(f)):
        return f, NONE
    counted = text.counted.reshape(-1)[start : start + len(f), None]
    bad = to_host(_unmeasurable(f)) & counted
    token, column = np.nonzero(bad)
    sequence, position = np.divmod(token + start, text.tokens.shape[1])
    broken = np.stack([sequence + text.first, position, column], axis=1).astype(np.int64)
    if latents is not None and len(broken):
        broken[:, 2] = np.asarray(latents)[column]
    few = len(np.unique(broken[:, 2])) <= max(MOST_BROKEN, f.shape[1] // 100)
    if len(broken) and (strict or not few):
        value = float(f[int(token[0]), int(column[0])])
        raise _not_numbers(value, broken, name, hook)
    return f.masked_fill(to_device(bad, f.device), 0), broken


def _unmeasurable(f: Tensor) -> Tensor:
    return ~torch.isfinite(f) | (f > LARGEST_ACTIVATION)


def events_of(f: Tensor, text: SequencesView, **named: Any) -> Events:
    """Make the batch of events that dense activations hold; this waits for the device.

    Args:
        f: Latent activations on any device, [n, ctx, d], any float type.
        text: The sequences that they are of.
        **named: As for `measurable`, whose errors it raises.
    """
    return events_of_parts([f.reshape(-1, f.shape[-1])], text, **named)


def events_of_parts(parts: Sequence[Tensor], text: SequencesView, **named: Any) -> Events:
    """As `events_of`, from the activations of consecutive parts of the tokens, each [m, d]."""
    latents = named.get("latents")
    found, headers, broken, start = [], [], [NONE], 0
    device = parts[0].device
    on_device = DeviceText.of(text, device)
    counted = on_device.counted.reshape(-1)
    for f in parts:
        clean, bad = measurable(f, text, start=start, **named)
        # What cannot be measured on a token that does not count is no event, and no reason to stop.
        inside = counted[start : start + len(f)]
        found.append(find(clean, inside, start=start))
        headers.append(found[-1].header.tolist())
        broken.append(bad)
        start += len(f)
    of_columns = None
    if latents is not None:
        of_columns = to_device(np.asarray(latents, dtype=np.int32), device)
    events = assemble(on_device, found, headers, of_columns)
    return replace(events, n_tracked=None, broken=np.concatenate(broken))


def _not_numbers(value: float, found: Places, name: str, hook: str) -> SaereportError:
    sequence, position, latent = found[0].tolist()
    kind = "NaN" if np.isnan(value) else "infinite"
    kind = kind if not np.isfinite(value) else f"absurdly large ({value:.3g})"
    place = f" at {hook}" if hook else ""
    return SaereportError(
        f"{name} gave {kind} activations{place}: first in sequence {sequence}, "
        f"position {position}, latent {latent} ({len(found):,} in this batch).",
        "Try --dtype float32, and check that the SAE belongs to this model and hook point.",
    )
