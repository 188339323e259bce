"""Blind case studies as a stage: which latents a reader meets without their text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from saereport.config.build import BuildConfig
from saereport.config.stages import BlindSettings
from saereport.pipeline.stage import Cost, Needs, Stage, Yielded
from saereport.util.errors import UsageError

if TYPE_CHECKING:
    from saereport.pipeline.context import Context
    from saereport.pipeline.probe import Probe
    from saereport.sources.folders import SaeFacts


class BlindStage(Stage):
    """Says in the run which latents are blinded; what would show their text, no stage can write."""

    name = "blind"
    tables = ("blind_latents",)
    needs = Needs(stages=())
    config = BlindSettings
    at_top = True
    essential = ("blind", "blind_latents")
    why_essential = "without it the pages would show what is to be met blind"

    def check(self, config: BuildConfig) -> None:
        """Refuse to reveal where nothing is blinded."""
        if config.with_reveal and not config.blind:
            raise UsageError(
                "There is nothing to reveal: no latent is blinded.", "Name some with --blind."
            )

    def check_saes(self, config: BuildConfig, facts: Sequence[SaeFacts]) -> None:
        """Check that every latent is one of an SAE of the report."""
        from saereport.pipeline.blinding import parse_blind

        widths = {fact.slug: fact.d_sae for fact in facts if fact.d_sae is not None}
        if len(widths) == len(facts):
            parse_blind(config.blind, widths, [fact.slug for fact in facts if fact.is_transcoder])

    def why_not(self, context: Context) -> str | None:
        """Nothing to say where no latent is blinded."""
        return None if context.blind else ""

    def cost(self, context: Context, probe: Probe) -> Cost:
        """Nothing to speak of."""
        return Cost(seconds=0.0)

    def run(self, context: Context) -> Iterator[Yielded]:
        """Yield `blind_latents`."""
        from saereport.pipeline.blinding import blind_rows

        yield None, "blind_latents", blind_rows(context.blind, context.config.with_reveal)
