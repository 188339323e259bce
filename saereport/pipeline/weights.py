"""The tables of weights of every SAE of a build."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from saereport.measure.weights import WEIGHT_TABLES, TokenRows, WeightContext
from saereport.measure.weights.reasons import unexplained
from saereport.pipeline.context import Context
from saereport.pipeline.stage import SKIPPED, Yielded
from saereport.run import TABLES


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
