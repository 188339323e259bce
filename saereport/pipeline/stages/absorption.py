"""Absorption as a stage: first letters whose latent is silent where another took its place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from saereport.config.probing import AbsorptionSettings
from saereport.pipeline.stage import Cost, Needs, Stage, Yielded

if TYPE_CHECKING:
    from saereport.pipeline.context import Context
    from saereport.pipeline.probe import Probe


class AbsorptionStage(Stage):
    """Main and absorbing latents of first letters, with SAEBench's scores."""

    name = "absorption"
    tables = ("absorption_words", "absorption_letters", "absorption_latents")
    needs = Needs(model=True, saes=True)
    config = AbsorptionSettings
    at_top = True
    regardless_of = ("tokens", "latents", "saes.latents", "examples")
    essential = ("absorption_words", "absorption_letters", "absorption_latents")
    why_essential = "its page is built on it; 'absorption' leaves out all of it"

    def why_not(self, context: Context) -> str | None:
        """Nothing to say where it is not asked for."""
        return None if context.config.absorption else ""

    def plan(self, context: Context) -> Cost:
        """Find the words, and see that there are enough."""
        from saereport.pipeline.absorption import letter_task, why_not_absorbing

        saes = context.saes.values()
        if all(why_not_absorbing(sae) for sae in saes):
            first = why_not_absorbing(next(iter(saes)))
            context.warned.add(f"Absorption is measured for no SAE; of the first: {first}.")
            return Cost()
        task = letter_task(context)
        return Cost(what=f"{len(task.tokens):,} words of {len(task.names)} letters")

    def cost(self, context: Context, probe: Probe) -> Cost:
        """Read a few of the words."""
        from saereport.pipeline.absorption import cost_of_absorption

        return cost_of_absorption(context, probe)

    def run(self, context: Context) -> Iterator[Yielded]:
        """Yield what the words are, and the tables of each SAE on the residual stream."""
        from saereport.pipeline.absorption import measured

        yield from measured(context)
