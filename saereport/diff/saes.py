"""SAE-level metrics: values of one side, and what they say about a pair of SAEs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from saereport.diff.columns import Lists, numbers
from saereport.diff.metrics import METRICS
from saereport.diff.model import Value
from saereport.diff.overlap import histogram_distance
from saereport.run import Run

RELATIVE = frozenset({"l0", "mse", "ce_zero", "ce_mean"})
"""Metrics whose size is a relative change; that of the others is absolute."""

BINS_A_DECADE = 4
"""Bins of log10 density in `density.jsd`; latents never active have a bin of their own."""


def sae_values(run: Run, slug: str, n_shown: int) -> dict[str, float]:
    """The SAE-level metrics of one report: those that it has a value of.

    Args:
        run: The run.
        slug: The SAE in it.
        n_shown: Latents of the SAE in the report.
    """
    sae = run.info.sae(slug)
    values: dict[str, float] = {"latents.shown": float(n_shown)}
    if run.has("sae_metrics", slug):
        table = run.table("sae_metrics", slug, columns=["metric", "value"])
        found = zip(table.column("metric").to_pylist(), numbers(table, "value"), strict=True)
        own = {name for name, metric in METRICS.items() if metric.scope == "sae"}
        # L0 there is over fewer tokens than the one below.
        values |= {name: float(value) for name, value in found if name in own - {"l0"}}
    if sae.l0 is not None:
        values["l0"] = sae.l0.mean
    if sae.dead_share is not None:
        values["dead_share"] = sae.dead_share
    return {name: value for name, value in values.items() if np.isfinite(value)}


def compared_saes(
    before: Mapping[str, float], after: Mapping[str, float], tolerances: Mapping[str, float]
) -> tuple[list[Value], dict[str, str]]:
    """Values that both sides have, and for those of one side only the reason.

    Args:
        before: Metric name to value, from `sae_values`.
        after: Likewise.
        tolerances: Metric name to tolerance.
    """
    values, reasons = [], {}
    for name in METRICS:
        if name in before and name in after:
            size = abs(after[name] - before[name])
            if name in RELATIVE:
                larger = max(abs(before[name]), abs(after[name]))
                size = size / larger if larger else 0.0
            values.append(Value(name, before[name], after[name], size, tolerances[name]))
        elif name in before or name in after:
            side = "before" if name in after else "after"
            reasons[name] = f"the run {side} did not measure it"
    return values, reasons


def density_distance(before: tuple[Run, str], after: tuple[Run, str]) -> float | str:
    """`density.jsd`, or in words why there is none.

    Args:
        before: Run and slug.
        after: Run and slug.
    """
    for side, (run, slug) in (("before", before), ("after", after)):
        if not run.has("sae_activity", slug):
            return f"the run {side} does not have the table 'sae_activity'"
    bins = [_density_bins(run, slug) for run, slug in (before, after)]
    ones = [np.ones(len(one.items)) for one in bins]
    return float(histogram_distance(bins[0], ones[0], bins[1], ones[1])[0])


def _density_bins(run: Run, slug: str) -> Lists:
    """One list: the bin of log10 density of each latent of the SAE, 0 for those never active."""
    n_active = numbers(run.table("sae_activity", slug, columns=["n_active"]), "n_active")
    density = np.maximum(n_active, 1) / max(run.info.text.n_counted, 1)
    bins: NDArray[np.int64] = np.floor(np.log10(density) * BINS_A_DECADE).astype(np.int64)
    # Densities lie above 1e-19, the reciprocal of the largest count.
    bins = np.where(n_active > 0, bins + 80, 0)
    return Lists(bins, np.array([0, len(bins)], np.int64))
