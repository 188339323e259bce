"""One SAE's part of the pass over the text: encoding, and statistics of several batches at once.

A device is asked how much is active once in a round of batches, not for each: until then what was
found waits in room that is likely to hold it (`measure.events.find`). Statistics are taken of the
whole round together, in fewer and larger steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from saereport.measure import STATISTICS, Measurement, Setting
from saereport.measure.batch import Events
from saereport.measure.broken import Broken
from saereport.measure.crossing import to_device
from saereport.measure.events import DeviceText, Found, assemble, events_of_parts, find
from saereport.sources.saes.sae import Sae
from saereport.sources.text.packing import Packed

LARGEST_BLOCK = {"cpu": 1 << 22}
"""Activations `[tokens, latents]` that are encoded at a time, 16 MB of float32 on the CPU.

Larger tensors are handed back to the system when they are freed, and each new one begins with
having every page mapped and zeroed, which took longer than to encode.
"""
_LARGEST_BLOCK = 1 << 29
ROUND = {"cpu": 8}
"""Batches of a round."""
_ROUND = 16
MOST_WAITING = 1 << 24
"""Entries that may wait in a round, 12 bytes each."""
_SPARE, _LEAST_SPARE = 1.5, 4096


@dataclass
class SaeCollector:
    """One SAE's part of the pass.

    Where every statistic that is asked for looks at the tracked latents only, only those are
    encoded, if the architecture allows it.

    Attributes:
        sae: The SAE.
        setting: What to measure of it; its `latents` are tracked.
        names: Statistics to collect.
        measurement: Their accumulators.
        broken: Latents that gave, after the beginning of the text, what cannot be measured.
    """

    sae: Sae
    setting: Setting
    names: Sequence[str]
    measurement: Measurement = field(init=False)
    broken: Broken = field(default_factory=Broken)
    _chosen: Tensor | None = field(init=False)
    _tracked: Tensor | None = field(init=False)
    _per_token: float | None = field(init=False, default=None)
    _careful: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.measurement = Measurement(self.setting, self.names)
        rows = self.measurement.rows
        whole = rows.everything or any(
            STATISTICS[name].needs_all_latents for name in self.measurement.accumulators
        )
        latents = to_device(self.setting.latents, self.sae.device)
        self._chosen = None if whole else latents
        self._tracked = None
        if whole and not rows.everything:
            tracked = torch.zeros(self.setting.d_sae, dtype=torch.bool)
            tracked[self.setting.latents] = True
            self._tracked = tracked.to(self.setting.device)

    def find(self, packed: Packed, text: DeviceText, activations: Tensor) -> list[Found] | Events:
        """Encode one batch; changes no statistic, so it can be tried again with less.

        Args:
            packed: The tokens.
            text: The same where the statistics are.
            activations: At the SAE's hook point, `[batch, pos, d_in]`, on the device.

        Returns:
            What is active on consecutive blocks of the batch's tokens; or the events themselves,
            where an earlier batch had activations that cannot be measured.
        """
        if self._careful:
            return self.exactly(packed, activations)
        counted = text.counted.reshape(-1)
        found: list[Found] = []
        start = 0
        for f in self.encoded(activations):
            inside = counted[start : start + len(f)]
            room = self._room(len(f))
            found.append(find(f, inside, start=start, tracked=self._tracked, room=room))
            if room is None:
                self._note(len(found[-1].where), len(f))
            start += len(f)
        return found

    def encoded(self, activations: Tensor) -> Iterator[Tensor]:
        """Latent activations of all tokens, `[tokens, latents]`, in blocks that fit into memory.

        They are given where the statistics are.
        """
        n, context, d_in = activations.shape
        width = self.setting.d_sae if self._chosen is None else len(self._chosen)
        most = LARGEST_BLOCK.get(activations.device.type, _LARGEST_BLOCK)
        size = max(1, most // max(width, 1))
        if n * context <= size:
            blocks: Sequence[Tensor] = [activations]
        elif self.sae.encoder.of_sequences:
            blocks = torch.split(activations, max(1, size // context))
        else:
            blocks = torch.split(activations.reshape(-1, d_in), size)
        for a in blocks:
            if self._chosen is None:
                f = self.sae.encode(a)
            else:
                f = self.sae.encode_chosen(a, self._chosen)
            yield f.reshape(-1, f.shape[-1]).to(self.setting.device)

    def _room(self, tokens: int) -> int | None:
        """Entries to make room for; None where waiting for their number costs nothing, or it must.

        On the CPU nothing runs behind the host's back, and of the first batch nothing is known.
        """
        if self._per_token is None or torch.device(self.setting.device).type == "cpu":
            return None
        return int(tokens * self._per_token * _SPARE) + _LEAST_SPARE

    def _note(self, events: int, tokens: int) -> None:
        self._per_token = max(self._per_token or 0.0, events / max(tokens, 1))

    def events(
        self,
        text: DeviceText,
        found: Sequence[Found] | Events,
        headers: Sequence[Sequence[int]],
    ) -> Events | None:
        """A batch's events, or None if it has to be done again, by `exactly`."""
        if isinstance(found, Events):
            return found
        for part, header in zip(found, headers, strict=True):
            self._note(header[0], text.tokens.numel() // len(found))
            if not part.fits(header):
                self._careful = self._careful or not part.measurable(header)
                return None
        latents = None
        if self._chosen is not None:
            latents = self._chosen.to(self.setting.device, torch.int32)
        return assemble(text, found, headers, latents)

    def exactly(self, packed: Packed, activations: Tensor) -> Events:
        """A batch's events, waiting for the device, without what cannot be measured.

        Raises:
            SaereportError: An activation at the beginning of the text, or many of them later, are
                no numbers; says where.
        """
        return events_of_parts(
            list(self.encoded(activations)),
            packed,
            latents=None if self._chosen is None else self.setting.latents,
            name=f"The SAE {self.sae.slug}",
            hook=self.sae.hook_in.name,
            strict=packed.first == 0,
        )

    def take(self, batches: Sequence[Events]) -> None:
        """Take the batches of a round into the statistics."""
        joined = Events.join(batches)
        self.measurement.update(joined)
        self.broken.take(joined.broken)


@dataclass(frozen=True, eq=False)
class Waiting:
    """One batch whose events are found and not yet counted, by SAE: blocks, or events already."""

    packed: Packed
    text: DeviceText
    found: Sequence[Sequence[Found] | Events]

    @property
    def blocks(self) -> list[Found]:
        """All blocks whose numbers the host has to know."""
        return [
            block for of_sae in self.found if not isinstance(of_sae, Events) for block in of_sae
        ]


def batches_of_a_round(device: torch.device) -> int:
    """How many batches are taken into the statistics together."""
    return ROUND.get(device.type, _ROUND)


class Round:
    """Batches that wait to be taken into the statistics together."""

    def __init__(self, device: torch.device) -> None:
        self._size = batches_of_a_round(device)
        self._batches: list[Waiting] = []
        self._entries = 0

    def add(self, batch: Waiting) -> None:
        """Let a batch wait."""
        self._batches.append(batch)
        self._entries += sum(len(block.where) for block in batch.blocks)

    @property
    def full(self) -> bool:
        """Whether it is time to take them."""
        return len(self._batches) >= self._size or self._entries > MOST_WAITING

    def take_all(self) -> list[tuple[Waiting, list[list[list[int]]]]]:
        """The batches, with the headers of all that was found: one question to the device."""
        batches, self._batches, self._entries = self._batches, [], 0
        blocks = [block for batch in batches for block in batch.blocks]
        headers = iter(torch.stack([block.header for block in blocks]).tolist() if blocks else [])
        return [
            (
                batch,
                [
                    [] if isinstance(of_sae, Events) else [next(headers) for _ in of_sae]
                    for of_sae in batch.found
                ],
            )
            for batch in batches
        ]
