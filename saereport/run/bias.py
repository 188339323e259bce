"""The bias test, as a run stores it in `bias_groups`, `bias_scores` and `bias_latents`."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

from saereport.run.figures import Figure
from saereport.run.store import Run

VARIANTS: Final = (
    *("original", "judged", "judged_mean", "retrained", "skyline", "skyline_mean"),
    *("random", "random_mean", "balanced"),
)
"""What is done with a probe, in the order of pages."""


def bias_figures(run: Run, slug: str) -> dict[str, Figure]:
    """The figures that comparisons and gates know.

    Returns:
        `bias.worst_before`; `bias.worst_after` and `bias.accuracy_after` with the judged latents
        held at their means, and `bias.worst_skyline`.

    Raises:
        SaereportError: The table is damaged.
    """
    if not run.has("bias_scores", slug) or not run.has("bias_groups"):
        return {}
    n = sum(row["n_held_out"] for row in run.table("bias_groups").to_pylist())
    rows = {row["variant"]: row for row in run.table("bias_scores", slug).to_pylist()}
    names = {
        "bias.worst_before": ("original", "worst"),
        "bias.worst_after": ("judged_mean", "worst"),
        "bias.accuracy_after": ("judged_mean", "accuracy"),
        "bias.worst_skyline": ("skyline_mean", "worst"),
    }
    return {
        name: _figure(rows[variant], metric, n)
        for name, (variant, metric) in names.items()
        if variant in rows and isfinite(rows[variant][metric])
    }


def _figure(row: Mapping[str, Any], metric: str, n: int) -> Figure:
    ends = row[f"{metric}_interval"]
    interval = (ends[0], ends[1]) if len(ends) == 2 and ends[0] <= ends[1] else None
    return Figure(row[metric], interval, n, n)
