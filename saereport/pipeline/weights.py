"""The tables of weights of every SAE of a build."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from saereport.measure.weights import WEIGHT_TABLES, TokenRows, WeightContext
from saereport.measure.weights.reasons import unexplained
from saereport.pipeline.context import Context
from saereport.pipeline.probe import Probe, line_through, table_bytes
from saereport.pipeline.stage import SKIPPED, Cost, Yielded
from saereport.run import TABLES

FEW, SOME, MOST = 2, 8, 64
"""Latents whose tables are made to see what those of all will take: at first, then at least and at
most.
"""


def warn_of_left_out(context: Context) -> None:
    """Warn of tables that cannot be right for this model, before any text is read."""
    tokens = TokenRows(context.model)
    saes = list(context.saes.values())
    for sae in saes:
        others = [other for other in saes if other is not sae]
        empty = WeightContext(sae, np.zeros(0, dtype=np.int64), tokens, others)
        for reason, names in unexplained(empty, WEIGHT_TABLES).items():
            titles = ", ".join(TABLES[name].title for name in names)
            context.warned.add(f"Left out: {titles}. The reason: {reason}.", about=sae.slug)


def cost_of_weights(context: Context, probe: Probe) -> Cost:
    """What the tables of all SAEs will take, from those of few latents of some of them."""
    seconds: list[float] = []
    sizes, peaks = 0, []
    with probe.sample() as shared:
        _ = context.token_rows
    for slug, latents in context.latents.items():
        with probe.sample() as few:
            small = _sized(context, slug, latents[:FEW])
        # Most of it is the same for few latents and many: of as few again nothing would be told.
        n = max(SOME, FEW * probe.fitting(few.seconds, -(-len(latents) // FEW)))
        n = min(n, len(latents), MOST)
        with probe.sample() as more:
            large = _sized(context, slug, latents[:n])
        # The first time something is loaded that the second time is there.
        first = (min(FEW, len(latents)), min(few.seconds, more.seconds))
        seconds.append(line_through(first, (n, more.seconds), len(latents)))
        sizes += round(line_through((first[0], small), (n, large), len(latents)))
        peaks.append(more)
        if probe.over:
            break
    missing = len(context.latents) / len(seconds)
    on_device = [one.device_bytes for one in peaks if one.device_bytes is not None]
    return Cost(
        seconds=shared.seconds + sum(seconds) * missing,
        host_bytes=max(one.host_bytes for one in peaks),
        device_bytes=max(on_device, default=None),
        run_bytes=round(sizes * missing),
    )


def _sized(context: Context, slug: str, latents: NDArray[np.int64]) -> int:
    """Make the tables of some latents of an SAE; bytes that they take in a run."""
    fewer = replace(context, latents={**context.latents, slug: latents}, left_out={})
    tables = [one for one in _of_one(fewer, slug) if one is not None]
    return sum(table_bytes(name, columns) for _, name, columns in tables)


def weight_tables(context: Context) -> Iterator[Yielded]:
    """The tables of each SAE that has them; for the others, the reason."""
    with context.progress.bar("Weights", len(WEIGHT_TABLES) * len(context.saes), "table") as bar:
        for slug in context.deepest_first():
            for yielded in _of_one(context, slug):
                if yielded is None:
                    bar.advance(1)
                else:
                    yield yielded


def _of_one(context: Context, slug: str) -> Iterator[Yielded | None]:
    """The tables of one SAE, and None when one is done with."""
    subject = WeightContext(
        sae=context.saes[slug],
        latents=context.latents[slug],
        tokens=context.token_rows,
        others=context.shallower(slug),
        listed=context.config.examples.listed,
        map=context.config.map,
        seed=context.config.seed,
    )
    for name, table in WEIGHT_TABLES.items():
        reason = SKIPPED if context.skips(name) else table.why_not(subject)
        if reason:
            context.leave_out(slug, name, reason)
        else:
            yield slug, name, table.compute(subject)
        yield None
