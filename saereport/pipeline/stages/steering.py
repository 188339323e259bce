"""Steering as a stage: what is turned up, on which prompts, and what can be refused beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from saereport.config.build import BuildConfig
from saereport.config.steering import SteeringSettings, parse_concepts, parse_steered
from saereport.pipeline.stage import Cost, Needs, Stage, Yielded, file_digest
from saereport.pipeline.steering_prompts import prompts_of
from saereport.util.errors import UsageError

if TYPE_CHECKING:
    from saereport.pipeline.context import Context
    from saereport.pipeline.probe import Probe
    from saereport.sources.folders import SaeFacts


class SteeringStage(Stage):
    """Text that the model writes while latents are turned up, and what became of it."""

    name = "steering"
    tables = ("steering_prompts", "steering_windows", "steering_strengths", "steered_texts")
    needs = Needs(model=True, saes=True, tables=("activity",))
    config = SteeringSettings
    at_top = True
    essential = ("steering_prompts", "steering_windows", "steering_strengths")
    why_essential = "the page of steering is built on it; 'steering' leaves out all of it"

    def check(self, config: BuildConfig) -> None:
        """Check that the latents are of SAEs of the report, and read the file of prompts."""
        if config.steer_prompts and not config.steer:
            raise UsageError("There is nothing to steer on these prompts.", "Name --steer LATENT.")
        widths: dict[str, int | None] = dict.fromkeys(config.slugs)
        steered = parse_steered(config.steer, widths)
        if config.steer:
            parse_concepts(config.steering.concept, steered, widths)
            prompts_of(config)

    def check_saes(self, config: BuildConfig, facts: Sequence[SaeFacts]) -> None:
        """Check that every latent is one of its SAE."""
        parse_steered(config.steer, {fact.slug: fact.d_sae for fact in facts})

    def inputs(self, config: BuildConfig) -> dict[str, Any]:
        """The file of prompts."""
        if not config.steer_prompts:
            return {}
        return {"the prompts to steer on": file_digest(config.steer_prompts)}

    def why_not(self, context: Context) -> str | None:
        """Nothing to say where no latent is to be steered."""
        return None if context.config.steer else ""

    def plan(self, context: Context) -> Cost:
        """Make token ids of the prompts, and see that the SAEs' latents can be turned up."""
        from saereport.pipeline.steering import number_of_texts, require_steerable

        require_steerable(context)
        n = number_of_texts(context)
        return Cost(what=f"{n:,} texts of {context.config.steering.new_tokens:,} tokens")

    def cost(self, context: Context, probe: Probe) -> Cost:
        """Write the beginnings of a few texts."""
        from saereport.pipeline.steering import cost_of_steering

        return cost_of_steering(context, probe)

    def run(self, context: Context) -> Iterator[Yielded]:
        """Yield the prompts, and the tables of each SAE that has steered latents."""
        from saereport.pipeline.steering import steered

        yield from steered(context, self)
