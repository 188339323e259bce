"""Evaluation of whole SAEs as a stage: how well a reconstruction stands in for the activations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from saereport.config.stages import EvaluationSettings
from saereport.pipeline.stage import SKIPPED, Cost, Needs, Stage, Yielded

if TYPE_CHECKING:
    from saereport.pipeline.context import Context

TABLE = "sae_metrics"


class EvaluationStage(Stage):
    """Figures of each SAE as a whole over the first tokens of the text."""

    name = "evaluation"
    tables = (TABLE,)
    needs = Needs(model=True, saes=True)
    config = EvaluationSettings
    at_top = True

    def why_not(self, context: Context) -> str | None:
        """No tokens are the same as skipping it."""
        return None if context.config.evaluation_tokens else SKIPPED

    def plan(self, context: Context) -> Cost:
        """Each token is run once to read, once as it is, and once for every replacement."""
        alone = [sae for sae in context.saes.values() if not sae.why_not_alone]
        points = {sae.write_point.name for sae in alone}
        passes = 2 + len(alone) + 2 * len(points)
        tokens = min(context.config.evaluation_tokens, context.config.tokens)
        return Cost(tokens=tokens * passes)

    def run(self, context: Context) -> Iterator[Yielded]:
        """Yield `sae_metrics` of each SAE."""
        from saereport.pipeline.evaluation import evaluated

        found = evaluated(context)
        for slug, reason in found.left_out.items():
            context.leave_out(slug, TABLE, reason)
        for slug, doubts in found.doubts.items():
            for doubt in doubts:
                context.warned.add(doubt, about=slug)
        for slug, columns in found.tables.items():
            yield slug, TABLE, columns
