"""Steering as a stage: what is turned up, on which prompts, and what can be refused beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from saereport.config.build import BuildConfig
from saereport.config.steering import SteeringSettings, parse_concepts, parse_steered, parse_sum
from saereport.pipeline.stage import Cost, Needs, Stage, Yielded, file_digest
from saereport.pipeline.stages.mean_gradients import read_lines
from saereport.pipeline.steering_files import asked_directions
from saereport.pipeline.steering_prompts import prompts_of
from saereport.util.errors import UsageError

if TYPE_CHECKING:
    from saereport.pipeline.context import Context
    from saereport.pipeline.probe import Probe
    from saereport.sources.folders import SaeFacts


def _directions(config: BuildConfig, widths: Mapping[str, int | None]) -> list[str]:
    """Names of the directions; reads what is in their files, and the latents of sums."""
    for one in config.steering.directions:
        if one.kind == "latents":
            parse_sum(one, widths)
        for path in (one.positive, one.negative):
            read_lines(path)
    return [one.name for one in asked_directions(config.steering.directions)]


class SteeringStage(Stage):
    """Text that the model writes while latents are turned up, and what became of it."""

    name = "steering"
    tables = (
        *("steering_prompts", "steering_windows", "steering_strengths", "steered_texts"),
        *("steering_directions", "direction_strengths", "directed_texts"),
        *("direction_latents", "direction_projections", "direction_examples"),
    )
    needs = Needs(model=True, saes=True, tables=("activity",))
    config = SteeringSettings
    at_top = True
    # Blinded latents are not among those that are nearest to a direction.
    shares = ("blind", "with_reveal")
    essential = (
        *("steering_prompts", "steering_windows", "steering_strengths"),
        *("steering_directions", "direction_strengths"),
    )
    why_essential = "the page of steering is built on it; 'steering' leaves out all of it"

    def check(self, config: BuildConfig) -> None:
        """Check that the latents are of SAEs of the report, and read the file of prompts."""
        if config.steer_prompts and not config.steers:
            raise UsageError("There is nothing to steer on these prompts.", "Name --steer LATENT.")
        widths: dict[str, int | None] = dict.fromkeys(config.slugs)
        steered = parse_steered(config.steer, widths)
        names = _directions(config, widths)
        parse_concepts(config.steering.concept, steered, widths, names)
        if config.steers:
            prompts_of(config)

    def check_saes(self, config: BuildConfig, facts: Sequence[SaeFacts]) -> None:
        """Check that every latent is one of its SAE."""
        widths = {fact.slug: fact.d_sae for fact in facts}
        parse_steered(config.steer, widths)
        _directions(config, widths)

    def inputs(self, config: BuildConfig) -> dict[str, Any]:
        """The files of prompts and of vectors."""
        if not config.steers:
            return {}
        found: dict[str, Any] = {}
        if config.steer_prompts:
            found["the prompts to steer on"] = file_digest(config.steer_prompts)
        for one in config.steering.directions:
            files = {"file": one.file, "positive": one.positive, "negative": one.negative}
            for what, path in files.items():
                if path is not None:
                    found[f"the {what} of the direction '{one.name}'"] = file_digest(path)
        return found

    def why_not(self, context: Context) -> str | None:
        """Nothing to say where no latent is to be steered."""
        return None if context.config.steers else ""

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
