"""The one pass over the text: tokens to activations to events to statistics.

The pass saves checkpoints, and its batches shrink when memory runs out. Everything dense stays on
the chosen device and lives for one batch; what is kept is the state of the accumulators, whose
size does not depend on the number of tokens. The accumulators are exact, so where the text is cut
into batches, and where a killed collection goes on, leaves no trace in them.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

import numpy as np
import torch

from saereport.measure import STATISTICS, Events, Measurement, SequenceStore, Setting
from saereport.measure.broken import Broken
from saereport.measure.events import events_of
from saereport.pipeline.activations import Activations
from saereport.pipeline.checkpoint import Arrays, Checkpoint
from saereport.pipeline.seen import Seen
from saereport.sources.devices import is_out_of_memory
from saereport.sources.models import LanguageModel
from saereport.sources.saes.sae import Sae
from saereport.sources.text.packing import Packed
from saereport.util.errors import SaereportError
from saereport.util.progress import Bar, Progress

TOKENS_PER_BATCH = {"cpu": 4096, "mps": 8192, "cuda": 16384}


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
    _slice: torch.Tensor | None = field(init=False)

    def __post_init__(self) -> None:
        self.measurement = Measurement(self.setting, self.names)
        all_tracked = len(self.setting.latents) == self.setting.d_sae
        whole = all_tracked or any(
            STATISTICS[name].needs_all_latents for name in self.measurement.accumulators
        )
        tracked = torch.as_tensor(self.setting.latents, device=self.sae.device)
        self._slice = None if whole else tracked

    def events(self, packed: Packed, activations: torch.Tensor) -> Events:
        """Encode one batch; changes nothing, so it can be tried again with less.

        Args:
            packed: The tokens, numpy on the CPU.
            activations: At the SAE's hook point, `[batch, pos, d_in]`, on the device.

        Raises:
            SaereportError: An activation at the beginning of the text, or many of them later, are
                no numbers; says where.
        """
        sae = self.sae
        if self._slice is None:
            encoded, latents = sae.encode(activations), None
        else:
            encoded = sae.encode_chosen(activations, self._slice)
            latents = self.setting.latents
        return events_of(
            encoded,
            packed,
            latents=latents,
            name=f"The SAE {sae.slug}",
            hook=sae.hook_in.name,
            strict=packed.first == 0,
        )


class Batches:
    """How many sequences go through the model at a time; halves when memory runs out.

    Args:
        asked: A number, or `auto` to begin with what suits the device.
        context_size: Tokens in a sequence.
        device: Where the model runs.
        progress: Where to say that a batch was halved.
    """

    def __init__(
        self, asked: int | str, context_size: int, device: torch.device, progress: Progress
    ) -> None:
        tokens = TOKENS_PER_BATCH.get(device.type, TOKENS_PER_BATCH["cpu"])
        self.size = asked if isinstance(asked, int) else max(1, tokens // context_size)
        self.block = self.size
        self._fixed = isinstance(asked, int)
        self._progress = progress

    def halve(self, error: BaseException) -> None:
        """Use smaller batches from now on.

        Raises:
            SaereportError: There is nothing to halve, or the user fixed the size.
        """
        if self._fixed:
            raise SaereportError(
                f"A batch of {self.size} sequences does not fit into memory.",
                "Give a smaller --batch-size, or --batch-size auto.",
            ) from error
        if self.size == 1:
            raise SaereportError(
                "Memory does not even hold a batch of one sequence.",
                "Give a smaller --context-size, --dtype bfloat16, or fewer SAEs at a time.",
            ) from error
        self.size //= 2
        self._progress.say(f"Memory ran out; going on with {self.size} sequences in a batch")

    def parts(self, packed: Packed) -> Iterator[Packed]:
        """A packed batch in parts of the present size, which may shrink between two parts."""
        start = 0
        while start < len(packed):
            part = packed.part(start, min(start + self.size, len(packed)))
            yield part
            start += len(part)

    def state(self) -> Arrays:
        """The present size, so that a resumed run computes in the same batches."""
        return {"size": np.array(self.size, dtype=np.int64)}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Become what `state` was made from, unless the user fixed the size."""
        if not self._fixed:
            self.size = int(state["size"])


@dataclass
class TextPass:
    """A pass over the text, from where it was left.

    Attributes:
        model: The language model.
        collectors: One for each SAE.
        batches: Sizes of the batches.
        checkpoint: Where the state is saved now and then.
        activations: Where activations come from; the model where None.
        seen: What was read so far.
        sequences: Tokens of the sequences that examples may refer to.
    """

    model: LanguageModel
    collectors: Sequence[SaeCollector]
    batches: Batches
    checkpoint: Checkpoint
    activations: Activations | None = None
    seen: Seen = field(default_factory=Seen)
    sequences: SequenceStore = field(default_factory=SequenceStore)

    def resume(self) -> bool:
        """Go back to the checkpoint; False if there is none."""
        saved = self.checkpoint.load()
        if saved is None:
            return False
        for prefix, part in self._parts().items():
            cut = len(prefix) + 1
            part.restore({k[cut:]: a for k, a in saved.items() if k.startswith(prefix + "/")})
        return True

    def save(self) -> None:
        """Save everything that is needed to go on."""
        arrays: Arrays = {}
        for prefix, part in self._parts().items():
            arrays.update({f"{prefix}/{key}": array for key, array in part.state().items()})
        self.checkpoint.save(arrays)

    def _parts(self) -> dict[str, Seen | SequenceStore | Batches | Measurement | Broken]:
        parts: dict[str, Seen | SequenceStore | Batches | Measurement | Broken] = {
            "seen": self.seen,
            "sequences": self.sequences,
            "batches": self.batches,
        }
        for collector in self.collectors:
            parts[f"sae.{collector.sae.slug}"] = collector.measurement
            parts[f"broken.{collector.sae.slug}"] = collector.broken
        return parts

    def run(self, packed: Iterable[Packed], bar: Bar) -> None:
        """Read.

        Args:
            packed: The sequences from where `seen` ends.
            bar: Counts the tokens.

        Raises:
            SaereportError: An activation is not a number, or memory runs out for good.
            KeyboardInterrupt: The user interrupted; everything up to there is saved.
        """
        with _interrupts_between_blocks() as interrupted:
            for block in packed:
                for part in self.batches.parts(block):
                    for done, events in self._events(part):
                        for collector, batch in zip(self.collectors, events, strict=True):
                            collector.measurement.update(batch)
                            collector.broken.take(batch.broken)
                        bar.advance(done.tokens.size)
                self.sequences.add(block.first, block.tokens, block.counted, block.documents)
                if self.sequences.full:
                    self.drop_sequences()
                self.seen.take(block)
                if interrupted.is_set():
                    self.save()
                    raise KeyboardInterrupt
                if self.checkpoint.due:
                    self.save()
            if interrupted.is_set():
                self.save()
                raise KeyboardInterrupt

    def drop_sequences(self) -> None:
        """Forget the tokens of sequences that no example can refer to any more."""
        wanted = [collector.measurement.sequences() for collector in self.collectors]
        self.sequences.keep(np.unique(np.concatenate(wanted)))

    def _events(self, part: Packed) -> Iterator[tuple[Packed, list[Events]]]:
        """Each SAE's events on a part, or on smaller parts of it if memory runs out."""
        found: list[Events] | None = None
        try:
            found = self._encoded(part)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            self.batches.halve(error)
        if found is not None:
            yield part, found
            return
        # Only here, outside the except block, is nothing holding the failed attempt's tensors: the
        # frame that held them was alive as long as the error's traceback.
        if self.model.device.type == "cuda":
            torch.cuda.empty_cache()
        for smaller in self.batches.parts(part):
            yield from self._events(smaller)

    def _encoded(self, part: Packed) -> list[Events]:
        hooks = sorted({collector.sae.hook_in.name for collector in self.collectors})
        tokens = torch.from_numpy(part.tokens.astype(np.int64)).to(self.model.device)
        activations = (self.activations or self.model.reader).run(tokens, hooks)
        return [
            collector.events(part, activations[collector.sae.hook_in.name])
            for collector in self.collectors
        ]


@contextmanager
def _interrupts_between_blocks() -> Iterator[threading.Event]:
    """Hold back the first Ctrl-C until a block is counted whole; the second one is not held.

    Outside the main thread signals cannot be handled, and the event is never set.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def note(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
