"""Blind case studies as a stage: which latents a reader meets without their text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import field_validator

from saereport.asked import Asked
from saereport.errors import UsageError
from saereport.pipeline.stage import Needs, Stage, Yielded

if TYPE_CHECKING:
    from saereport.config import BuildConfig
    from saereport.pipeline.context import Context
    from saereport.sources.folders import SaeFacts


class BlindSettings(Asked):
    """Which latents are met blind.

    Attributes:
        blind: Latents, as `sae:latent`, that the reader is to meet blind.
        with_reveal: Whether a blind report holds what the reader may reveal.
    """

    blind: tuple[str, ...] = ()
    with_reveal: bool = False

    @field_validator("blind", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        return [str(item) if isinstance(item, int) else item for item in values]


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
        from saereport.circuits.blind import parse_blind

        widths = {fact.slug: fact.d_sae for fact in facts if fact.d_sae is not None}
        if len(widths) == len(facts):
            parse_blind(config.blind, widths, [fact.slug for fact in facts if fact.is_transcoder])

    def why_not(self, context: Context) -> str | None:
        """Nothing to say where no latent is blinded."""
        return None if context.blind else ""

    def run(self, context: Context) -> Iterator[Yielded]:
        """Yield `blind_latents`."""
        from saereport.circuits.blind import blind_rows

        yield None, "blind_latents", blind_rows(context.blind, context.config.with_reveal)
