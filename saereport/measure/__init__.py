"""Measuring: tensors in, numbers out.

Two kinds of numbers. *Statistics of events* (`registry.STATISTICS`) are mergeable accumulators fed
with the sparse activations of one batch after the other; they need numpy and scipy only. *Weight
tables* (`saereport.measure.weights.WEIGHT_TABLES`) are pure functions of the SAE's and the model's
weights; they and `saereport.measure.events`, which finds the events in a dense tensor, need torch
and are therefore not imported here.

Nothing in this package reads a file, prints, or knows of HTML.
"""

from saereport.measure.batch import (
    Accumulator,
    Columns,
    Events,
    SortedEvents,
    State,
    TrackedLatents,
)
from saereport.measure.measurement import Measurement
from saereport.measure.registry import STATISTICS, Statistic
from saereport.measure.setting import Setting
from saereport.measure.statistics.sequences import SequenceStore

__all__ = [
    "STATISTICS",
    "Accumulator",
    "Columns",
    "Events",
    "Measurement",
    "SequenceStore",
    "Setting",
    "SortedEvents",
    "State",
    "Statistic",
    "TrackedLatents",
]
