"""Statistics of events as a stage: the one pass over the text, and the tables that come of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from saereport.asked import Asked
from saereport.pipeline.stage import Cost, Needs, Stage, Yielded

if TYPE_CHECKING:
    from saereport.pipeline.context import Context


class ExamplesConfig(Asked):
    """How many examples and list entries each latent gets.

    Attributes:
        top: Top examples.
        before: Tokens of the window before the peak.
        after: Tokens of the window after the peak.
        intervals: Equal intervals of (0, max] to sample from; 0 for none.
        quantiles: Edges of the quantile groups, between 0 and 1.
        per_group: Examples sampled from each interval and quantile group.
        listed: Entries of each list of tokens or latents.
    """

    top: int = Field(20, ge=1, le=1000)
    before: int = Field(16, ge=0, le=4096)
    after: int = Field(8, ge=0, le=4096)
    intervals: int = Field(6, ge=0, le=32)
    quantiles: tuple[float, ...] = (0.5, 0.9, 0.99)
    per_group: int = Field(4, ge=1, le=100)
    listed: int = Field(15, ge=1, le=1000)

    @field_validator("quantiles")
    @classmethod
    def _rising(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if list(value) != sorted(set(value)) or any(not 0 < q < 1 for q in value):
            raise ValueError("quantiles must rise strictly and lie between 0 and 1")
        return value


class StatisticSettings(Asked):
    """What is kept of the pass over the text.

    Attributes:
        examples: Numbers of examples and list entries.
    """

    examples: ExamplesConfig = ExamplesConfig()


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
        check_sanity(context.model, saes, packed, context.batches, context.warned)
        return Cost(tokens=context.text.to_read)

    def run(self, context: Context) -> Iterator[Yielded]:
        """Read the text, and yield the tables of each SAE."""
        from saereport.pipeline.statistics import measured

        yield from measured(context, self)
