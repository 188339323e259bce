"""The logit lens of whole dictionaries as a stage, and the token sets that it separates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from saereport.config.build import BuildConfig
from saereport.config.stages import LensSettings
from saereport.pipeline.stage import Cost, Needs, Stage, Yielded, file_digest
from saereport.sources.token_sets import read_token_sets
from saereport.util.errors import UsageError

if TYPE_CHECKING:
    from saereport.pipeline.context import Context
    from saereport.pipeline.probe import Probe


class LensStage(Stage):
    """Moments of the logit lens of all latents, and tests of token sets."""

    name = "lens"
    tables = (
        "lens_moments",
        "lens_extremes",
        "token_sets",
        "token_set_scores",
        "token_set_strongest",
        "token_set_counts",
    )
    needs = Needs(model=True, saes=True)
    config = LensSettings
    at_top = True
    regardless_of = ("tokens", "latents", "saes.latents", "examples")

    def check(self, config: BuildConfig) -> None:
        """Read the file of token sets."""
        if config.enrichment == "all" and not config.lens:
            raise UsageError(
                "Token sets are to be tested for all latents, and no logit lens is asked for.",
                "Give --lens all.",
            )
        if config.token_sets is None:
            return
        if not config.lens or config.enrichment == "none":
            raise UsageError(
                "There is a file of token sets, and no latent is tested for them.",
                "Give --lens all (or a number of latents) and --enrichment shown or all.",
            )
        read_token_sets(config.token_sets)

    def inputs(self, config: BuildConfig) -> dict[str, Any]:
        """The file."""
        return {"the token sets": file_digest(config.token_sets)}

    def why_not(self, context: Context) -> str | None:
        """Nothing to say where it is not asked for."""
        return None if context.config.lens else ""

    def depends_on(self, context: Context) -> dict[str, Any]:
        """The latents that are shown."""
        from saereport.pipeline.context import shown_of

        return shown_of(context)

    def plan(self, context: Context) -> Cost:
        """Make the sets of tokens, and say which words of the user's are none."""
        from saereport.pipeline.lens import planned

        return Cost(what=planned(context))

    def cost(self, context: Context, probe: Probe) -> Cost:
        """Take few latents."""
        from saereport.pipeline.lens import cost_of_lens

        return cost_of_lens(context, probe)

    def run(self, context: Context) -> Iterator[Yielded]:
        """Yield the tables of each SAE, from the deepest to the shallowest, then the sets."""
        from saereport.pipeline.lens import lens_tables

        yield from lens_tables(context)
