"""Output scores as a stage: whether turning a latent up raises its own tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from saereport.config.interventions import OutputScoreSettings
from saereport.pipeline.stage import SKIPPED, Cost, Needs, Stage, Yielded

if TYPE_CHECKING:
    from saereport.pipeline.context import Context
    from saereport.pipeline.probe import Probe

TABLE = "output_scores"


class OutputScoresStage(Stage):
    """How much each shown latent raises its own top tokens, against other latents."""

    name = "output_scores"
    tables = (TABLE,)
    needs = Needs(model=True, saes=True, tables=("activity", "sae_activity"))
    config = OutputScoreSettings
    at_top = True

    def why_not(self, context: Context) -> str | None:
        """No latents are the same as skipping it."""
        return None if context.config.output_scores.most_latents else SKIPPED

    def plan(self, context: Context) -> Cost:
        """Make token ids of the prompts."""
        from saereport.pipeline.output_scores import score_prompts

        n = len(score_prompts(context))
        return Cost(what=f"each shown latent and its controls on {n:,} neutral prompts")

    def cost(self, context: Context, probe: Probe) -> Cost:
        """Turn nothing up on a few rows."""
        from saereport.pipeline.output_scores import cost_of_scores

        return cost_of_scores(context, probe)

    def run(self, context: Context) -> Iterator[Yielded]:
        """Yield the scores of each SAE."""
        from saereport.pipeline.output_scores import scored

        yield from scored(context)
