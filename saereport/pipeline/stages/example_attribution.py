"""Attribution at the peaks of top examples as a stage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from saereport.pipeline.stage import SKIPPED, Cost, Needs, Stage, Yielded
from saereport.pipeline.stages.circuits import PACKED

if TYPE_CHECKING:
    from saereport.pipeline.context import Context
    from saereport.pipeline.probe import Probe


class ExampleAttributionStage(Stage):
    """What makes latents active on their own top examples.

    For SAEs of which few latents are shown; the others say so.
    """

    name = "example_attribution"
    tables = (
        *("example_heads", "example_components", "example_influences"),
        *("influence_counts", "example_head_deembedding"),
    )
    needs = Needs(model=True, saes=True, tables=("examples",))
    shares = ("circuits", "examples")

    def why_not(self, context: Context) -> str | None:
        """Skipped where no examples are decomposed, or none are collected."""
        none = context.config.circuits.examples == 0 or context.skips("examples")
        if none:
            return SKIPPED
        quantize = context.config.quantize
        return f"the model's weights are packed ({quantize}): {PACKED}" if quantize else None

    def wants(self, context: Context, table: str, slug: str | None) -> bool:
        """Examples of SAEs of which few latents are shown."""
        few = slug is not None and self.too_many(context, slug) is None
        return super().wants(context, table, slug) and few

    def too_many(self, context: Context, slug: str) -> str | None:
        """Why an SAE shows too many latents; None where it does not."""
        shown, most = len(context.latents[slug]), context.config.circuits.example_latents
        if shown <= most:
            return None
        return f"{shown:,} latents are shown, and it is computed for {most:,} at most"

    def cost(self, context: Context, probe: Probe) -> Cost:
        """Take few latents apart at the peaks that the beginning of the text has."""
        from saereport.pipeline.example_attribution import cost_of_attributions

        slugs = [slug for slug in context.saes if self.too_many(context, slug) is None]
        return cost_of_attributions(context, slugs, probe)

    def run(self, context: Context) -> Iterator[Yielded]:
        """Yield the tables of each SAE."""
        from saereport.pipeline.example_attribution import attributions

        for slug in context.deepest_first():
            reason = self.too_many(context, slug)
            if reason is None:
                yield from attributions(context, slug, self.tables)
            else:
                context.leave_out_all(slug, self.tables, reason)
