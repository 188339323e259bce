"""Interventions as a stage: latents ablated and clamped on the prompts that have an answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from saereport.config.build import BuildConfig
from saereport.config.circuits import PromptConfig
from saereport.config.interventions import InterventionSettings, parse_latents
from saereport.pipeline.stage import Cost, Needs, Stage, Yielded
from saereport.util.errors import UsageError

if TYPE_CHECKING:
    from saereport.pipeline.context import Context
    from saereport.pipeline.probe import Probe
    from saereport.sources.folders import SaeFacts


class InterventionsStage(Stage):
    """What ablating and clamping latents does to the answers of prompts."""

    name = "interventions"
    tables = ("prompt_interventions",)
    needs = Needs(model=True, saes=True, stages=("statistics", "circuits"), tables=("activity",))
    config = InterventionSettings
    at_top = True
    # Of blinded latents, where they are active on a prompt is not among what is kept.
    shares = ("prompts", "circuits", "blind", "with_reveal")

    def check(self, config: BuildConfig) -> None:
        """Check that the latents are of SAEs of the report."""
        parse_latents(config.interventions.latents, dict.fromkeys(config.slugs))
        if config.interventions.latents and not any(map(_has_answer, config.prompts)):
            raise UsageError(
                "There is no prompt with an answer on which interventions.latents could be set.",
                "Give one, such as --prompt 'The capital of France is => Paris'.",
            )

    def check_saes(self, config: BuildConfig, facts: Sequence[SaeFacts]) -> None:
        """Check that every latent is one of its SAE."""
        parse_latents(config.interventions.latents, {fact.slug: fact.d_sae for fact in facts})

    def why_not(self, context: Context) -> str | None:
        """Nothing to say where no prompt has an answer."""
        return None if any(map(_has_answer, context.config.prompts)) else ""

    def plan(self, context: Context) -> Cost:
        """Count the prompts."""
        n = sum(map(_has_answer, context.config.prompts))
        return Cost(prompts=n, what="with an answer, latents ablated and clamped")

    def cost(self, context: Context, probe: Probe) -> Cost:
        """Change nothing on a few rows of a prompt."""
        from saereport.pipeline.interventions import cost_of_interventions

        return cost_of_interventions(context, probe)

    def run(self, context: Context) -> Iterator[Yielded]:
        """Yield the table of all prompts."""
        from saereport.pipeline.interventions import intervened

        yield from intervened(context)


def _has_answer(prompt: PromptConfig) -> bool:
    return prompt.answer is not None or (prompt.text is not None and "=>" in prompt.text)
