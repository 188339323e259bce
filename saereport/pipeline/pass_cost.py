"""What the pass over the text will take, from the first of its batches.

The first tokens of a text cost more than the later ones: every latent's examples still change with
each of them, and its tables of tokens and of latents still grow. So the time of a token is taken
as what the model and the SAEs take, which stays, and a part that falls with the tokens read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from scipy.optimize import nnls

from saereport.config.selection import shown_latents
from saereport.measure.bounds import bytes_of
from saereport.pipeline.checkpoint import Checkpoint
from saereport.pipeline.collector import SaeCollector, batches_of_a_round
from saereport.pipeline.context import Context
from saereport.pipeline.probe import Probe, table_bytes
from saereport.pipeline.reading import collectors_of
from saereport.pipeline.seen import Seen
from saereport.pipeline.stage import Cost
from saereport.pipeline.text_pass import TextPass
from saereport.sources.text.packing import Packed
from saereport.util.progress import Progress

LONGEST = 2**18
"""Tokens after which the cost of one hardly changes any more: no sample is longer."""

TOKEN_BYTES = 9
"""Bytes of a token in the files of the tokenised text."""

COPIES = 2
"""How many more times the state of a pass is in memory while it is saved."""


@dataclass
class Pace:
    """How long a text took, piece by piece from its beginning.

    Attributes:
        floor: Seconds that the model and the SAEs take for a token.
        pieces: Tokens and seconds of each piece.
    """

    ENOUGH: ClassVar[int] = 4
    """Pieces of which a part of the cost that falls can be told apart."""

    floor: float = 0.0
    pieces: list[tuple[int, float]] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        """Tokens of all pieces."""
        return sum(n for n, _ in self.pieces)

    @property
    def seconds(self) -> float:
        """Seconds of all pieces."""
        return sum(s for _, s in self.pieces)

    def close(self, seconds: float) -> None:
        """All of it together took so long: what ended after the last piece did belongs to it."""
        if self.pieces:
            n, last = self.pieces.pop()
            self.pieces.append((n, max(last, seconds - self.seconds)))

    def seconds_of(self, n: int) -> float:
        """What the first `n` tokens of the text take."""
        if not self.pieces or n <= self.tokens:
            return self.seconds * (n / self.tokens if self.tokens else 0.0)
        steady, falling = self._beyond_the_floor()
        more = (n - self.tokens) * (self.floor + steady)
        return self.seconds + more + falling * math.log(n / self.tokens)

    def _beyond_the_floor(self) -> tuple[float, float]:
        """Seconds a token beyond the floor: a steady part, and one that is divided by the place.

        A beginning that cannot tell the two apart is taken to be steady, which is never too little.
        """
        ends = np.cumsum([n for n, _ in self.pieces], dtype=np.float64)
        counts = np.array([n for n, _ in self.pieces], dtype=np.float64)
        beyond = np.array([s for _, s in self.pieces]) - self.floor * counts
        if len(self.pieces) < self.ENOUGH:
            return max(float(beyond.sum() / counts.sum()), 0.0), 0.0
        # The integral of 1/t over a piece; before its own middle the first one has no logarithm.
        starts = np.maximum(ends - counts, counts[0] / 2)
        design = np.stack([counts, np.log(ends / starts)], axis=1)
        (steady, falling), _ = nnls(design[1:], np.maximum(beyond[1:], 0.0))
        return float(steady), float(falling)


class Unsaved(Checkpoint):
    """A place for the state of a pass that is never written."""

    def __init__(self) -> None:
        super().__init__(Path(), "")

    @property
    def due(self) -> bool:
        """Never."""
        return False

    def save(self, arrays: object) -> None:
        """Write nothing."""


def cost_of_pass(context: Context, probe: Probe) -> Cost:
    """Read a beginning of the text as the pass will, and say what the whole will take.

    What later stages work with (shown latents, sequences, examples) is left in the context as it
    is after that beginning.
    """
    collectors = collectors_of(context.config, context.model, context.saes, context.chosen)
    reading = TextPass(
        context.model, collectors, context.batches, Unsaved(), activations=context.cache
    )
    pace = Pace()
    with probe.sample() as sample:
        reading.run(_timed(context, probe, pace), Progress(quiet=True).bar("", None, ""))
    pace.close(sample.seconds)
    if len(pace.pieces) >= Pace.ENOUGH:
        pace.floor = seconds_a_token(context, probe, probe.batch(context))
    context.seen, context.sequences = reading.seen, reading.sequences
    read, whole = max(pace.tokens, 1), context.text.to_read
    width = context.text.rules.context_size
    held, at_end = (
        sum(held_bytes(one, reading.seen, tokens, width) for one in collectors)
        for tokens in (read, whole)
    )
    with probe.sample() as result:
        run_bytes = sum(_tables(context, one, whole / read) for one in collectors)
    # Of the bound one half is what is kept; the other is there while candidates are sorted out.
    kept = at_end // 2
    on_device = None
    grown = at_end - held
    if sample.device_bytes is not None:
        on_device, grown = sample.device_bytes + grown, 0
    batches = sample.at_scale(context.batches.size / probe.batch(context))
    return Cost(
        seconds=pace.seconds_of(whole) + result.seconds,
        host_bytes=max(batches + grown + COPIES * kept, result.host_bytes + grown),
        device_bytes=on_device,
        run_bytes=run_bytes,
        kept_bytes=kept + TOKEN_BYTES * whole,
    )


def seconds_a_token(context: Context, probe: Probe, batch: int) -> float:
    """Seconds that the model and the SAEs take for a token, on one batch."""
    collectors = collectors_of(context.config, context.model, context.saes, context.chosen)
    hooks = sorted({one.sae.hook_in.name for one in collectors})
    for block in context.text.packed(batch=batch):
        part = next(context.batches.parts(block))
        tokens = torch.from_numpy(part.tokens.astype(np.int64)).to(context.model.device)
        with probe.sample() as sample:
            activations = (context.cache or context.model.reader).run(tokens, hooks)
            for one in collectors:
                for _ in one.encoded(activations[one.sae.hook_in.name]):
                    pass
        return sample.seconds / part.tokens.size
    return 0.0


def _timed(context: Context, probe: Probe, pace: Pace) -> Iterator[Packed]:
    """The beginning of the text in batches; `pace` says how long they took."""
    every = batches_of_a_round(probe.device)
    start, tokens = probe.clock(), 0
    for number, block in enumerate(context.text.packed(batch=probe.batch(context)), 1):
        yield block
        tokens += block.tokens.size
        over = probe.over or pace.tokens + tokens >= LONGEST
        # Batches are taken in by rounds: a piece is whole rounds.
        if number % every and not over:
            continue
        probe.settle()
        now = probe.clock()
        pace.pieces.append((tokens, now - start))
        start, tokens = now, 0
        if over:
            return
    if tokens:
        pace.pieces.append((tokens, probe.clock() - start))


def held_bytes(collector: SaeCollector, seen: Seen, tokens: int, context_size: int) -> int:
    """What the statistics of an SAE hold at most after some tokens, where its device is.

    Args:
        collector: The SAE's statistics of the beginning of the text.
        seen: What that beginning is.
        tokens: Tokens of the text up to there.
        context_size: Tokens in a sequence.
    """
    active = collector.measurement.n_active().astype(np.float64)
    summary = collector.measurement.summary()
    l0 = float(summary.get("l0_mean", active.sum() / max(seen.counted, 1)))
    further = tokens / max(seen.tokens, 1)
    each = float(active.mean()) * further if len(active) else 0.0
    return bytes_of(collector.setting, l0, context_size, n_active=each)


def _tables(context: Context, collector: SaeCollector, further: float) -> int:
    """Bytes that an SAE's tables take in the run; tells the context what later stages work with.

    Args:
        context: The build.
        collector: The SAE's statistics of the beginning of the text.
        further: How many times as long the whole text is.
    """
    slug = collector.sae.slug
    active = collector.measurement.n_active()
    chosen = context.chosen[slug]
    # A latent that was not active yet may still be: then it is shown.
    tracked, seed = collector.setting.latents, context.config.seed
    latents = shown_latents(chosen.selection, tracked, np.maximum(active, 1), 0, seed)
    latents = np.union1d(latents, chosen.named).astype(np.int64)
    context.latents[slug] = latents
    tables = collector.measurement.result(latents)
    if "examples" in tables:
        context.hold("examples", slug, tables["examples"])
    found = active[np.isin(collector.setting.latents, latents)].astype(np.float64)
    fuller = _fuller(found, further, context.config.examples.top)
    sizes = {name: table_bytes(name, columns) for name, columns in tables.items()}
    sizes["examples"] = round(sizes.get("examples", 0) * fuller)
    return sum(sizes.values())


def _fuller(active: np.ndarray, further: float, top: int) -> float:
    """How many times as many examples latents have at the end of the text."""
    now = np.minimum(active, top).sum()
    then = np.minimum(np.maximum(active, 0.5) * max(further, 1.0), top).sum()
    return float(then / now) if now else float(then)
