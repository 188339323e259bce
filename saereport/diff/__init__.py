"""Two runs compared: what was added, removed and changed, and gates on it. No torch.

from saereport.diff import compare, opened

with opened("HEAD:site") as before, opened("site") as after:
    difference = compare(before, after)

A metric is described once (`Metric`) and registered with what computes it, by
`register_latent_metric`, `register_sae_metric` or `register_prompt_metric`. Terminal, HTML,
Markdown, JSON, gates, tolerances and `check` know it from there.
"""

from saereport.diff.compare import Options, compare
from saereport.diff.latents import numeric
from saereport.diff.latents import register as register_latent_metric
from saereport.diff.measured import Measured, measured
from saereport.diff.metrics import METRICS, Metric
from saereport.diff.model import (
    ChangedFact,
    Cluster,
    Difference,
    EdgeChange,
    Items,
    LatentChange,
    Pairs,
    PromptDifference,
    SaeDifference,
    Side,
    Value,
)
from saereport.diff.prompts import register as register_prompt_metric
from saereport.diff.saes import register as register_sae_metric
from saereport.run import opened

__all__ = [
    "METRICS",
    "ChangedFact",
    "Cluster",
    "Difference",
    "EdgeChange",
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
    "numeric",
    "opened",
    "register_latent_metric",
    "register_prompt_metric",
    "register_sae_metric",
]
