"""How the text comes to be read: in one pass, or from what others collected of its parts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence

from saereport.config.build import BuildConfig
from saereport.measure import STATISTICS, Setting
from saereport.measure.crossing import home_of
from saereport.pipeline.checkpoint import Arrays, Checkpoint
from saereport.pipeline.collector import SaeCollector
from saereport.pipeline.context import Chosen, Context, StageView
from saereport.pipeline.engine.bench import Bench
from saereport.pipeline.engine.job import Engine, Job
from saereport.pipeline.going_on import read_on
from saereport.pipeline.shards import Passes, Shard, Tree, cut, unit_of
from saereport.pipeline.stage import is_skipped
from saereport.pipeline.text_pass import TextPass
from saereport.sources.models import LanguageModel
from saereport.sources.saes.sae import Sae
from saereport.sources.text.packing import Packed
from saereport.sources.text.tokenised import Tokenised
from saereport.util.ahead import ahead
from saereport.util.files import write_atomically
from saereport.util.progress import Bar, Relay

KEPT = "shards"
"""What the folder of finished shards is called."""

MERGED = "merged"
"""What the folder is called of what was merged of parts."""

SHARDS_A_WORKER = 4
"""Shards for each worker: few states to keep and to merge, and none has long to wait at the end."""


def collectors_of(
    config: BuildConfig,
    model: LanguageModel,
    saes: Mapping[str, Sae],
    chosen: Mapping[str, Chosen],
) -> list[SaeCollector]:
    """New collectors of the SAEs, for every statistic that is asked for."""
    names = [
        name
        for name, statistic in STATISTICS.items()
        if not is_skipped(config.skip, name, statistic.tables)
    ]
    return [
        SaeCollector(sae, _setting(config, model, sae, chosen[slug]), names)
        for slug, sae in saes.items()
    ]


def _setting(config: BuildConfig, model: LanguageModel, sae: Sae, chosen: Chosen) -> Setting:
    return Setting(
        d_sae=sae.d_sae,
        d_vocab=model.d_vocab,
        latents=chosen.tracked,
        seed=config.seed,
        top=config.examples.top,
        before=config.examples.before,
        after=config.examples.after,
        intervals=config.examples.intervals,
        interval_examples=config.examples.per_group,
        quantile_edges=config.examples.quantiles,
        quantile_examples=config.examples.per_group,
        tokens=config.examples.listed,
        coactive=config.examples.listed,
        device=str(home_of(sae.device)),
    )


def passes_of(context: Context, slugs: Collection[str] | None = None) -> Passes:
    """Passes over the text of a build; for some of its SAEs where they are named."""
    saes = {k: sae for k, sae in context.saes.items() if slugs is None or k in slugs}
    return Passes(
        context.model,
        lambda: collectors_of(context.config, context.model, saes, context.chosen),
        context.batches,
        context.cache,
    )


def read_text(context: Context, stage: StageView) -> TextPass:
    """Read the whole text, each SAE going on where an earlier build left it.

    Raises:
        SaereportError: No token of the text counts, or what it holds cannot be measured.
        KeyboardInterrupt: The user interrupted; what was read is saved.
    """
    text, progress, passes = context.text, context.progress, passes_of(context)
    tokenised = text.tokenised(progress)
    if context.cache is not None:
        context.cache.begin()
    if context.collected:
        reading = passes.new(context.checkpoint(stage, MERGED))
        if not reading.resume():
            _merge_collected(context, passes, reading)
            reading.save()
    elif context.engine is not None and context.engine.elsewhere:
        shards = ShardReading(context, context.engine, stage, tokenised)
        reading = read_on(context, stage, tokenised, shards)
    else:
        reading = read_on(context, stage, tokenised, HereReading(context, tokenised))
    if context.cache is not None and context.cache.asked:
        progress.say(context.cache.words)
    if reading.seen.counted == 0:
        raise text.tally.nothing_counts(text.rules.context_size)
    if reading.seen.tokens < text.limit:
        progress.say(f"The text ended after {reading.seen.tokens:,} of {text.limit:,} tokens")
    if summary := text.tally.summary(text.rules.context_size):
        progress.say(summary)
    return reading


class HereReading:
    """The text read in this process, for any of the SAEs.

    Args:
        context: The build.
        tokenised: The text.
    """

    together = False

    def __init__(self, context: Context, tokenised: Tokenised) -> None:
        self._context, self._tokenised = context, tokenised

    def new(self, slugs: Sequence[str], checkpoint: Checkpoint) -> TextPass:
        """See `going_on.Reader`."""
        return passes_of(self._context, slugs).new(checkpoint)

    def read(self, reading: TextPass, stop: int, bar: Bar) -> None:
        """See `going_on.Reader`."""
        source = self._tokenised.packed(reading.seen.sequences, stop, batch=reading.batches.block)
        with ahead(source) as packed:
            reading.run(packed, bar)


def read_sequences(
    context: Context,
    reading: TextPass,
    tokenised: Tokenised,
    first: int = 0,
    stop: int | None = None,
) -> None:
    """Read a text, or the sequences `first` to `stop` of it, from where a pass was left."""
    stop = tokenised.sequences if stop is None else stop
    done = reading.seen.sequences
    source = tokenised.packed(first + done, stop, batch=reading.batches.block)
    total = (stop - first) * tokenised.context_size
    with (
        context.progress.bar("Reading the text", total, "tok", done=reading.seen.tokens) as bar,
        ahead(source) as packed,
    ):
        reading.run(packed, bar)


def _merge_collected(context: Context, passes: Passes, into: TextPass) -> None:
    tree = Tree()
    n = len(context.collected)
    with context.progress.bar("Merging what was collected", n, "part") as bar:
        for load in context.collected:
            tree.add(passes.restored(load()))
            bar.advance(1)
    tree.into(into)


class ShardReading:
    """The text in shards, each read by a worker and kept when it is finished.

    Args:
        context: The build.
        engine: Who reads.
        stage: Where they are kept, see `Context.checkpoint`.
        tokenised: The text.
    """

    together = True

    def __init__(
        self, context: Context, engine: Engine, stage: StageView, tokenised: Tokenised
    ) -> None:
        self._context, self._engine, self._stage = context, engine, stage
        self._tokenised = tokenised
        self._folder = context.folder_of(stage) / KEPT

    def new(self, slugs: Sequence[str], checkpoint: Checkpoint) -> TextPass:
        """See `going_on.Reader`."""
        return passes_of(self._context, slugs).new(checkpoint)

    def read(self, into: TextPass, stop: int, bar: Bar) -> None:
        """Read what a pass has not read, and merge it into that.

        Raises:
            SaereportError: A shard cannot be read; those that are finished are kept.
        """
        passes, tokenised = passes_of(self._context), self._tokenised
        tree, wanted, done = Tree(), [], 0
        for shard in self._cut(into.seen.sequences, stop):
            state = self._place(shard).load()
            if state is None:
                wanted.append(shard)
            else:
                tree.add(passes.restored(state))
                done += (shard.stop - shard.first) * tokenised.context_size
        if done:
            bar.advance(done)
            after = into.seen.tokens + done
            self._context.progress.say(f"Going on from finished shards, after {after:,} tokens")
        job = Job(
            "saereport.pipeline.reading:read_shard",
            len(wanted),
            lambda i: next(
                tokenised.packed(
                    wanted[i].first, wanted[i].stop, batch=wanted[i].stop - wanted[i].first
                )
            ),
            lambda i: (wanted[i].stop - wanted[i].first) * tokenised.context_size,
            lambda i: wanted[i].words,
        )
        for number, state in self._engine.each(job, bar):
            self._place(wanted[number]).save(state)
            tree.add(passes.restored(state))
        tree.into(into)
        into.save()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _place(self, shard: Shard) -> Checkpoint:
        return self._context.checkpoint(self._stage, f"{KEPT}/{shard.first}-{shard.stop}")

    def _cut(self, first: int, stop: int) -> list[Shard]:
        """The shards as they were cut before, whoever worked then; or anew."""
        identity = [self._context.fingerprint_of(self._stage), first, stop]
        record = self._folder / "cut.json"
        try:
            known = json.loads(record.read_bytes())
            if known["of"] == identity:
                return [Shard(*edges) for edges in known["shards"]]
        except (OSError, ValueError, KeyError, TypeError):
            pass  # there is none that can be read: the text is cut anew
        unit = unit_of(self._context.batches, self._tokenised.context_size, self._context.config)
        n = min(SHARDS_A_WORKER * self._engine.workers, -(-(stop - first) // unit))
        found = cut(first, stop, n, unit)
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        shards = [[shard.number, shard.of, shard.first, shard.stop] for shard in found]
        write_atomically(record, json.dumps({"of": identity, "shards": shards}).encode())
        return found


def read_shard(bench: Bench, packed: Packed, told: Callable[[int], None]) -> Arrays:
    """A worker's task: the state of a pass over some sequences."""
    passes = Passes(
        bench.model,
        lambda: collectors_of(bench.config, bench.model, bench.saes, bench.chosen),
        bench.batches,
    )
    block = bench.batches.block
    blocks = (packed.part(i, min(i + block, len(packed))) for i in range(0, len(packed), block))
    return passes.state_of(blocks, Relay(told))
