"""Evaluation of whole SAEs as a stage: how well a reconstruction stands in for the activations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from saereport.config.stages import EvaluationSettings
from saereport.pipeline.stage import SKIPPED, Cost, Needs, Stage, Yielded

if TYPE_CHECKING:
    from saereport.pipeline.context import Context
    from saereport.pipeline.probe import Probe

TABLE = "sae_metrics"


class EvaluationStage(Stage):
    """Figures of each SAE as a whole over the first tokens of the text."""

    name = "evaluation"
    tables = (TABLE,)
    needs = Needs(model=True, saes=True)
    config = EvaluationSettings
    at_top = True
    regardless_of: ClassVar[tuple[str, ...]] = ("tokens", "latents", "saes.latents", "examples")

    def depends_on(self, context: Context) -> dict[str, Any]:
        """How many tokens there are to evaluate on."""
        from saereport.pipeline.evaluation import n_evaluated

        return {"evaluated": min(n_evaluated(context), context.seen.counted)}

    def why_not(self, context: Context) -> str | None:
        """No tokens are the same as skipping it."""
        return None if context.config.evaluate else SKIPPED

    def plan(self, context: Context) -> Cost:
        """Each token is run once as it is, and once for every replacement."""
        from saereport.pipeline.evaluation import n_evaluated, settle

        settle(context, self)
        alone = [sae for sae in context.saes.values() if not sae.why_not_alone]
        points = {sae.write_point.name for sae in alone}
        passes = 1 + len(alone) + 2 * len(points)
        tokens = min(n_evaluated(context), context.config.tokens)
        budget = context.config.evaluate
        what = f"{tokens:,} tokens for {budget}" if isinstance(budget, str) else ""
        return Cost(tokens=tokens * passes, what=what)

    def cost(self, context: Context, probe: Probe) -> Cost:
        """Evaluate on the beginning of a sequence, and on a few whole ones."""
        from saereport.pipeline.evaluation import cost_of_evaluation

        seconds, host, device = cost_of_evaluation(context, probe)
        return Cost(seconds=seconds, host_bytes=host, device_bytes=device)

    def run(self, context: Context) -> Iterator[Yielded]:
        """Yield `sae_metrics` of each SAE."""
        from saereport.pipeline.evaluation import evaluated

        found = evaluated(context, self)
        for slug, reason in found.left_out.items():
            context.leave_out(slug, TABLE, reason)
        for slug, doubts in found.doubts.items():
            for doubt in doubts:
                context.warned.add(doubt, about=slug)
        for slug, columns in found.tables.items():
            yield slug, TABLE, columns
