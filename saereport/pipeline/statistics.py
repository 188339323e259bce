"""The pass over the text, and the statistics of each SAE that come of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saereport.config.selection import shown_latents
from saereport.measure import STATISTICS, Setting
from saereport.pipeline.context import Chosen, Context
from saereport.pipeline.fingerprint import differences
from saereport.pipeline.stage import SKIPPED, Stage, Yielded, is_skipped
from saereport.pipeline.text_pass import SaeCollector, TextPass
from saereport.run.schema import L0
from saereport.util.errors import SaereportError

L0_BINS = 64


def measured(context: Context, stage: Stage) -> Iterator[Yielded]:
    """Read the text, going on where an earlier build was interrupted, and yield every statistic.

    Which latents are shown, how many are active, what was read and the sequences that examples
    refer to are told to the context.

    Raises:
        SaereportError: No token of the text counts, or an SAE is left without latents.
    """
    names = [
        name
        for name, statistic in STATISTICS.items()
        if not is_skipped(context.config.skip, name, statistic.tables)
    ]
    collectors = [_collector(context, slug, names) for slug in context.saes]
    reading = TextPass(
        model=context.model,
        collectors=collectors,
        batches=context.batches,
        checkpoint=context.checkpoint(stage),
        activations=context.cache,
    )
    _read(context, reading)
    context.seen, context.sequences = reading.seen, reading.sequences
    context.text.conclude(context.warned)
    for collector in collectors:
        if reason := collector.broken.reason():
            context.warned.add(reason, about=collector.sae.slug)
        slug = collector.sae.slug
        context.latents[slug] = _shown(collector, context.chosen[slug])
        context.activity[slug] = _activity_of_all(collector.measurement.summary())
    collected = set(collectors[0].measurement.accumulators)
    del reading
    while collectors:
        # The accumulators of an SAE go when its tables are made.
        collector = collectors.pop()
        slug = collector.sae.slug
        for name, columns in collector.measurement.result(context.latents[slug]).items():
            yield slug, name, columns
        for name, statistic in STATISTICS.items():
            if name not in collected:
                context.leave_out_all(slug, statistic.tables, SKIPPED)
        del collector


def _collector(context: Context, slug: str, names: list[str]) -> SaeCollector:
    sae, config = context.saes[slug], context.config
    setting = Setting(
        d_sae=sae.d_sae,
        d_vocab=context.model.d_vocab,
        latents=context.chosen[slug].tracked,
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
    )
    return SaeCollector(sae, setting, names)


def _read(context: Context, reading: TextPass) -> None:
    seen, text, progress = reading.seen, context.text, context.progress
    if reading.resume():
        progress.say(f"Going on from the checkpoint, after {seen.tokens:,} tokens")
    elif reading.checkpoint.path.exists():
        kept = reading.checkpoint.kept_identity()
        changed = differences(kept, reading.checkpoint.identity) if kept else ""
        reason = f"{changed} changed" if changed else "it is damaged, or of an older version"
        progress.say(f"The checkpoint beside the output cannot be used: {reason}; starting anew")
    if context.cache is not None:
        context.cache.begin()
    packed = text.tokenised(progress).packed(seen.sequences, batch=reading.batches.block)
    with progress.bar("Reading the text", text.to_read, "tok", done=seen.tokens) as bar:
        reading.run(packed, bar)
    if seen.counted == 0:
        raise text.tally.nothing_counts(text.rules.context_size)
    if seen.tokens < text.limit:
        progress.say(f"The text ended after {seen.tokens:,} of {text.limit:,} tokens")
    if context.cache is not None:
        progress.say(context.cache.words)
    if summary := text.tally.summary(text.rules.context_size):
        progress.say(summary)
    reading.save()


def _shown(collector: SaeCollector, chosen: Chosen) -> NDArray[np.int64]:
    """The latents of an SAE that are shown, ascending; the blinded among them."""
    selection, slug = chosen.selection, collector.sae.slug
    tracked = collector.setting.latents
    latents = shown_latents(selection, tracked, collector.measurement.n_active())
    if not len(latents):
        raise SaereportError(
            f"No latent of the SAE {slug} was active, so '{selection.words}' shows none.",
            "Read more text with --tokens, or choose latents by number.",
        )
    wanted = np.union1d(latents, np.array(chosen.blind, dtype=np.int64))
    shown = np.setdiff1d(wanted, collector.broken.latents)
    if not len(shown):
        raise SaereportError(
            f"No latent of the SAE {slug} can be shown. {collector.broken.reason()}",
            "Choose other latents, or try --dtype float32.",
        )
    return shown


def _activity_of_all(summary: Mapping[str, Any]) -> tuple[L0 | None, int | None]:
    """L0 with at most `L0_BINS` bins, and the dead latents; nothing where it was not measured."""
    if "l0_mean" not in summary:
        return None, None
    counts = np.asarray(summary["l0_histogram"], dtype=np.int64)
    width = max(1, -(-len(counts) // L0_BINS))
    padded = np.pad(counts, (0, -len(counts) % width))
    histogram = tuple(padded.reshape(-1, width).sum(axis=1).tolist())
    return L0(mean=summary["l0_mean"], width=width, histogram=histogram), summary["never_active"]
