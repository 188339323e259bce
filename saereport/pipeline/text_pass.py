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

from saereport.measure import Events, Measurement, SequenceStore
from saereport.measure.broken import Broken
from saereport.measure.crossing import home_of
from saereport.measure.events import DeviceText
from saereport.pipeline.activations import Activations
from saereport.pipeline.checkpoint import Arrays, Checkpoint
from saereport.pipeline.collector import Round, SaeCollector, Waiting
from saereport.pipeline.seen import Seen
from saereport.pipeline.tokens import tokens_on
from saereport.sources.devices import is_out_of_memory
from saereport.sources.models import LanguageModel
from saereport.sources.text.packing import Packed
from saereport.util.errors import SaereportError
from saereport.util.progress import Bar, Progress

TOKENS_PER_BATCH = {"cpu": 4096, "mps": 8192, "cuda": 16384}


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
    _round: Round = field(init=False)

    def __post_init__(self) -> None:
        self._round = Round(home_of(self.model.device))

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
        self._settle()
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
                    for found in self._found(part):
                        self._round.add(found)
                        bar.advance(found.packed.tokens.size)
                        if self._round.full:
                            self._settle()
                self.sequences.add(block.first, block.tokens, block.counted, block.documents)
                self.seen.take(block)
                if self.sequences.full:
                    self.drop_sequences()
                if interrupted.is_set():
                    self.save()
                    raise KeyboardInterrupt
                if self.checkpoint.due:
                    self.save()
            self._settle()
            if interrupted.is_set():
                self.save()
                raise KeyboardInterrupt

    def drop_sequences(self) -> None:
        """Forget the tokens of sequences that no example can refer to any more."""
        self._settle()
        wanted = [collector.measurement.sequences() for collector in self.collectors]
        self.sequences.keep(np.unique(np.concatenate(wanted)))

    def _settle(self) -> None:
        """Take the round's batches into the statistics."""
        batches = self._round.take_all()
        if not batches:
            return
        events: list[list[Events]] = [[] for _ in self.collectors]
        for batch, headers in batches:
            again: dict[str, torch.Tensor] | None = None
            for i, collector in enumerate(self.collectors):
                found = collector.events(batch.text, batch.found[i], headers[i])
                if found is None:
                    # More was active than there was room for, or something is no number.
                    again = again or self._activations(batch.packed)
                    hook = collector.sae.hook_in.name
                    found = collector.exactly(batch.packed, again[hook])
                events[i].append(found)
        for collector, of_sae in zip(self.collectors, events, strict=True):
            collector.take(of_sae)

    def _found(self, part: Packed) -> Iterator[Waiting]:
        """What is active on a part, or on smaller parts of it if memory runs out."""
        found: Waiting | None = None
        try:
            found = self._encoded(part)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            self.batches.halve(error)
        if found is not None:
            yield found
            return
        # Only here, outside the except block, is nothing holding the failed attempt's tensors: the
        # frame that held them was alive as long as the error's traceback.
        if self.model.device.type == "cuda":
            torch.cuda.empty_cache()
        for smaller in self.batches.parts(part):
            yield from self._found(smaller)

    def _encoded(self, part: Packed) -> Waiting:
        activations = self._activations(part)
        text = DeviceText.of(part, home_of(self.model.device))
        found = [
            collector.find(part, text, activations[collector.sae.hook_in.name])
            for collector in self.collectors
        ]
        return Waiting(part, text, found)

    def _activations(self, part: Packed) -> dict[str, torch.Tensor]:
        hooks = sorted({collector.sae.hook_in.name for collector in self.collectors})
        tokens = tokens_on(part.tokens, self.model.device)
        return (self.activations or self.model.reader).run(tokens, hooks)


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
