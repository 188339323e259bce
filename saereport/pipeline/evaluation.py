"""Evaluation of whole SAEs, by this process or by several workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saereport.evaluate.fidelity import Evaluation, evaluate, first_counted
from saereport.pipeline.context import Context
from saereport.pipeline.engine.bench import Bench
from saereport.pipeline.engine.job import Engine, Job
from saereport.util.progress import Progress

Item = tuple[list[str], NDArray[np.int32], NDArray[np.bool_]]
"""Slugs of SAEs, and the sequences on which they are evaluated."""


def evaluated(context: Context) -> Evaluation:
    """What the evaluation of all SAEs finds, on the first tokens of the text.

    Raises:
        SaereportError: A worker could not do its part.
    """
    packed = context.text.packed(batch=context.batches.block)
    tokens, counted = first_counted(packed, context.config.evaluation_tokens)
    saes = list(context.saes.values())
    if context.engine is None or not context.engine.elsewhere:
        return evaluate(context.model, saes, tokens, counted, context.progress)
    # SAEs that write at one place share the runs without them.
    groups: dict[str, list[str]] = {}
    for sae in saes:
        groups.setdefault(sae.slug if sae.why_not_alone else sae.write_point.name, []).append(
            sae.slug
        )
    parts = _by_workers(context, context.engine, list(groups.values()), tokens, counted)
    return _together(parts, [sae.slug for sae in saes])


def _by_workers(
    context: Context,
    engine: Engine,
    groups: Sequence[list[str]],
    tokens: NDArray[np.int32],
    counted: NDArray[np.bool_],
) -> list[Evaluation]:
    job = Job(
        f"{__name__}:evaluate_some",
        len(groups),
        lambda i: (groups[i], tokens, counted),
        lambda i: len(groups[i]),
        lambda i: f"the evaluation of {', '.join(groups[i])}",
    )
    with context.progress.bar("Evaluating the SAEs", len(context.saes), "SAE") as bar:
        return [found for _, found in engine.each(job, bar)]


def evaluate_some(bench: Bench, item: Item, told: Callable[[int], None]) -> Evaluation:
    """A worker's task: some of the SAEs."""
    slugs, tokens, counted = item
    saes = [bench.saes[slug] for slug in slugs]
    return evaluate(bench.model, saes, tokens, counted, Progress(quiet=True))


def _together(parts: Sequence[Evaluation], slugs: Sequence[str]) -> Evaluation:
    """What was found of all SAEs, in their order."""

    def joined(name: str) -> dict[str, Any]:
        found = {slug: value for part in parts for slug, value in getattr(part, name).items()}
        return {slug: found[slug] for slug in slugs if slug in found}

    return Evaluation(joined("tables"), joined("left_out"), joined("doubts"))
