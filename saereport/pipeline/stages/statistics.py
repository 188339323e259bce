"""Statistics of events as a stage: the one pass over the text, and the tables that come of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from saereport.config.stages import StatisticSettings
from saereport.pipeline.stage import Cost, Needs, Stage, Yielded

if TYPE_CHECKING:
    from saereport.pipeline.context import Context
    from saereport.pipeline.probe import Probe


class StatisticsStage(Stage):
    """Every statistic of `measure.registry`, over the whole text.

    It also settles which latents are shown, and remembers the sequences that examples refer to;
    every page is built on it. Its checkpoint is the state of its accumulators.
    """

    name = "statistics"
    needs = Needs(model=True, saes=True, stages=())
    config = StatisticSettings
    at_top = True
    essential = ("statistics", "activity")
    why_essential = "every page is built on it"
    keeps = False

    @property
    def yields(self) -> tuple[str, ...]:
        """The tables of every statistic."""
        from saereport.measure.registry import STATISTICS

        return tuple(table for statistic in STATISTICS.values() for table in statistic.tables)

    @property
    def names(self) -> tuple[str, ...]:
        """Its own name, those of the statistics and those of their tables."""
        from saereport.measure.registry import STATISTICS

        return tuple(dict.fromkeys((self.name, *STATISTICS, *self.yields)))

    def plan(self, context: Context) -> Cost:
        """Look at the beginning of the text, and at each SAE on it."""
        from saereport.pipeline.sanity import check_sanity

        context.text.look(context.warned)
        packed = context.text.packed(batch=context.batches.block)
        saes = list(context.saes.values())
        check_sanity(context.model, saes, packed, context.batches, context.warned, context.cache)
        return Cost(tokens=context.text.to_read)

    def cost(self, context: Context, probe: Probe) -> Cost:
        """Read a beginning of the text."""
        from saereport.pipeline.pass_cost import cost_of_pass

        return cost_of_pass(context, probe)

    def run(self, context: Context) -> Iterator[Yielded]:
        """Read the text, and yield the tables of each SAE."""
        from saereport.pipeline.statistics import measured

        yield from measured(context, self)
