"""The text in shards: consecutive sequences that are collected on their own, and put together.

Accumulators merge exactly, so which process read what leaves no trace. A shard begins where a
batch would begin in one pass over the whole text: its forward passes are those of that pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from saereport.config.build import BuildConfig
from saereport.pipeline.activations import Activations
from saereport.pipeline.checkpoint import Arrays, Checkpoint
from saereport.pipeline.collector import SaeCollector
from saereport.pipeline.text_pass import (
    TOKENS_PER_BATCH,
    Batches,
    TextPass,
)
from saereport.sources.models import LanguageModel
from saereport.sources.text.packing import Packed
from saereport.util.progress import Bar


@dataclass(frozen=True)
class Shard:
    """Some consecutive sequences of a text.

    Attributes:
        number: Which it is, from 1.
        of: How many there are.
        first: The first of its sequences.
        stop: The first behind them; equal to `first` where the text has too few for it.
    """

    number: int
    of: int
    first: int
    stop: int

    @property
    def name(self) -> str:
        """Its name, which can be a folder's."""
        return shard_name(self.number, self.of)

    @property
    def words(self) -> str:
        """Its name in a sentence."""
        return f"shard {self.number}/{self.of}"


def shard_name(number: int, of: int) -> str:
    """What the folder of a shard is called; the names are in the order of the text."""
    return f"shard-{number:0{len(str(of))}d}-of-{of}"


def unit_of(batches: Batches, context_size: int, config: BuildConfig) -> int:
    """How many sequences are never torn apart: whole batches, on whichever device."""
    if isinstance(config.batch_size, int):
        return batches.block
    largest = max(1, max(TOKENS_PER_BATCH.values()) // context_size)
    return -(-largest // batches.block) * batches.block


def cut(first: int, stop: int, n: int, unit: int) -> list[Shard]:
    """The sequences `first` to `stop` (exclusive) in `n` shards, as equal as whole units allow."""
    units = -(-(stop - first) // unit)
    edges = [min(first + (units * i // n) * unit, stop) for i in range(n + 1)]
    return [Shard(i + 1, n, edges[i], edges[i + 1]) for i in range(n)]


@dataclass
class Held(Checkpoint):
    """A state that is kept in memory alone, for work that is done again as a whole if it is lost.

    Attributes:
        arrays: The state, once it is saved.
    """

    folder: Path = field(default_factory=Path)
    fingerprint: str = ""
    every: float = float("inf")
    arrays: Arrays | None = None

    def load(self) -> Arrays | None:
        """What was saved."""
        return self.arrays

    def save(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep it."""
        self.arrays = dict(arrays)


@dataclass(frozen=True, eq=False)
class Passes:
    """Makes passes over parts of one text, which can be merged.

    Attributes:
        model: The model.
        collectors: Makes new collectors of the SAEs.
        batches: Sizes of the batches.
        activations: Where activations come from; the model where None.
    """

    model: LanguageModel
    collectors: Callable[[], Sequence[SaeCollector]]
    batches: Batches
    activations: Activations | None = None

    def new(self, checkpoint: Checkpoint | None = None) -> TextPass:
        """A pass that has read nothing."""
        return TextPass(
            self.model, self.collectors(), self.batches, checkpoint or Held(), self.activations
        )

    def restored(self, state: Arrays) -> TextPass:
        """The pass of which this is the state.

        Raises:
            ValueError: It is of other statistics or of other SAEs.
        """
        made = replace(self, batches=copy(self.batches)).new(Held(arrays=state))
        made.resume()
        return made

    def state_of(self, packed: Iterable[Packed], bar: Bar) -> Arrays:
        """Read a part of the text; gives its state."""
        reading = self.new()
        reading.run(packed, bar)
        return state_of(reading)


def state_of(reading: TextPass) -> Arrays:
    """The state of a pass that has read its part, without what nobody refers to."""
    reading.drop_sequences()
    reading.checkpoint = held = Held()
    reading.save()
    return dict(held.arrays or {})


def merge(into: TextPass, other: TextPass) -> None:
    """Take in what was read of another part of the text; `other` must not be used afterwards."""
    into.seen.merge(other.seen)
    into.sequences.merge(other.sequences)
    for own, theirs in zip(into.collectors, other.collectors, strict=True):
        own.measurement.merge(theirs.measurement)
        own.broken.merge(theirs.broken)
    into.drop_sequences()


class Tree:
    """Merges passes in pairs of equal weight: few are held at a time, and none is merged often."""

    def __init__(self) -> None:
        self._held: list[tuple[int, TextPass]] = []

    def add(self, reading: TextPass) -> None:
        """Take in one more; it must not be used afterwards."""
        weight = 1
        while self._held and self._held[-1][0] == weight:
            _, before = self._held.pop()
            merge(before, reading)
            reading, weight = before, 2 * weight
        self._held.append((weight, reading))

    def into(self, reading: TextPass) -> None:
        """Merge all of it into a pass."""
        while self._held:
            merge(reading, self._held.pop()[1])
