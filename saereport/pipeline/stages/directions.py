"""The geometry of dictionaries as a stage: what their directions say, without any text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from saereport.config.build import BuildConfig
from saereport.config.geometry import GeometrySettings, parse_pairs
from saereport.pipeline.stage import SKIPPED, Cost, Needs, Stage, Yielded

if TYPE_CHECKING:
    from saereport.pipeline.context import Context
    from saereport.pipeline.probe import Probe
    from saereport.sources.folders import SaeFacts


class DirectionsStage(Stage):
    """Dictionaries against each other, and within each, by their decoder directions.

    It is not called `geometry`, as its key is, since a table of weights has that name.
    """

    name = "directions"
    tables = (
        *("dictionary_clusters", "cluster_places", "dictionary_matches", "latent_matches"),
        *("feature_splits", "latent_words", "latent_chains"),
    )
    needs = Needs(model=True, saes=True)
    config = GeometrySettings
    at_top = True
    shares = ("map",)
    regardless_of = ("tokens", "latents", "saes.latents", "examples")

    def check(self, config: BuildConfig) -> None:
        """Check that the SAEs to be compared are of the report."""
        parse_pairs(config.compare_saes, dict.fromkeys(config.slugs))

    def check_saes(self, config: BuildConfig, facts: Sequence[SaeFacts]) -> None:
        """Likewise, by the names that they have then."""
        parse_pairs(config.compare_saes, {fact.slug: fact for fact in facts})

    def depends_on(self, context: Context) -> dict[str, Any]:
        """The latents that are shown, and how many tokens there are to follow chains on."""
        from saereport.pipeline.context import shown_of

        n = min(context.config.geometry.coactivation_tokens, context.seen.counted)
        return {**shown_of(context), "followed": n}

    def why_not(self, context: Context) -> str | None:
        """Nothing of it where `--skip geometry` leaves out the map."""
        return SKIPPED if context.skips("geometry") else None

    def plan(self, context: Context) -> Cost:
        """See that SAEs that are named can be compared, and say how many pairs there are."""
        from saereport.pipeline.directions import planned_pairs, said_of

        pairs = planned_pairs(context, warn=True)
        tokens = min(context.config.geometry.coactivation_tokens, context.config.tokens)
        return Cost(what=said_of(pairs), tokens=tokens if pairs else None)

    def cost(self, context: Context, probe: Probe) -> Cost:
        """Compare a part of one dictionary with itself."""
        from saereport.pipeline.directions import cost_of_directions

        return cost_of_directions(context, probe)

    def run(self, context: Context) -> Iterator[Yielded]:
        """Yield the tables of each SAE."""
        from saereport.pipeline.directions import geometry_tables

        yield from geometry_tables(context)
