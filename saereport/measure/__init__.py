"""Measuring: tensors in, numbers out.

Two kinds of numbers. *Statistics of events* (`registry.STATISTICS`) are mergeable accumulators fed
with the sparse activations of one batch after the other; their state lives on the model's device.
*Weight tables* (`saereport.measure.weights.WEIGHT_TABLES`) are pure functions of the SAE's and the
model's weights. Both need torch; what there is to be measured (`registry`, `Setting`) does not, so
what needs torch is imported here when it is first asked for.

Nothing in this package reads a file, prints, or knows of HTML.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from saereport.measure.columns import Columns, State
from saereport.measure.registry import STATISTICS, Statistic
from saereport.measure.setting import Setting
from saereport.measure.statistics.sequences import SequenceStore

if TYPE_CHECKING:
    from saereport.measure.batch import Accumulator, Events, SortedEvents, TrackedLatents
    from saereport.measure.measurement import Measurement

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

_WITH_TORCH = {
    "Accumulator": "batch",
    "Events": "batch",
    "Measurement": "measurement",
    "SortedEvents": "batch",
    "TrackedLatents": "batch",
}


def __getattr__(name: str) -> Any:
    if name not in _WITH_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WITH_TORCH[name]}"), name)
