"""Two runs compared: what was added, removed and changed, and gates on it. No torch.

from saereport.diff import compare, opened

with opened("HEAD:site") as before, opened("site") as after:
    difference = compare(before, after)
"""

from saereport.diff.compare import Options, compare
from saereport.diff.measured import Measured, measured
from saereport.diff.metrics import METRICS, Metric
from saereport.diff.model import (
    Cluster,
    Difference,
    EdgeChange,
    Fact,
    Items,
    LatentChange,
    Pairs,
    PromptDifference,
    SaeDifference,
    Side,
    Value,
)
from saereport.run import opened

__all__ = [
    "METRICS",
    "Cluster",
    "Difference",
    "EdgeChange",
    "Fact",
    "Items",
    "LatentChange",
    "Measured",
    "Metric",
    "Options",
    "Pairs",
    "PromptDifference",
    "SaeDifference",
    "Side",
    "Value",
    "compare",
    "measured",
    "opened",
]
