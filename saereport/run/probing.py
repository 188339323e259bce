"""Sparse probing, as a run stores it in `probing_tasks`, `probing_scores` and `probing_latents`."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

from saereport.run.figures import Figure
from saereport.run.store import Run

ALL: Final = "*"
"""Task and concept of the means over all concepts; no label of a user's is called so."""
METRICS: Final = ("accuracy", "balanced", "auc")


def figure_of(row: Mapping[str, Any], metric: str, n: int) -> Figure | None:
    """A figure of a row of `probing_scores`; None where it is no number.

    Args:
        row: The row.
        metric: One of `METRICS`.
        n: Texts that it is over.
    """
    value, ends = row[metric], row[f"{metric}_interval"]
    interval = (ends[0], ends[1]) if len(ends) == 2 and ends[0] <= ends[1] else None
    return Figure(value, interval, n, n) if isfinite(value) else None


def probing_figures(run: Run, slug: str) -> dict[str, Figure]:
    """The figures that comparisons and gates know.

    Returns:
        `probing.accuracy` and `probing.auc` of the latents' probes, over all concepts of the run,
        of the pooling that is asked for first; `probing.accuracy_activations` of the probes on the
        activations.

    Raises:
        SaereportError: The table is damaged.
    """
    if not run.has("probing_scores", slug) or not run.has("probing_tasks"):
        return {}
    n = sum(
        {row["task"]: row["n_held_out"] for row in run.table("probing_tasks").to_pylist()}.values()
    )
    rows = [row for row in run.table("probing_scores", slug).to_pylist() if row["task"] == ALL]
    # Means come before maxima where both are asked for.
    first = max((row["pooling"] for row in rows), default="")
    names = {
        "probing.accuracy": ("latents", "accuracy"),
        "probing.auc": ("latents", "auc"),
        "probing.accuracy_activations": ("activations", "accuracy"),
    }
    found = {
        name: figure_of(row, metric, n)
        for name, (probe, metric) in names.items()
        for row in rows
        if (row["probe"], row["pooling"]) == (probe, first)
    }
    return {name: figure for name, figure in found.items() if figure is not None}
