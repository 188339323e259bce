"""Meta-SAEs as a stage: what SAEs that were trained on decoder rows make of these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from saereport.config.build import BuildConfig
from saereport.config.meta import MetaSettings, check_meta_saes
from saereport.pipeline.meta_files import facts_of, files_of, require_width
from saereport.pipeline.stage import Cost, Needs, Stage, Yielded, file_digest

if TYPE_CHECKING:
    from saereport.pipeline.context import Context
    from saereport.pipeline.probe import Probe
    from saereport.sources.folders import SaeFacts


class MetaStage(Stage):
    """The decoder rows of SAEs as sums of the meta-latents of meta-SAEs."""

    name = "meta"
    tables = ("meta_saes", "meta_latents", "meta_parts", "meta_extremes", "meta_words")
    needs = Needs(model=True, saes=True)
    config = MetaSettings
    at_top = True
    regardless_of = ("tokens", "latents", "saes.latents", "examples")
    essential = ("meta_saes", "meta_latents", "meta_parts", "meta_extremes")
    why_essential = "their pages are built on it; 'meta' leaves out all of them"

    def check(self, config: BuildConfig) -> None:
        """Check that each is of an SAE of the report, and look at its files."""
        check_meta_saes(config.meta_saes, config.slugs)
        for asked in config.meta_saes:
            facts_of(asked)

    def check_saes(self, config: BuildConfig, facts: Sequence[SaeFacts]) -> None:
        """Check that each reads as many numbers as its base's decoder rows have."""
        check_meta_saes(config.meta_saes, [fact.slug for fact in facts])
        bases = {fact.slug: fact for fact in facts}
        for asked in config.meta_saes:
            require_width(asked, facts_of(asked).d_in, bases[asked.of].d_out)

    def inputs(self, config: BuildConfig) -> dict[str, Any]:
        """The files of those in folders."""
        return {
            f"the meta-SAE '{asked.slug}' of '{asked.of}'": {
                file.name: file_digest(file) for file in files_of(asked.path.expanduser())
            }
            for asked in config.meta_saes
            if asked.path is not None
        }

    def depends_on(self, context: Context) -> dict[str, Any]:
        """The latents that are shown."""
        from saereport.pipeline.context import shown_of

        return shown_of(context)

    def why_not(self, context: Context) -> str | None:
        """Nothing to say where none is named."""
        return None if context.config.meta_saes else ""

    def plan(self, context: Context) -> Cost:
        """Load each once, and see that it can read the rows of its base."""
        from saereport.pipeline.meta import planned

        return Cost(what=planned(context))

    def cost(self, context: Context, probe: Probe) -> Cost:
        """Put a few rows through one of them."""
        from saereport.pipeline.meta import cost_of_meta

        return cost_of_meta(context, probe)

    def run(self, context: Context) -> Iterator[Yielded]:
        """Yield the tables of each SAE that has meta-SAEs."""
        from saereport.pipeline.meta import meta_tables

        yield from meta_tables(context)
