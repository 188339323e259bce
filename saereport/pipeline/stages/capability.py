"""Capability tests as a stage: prompts with answers, with each SAE in the model and without."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from saereport.config.build import BuildConfig
from saereport.config.stages import CapabilitySettings
from saereport.evaluate.prompt_sets import asked_prompts
from saereport.pipeline.stage import Cost, Needs, Stage, Yielded, file_digest

if TYPE_CHECKING:
    from saereport.pipeline.context import Context
    from saereport.pipeline.probe import Probe


class CapabilityStage(Stage):
    """What the model predicts after prompts with answers, and with each SAE spliced in."""

    name = "capability"
    tables = ("capability_prompts", "capability_sets")
    needs = Needs(model=True, saes=True)
    config = CapabilitySettings
    at_top = True
    regardless_of = ("tokens", "latents", "saes.latents", "examples")

    def check(self, config: BuildConfig) -> None:
        """Check the names of the sets, and read the file."""
        asked_prompts(config.capability, config.capability_file)

    def inputs(self, config: BuildConfig) -> dict[str, Any]:
        """The file."""
        return {"the prompts of capability tests": file_digest(config.capability_file)}

    def why_not(self, context: Context) -> str | None:
        """Nothing to say where no prompts are asked for."""
        asked = context.config.capability or context.config.capability_file
        return None if asked else ""

    def plan(self, context: Context) -> Cost:
        """Make token ids of the prompts, and warn of those that this model cannot be asked."""
        from saereport.pipeline.capability import questions_of, tokens_of, warn_of_unusable

        asked = questions_of(context)
        warn_of_unusable(context, asked)
        n = len(asked.questions)
        return Cost(tokens=tokens_of(context, asked.questions), prompts=n, what="with answers")

    def cost(self, context: Context, probe: Probe) -> Cost:
        """Put a few of the prompts."""
        from saereport.pipeline.capability import cost_of_capability

        return cost_of_capability(context, probe)

    def run(self, context: Context) -> Iterator[Yielded]:
        """Yield both tables of each SAE."""
        from saereport.evaluate.capability import capability
        from saereport.pipeline.capability import questions_of

        questions = questions_of(context).questions
        if not questions:
            for slug in context.saes:
                context.leave_out_all(slug, self.tables, "the model cannot be asked these prompts")
            return
        found = capability(context.model, list(context.saes.values()), questions, context.progress)
        for slug, reason in found.left_out.items():
            context.leave_out_all(slug, self.tables, reason)
        for slug, columns in found.prompts.items():
            yield slug, "capability_prompts", columns
            yield slug, "capability_sets", found.sets[slug]
