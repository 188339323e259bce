"""The pass over the text, and the statistics of each SAE that come of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saereport.config.selection import shown_latents
from saereport.measure import STATISTICS
from saereport.pipeline.collector import SaeCollector
from saereport.pipeline.context import Chosen, Context
from saereport.pipeline.reading import read_text
from saereport.pipeline.stage import SKIPPED, Stage, Yielded
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
    reading = read_text(context, stage)
    collectors = [*reading.collectors]
    context.seen, context.sequences = reading.seen, reading.sequences
    context.text.conclude(context.warned)
    for collector in collectors:
        if reason := collector.broken.reason():
            context.warned.add(reason, about=collector.sae.slug)
        slug = collector.sae.slug
        context.latents[slug] = _shown(context, collector, context.chosen[slug])
        context.activity[slug] = _activity_of_all(collector.measurement.summary())
    collected = set(collectors[0].measurement.asked)
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


def _shown(context: Context, collector: SaeCollector, chosen: Chosen) -> NDArray[np.int64]:
    """The latents of an SAE that are shown, ascending; the blinded and the steered among them."""
    selection, slug = chosen.selection, collector.sae.slug
    tracked = collector.setting.latents
    counted, seed = context.seen.counted, context.config.seed
    latents = shown_latents(selection, tracked, collector.measurement.n_active(), counted, seed)
    if not len(latents):
        above = f" on more than {selection.density:g} of the tokens" if selection.density else ""
        raise SaereportError(
            f"No latent of the SAE {slug} was active{above}, so '{selection.words}' shows none.",
            "Read more text with --tokens, or choose latents by number.",
        )
    wanted = np.union1d(latents, chosen.named)
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
