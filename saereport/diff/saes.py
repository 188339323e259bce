"""SAE-level metrics: values of one side, and what they say about a pair of SAEs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from math import hypot

import numpy as np
from numpy.typing import NDArray

from saereport.diff.columns import Lists, numbers
from saereport.diff.metrics import METRICS, Metric
from saereport.diff.metrics import register as register_metric
from saereport.diff.model import Interval, Value
from saereport.diff.overlap import histogram_distance
from saereport.run import Run
from saereport.run.absorption import absorption_figures
from saereport.run.bias import bias_figures
from saereport.run.capability import capability_figures
from saereport.run.figures import FEWEST_SEQUENCES, Figure, figures_of
from saereport.run.geometry import geometry_figures
from saereport.run.lens import lens_figures
from saereport.run.meta import meta_figures
from saereport.run.probing import probing_figures

BINS_A_DECADE = 4
"""Bins of log10 density in `density.jsd`; latents never active have a bin of their own."""


ValueOf = Callable[[Run, str], float | None]

VALUES: dict[str, ValueOf] = {}
"""Metrics of SAEs beyond those below: name to what gives the value of an SAE of a run, or None."""


def register(metric: Metric, value: ValueOf) -> None:
    """Add a metric of SAEs: outputs, gates, `check` and tolerances know it from here.

    Args:
        metric: The metric.
        value: Its value, from a run and an SAE's slug; None where the run has none.

    Raises:
        ValueError: There is one of that name, or it is not one of SAEs.
    """
    if metric.scope != "sae" or not metric.one_sided:
        raise ValueError(f"'{metric.name}' is not a metric of one SAE")
    register_metric(metric)
    VALUES[metric.name] = value


def sae_values(run: Run, slug: str, n_shown: int) -> dict[str, float]:
    """The SAE-level metrics of one report: those that it has a value of.

    Args:
        run: The run.
        slug: The SAE in it.
        n_shown: Latents of the SAE in the report.
    """
    sae = run.info.sae(slug)
    values: dict[str, float] = {"latents.shown": float(n_shown)}
    values |= {name: figure.value for name, figure in sae_figures(run, slug).items()}
    values |= geometry_figures(run, slug)
    if sae.l0 is not None:
        values["l0"] = sae.l0.mean
    if sae.dead_share is not None:
        values["dead_share"] = sae.dead_share
    values |= _dense_shares(run, slug)
    for name, value in VALUES.items():
        found = value(run, slug)
        if found is not None:
            values[name] = found
    return {name: value for name, value in values.items() if np.isfinite(value)}


def _dense_shares(run: Run, slug: str) -> dict[str, float]:
    """`dense_share.1` and `dense_share.10`; none where not all latents were followed."""
    n_counted = run.info.text.n_counted
    if not run.has("sae_activity", slug) or not n_counted:
        return {}
    n_active = numbers(run.table("sae_activity", slug, columns=["n_active"]), "n_active")
    if not len(n_active):
        return {}
    return {
        f"dense_share.{percent}": float((100 * n_active > percent * n_counted).mean())
        for percent in (1, 10)
    }


@dataclass(frozen=True)
class Sampled:
    """How sure the figures of two sides are.

    Attributes:
        before: Metric name to figure, from `sae_figures`.
        after: Likewise.
        same_text: Whether the runs read the same text.
        fixed: Metrics whose tolerance the user set, which stands as it is.
        why_not: Metrics whose two values are not of the same thing, and why.
    """

    before: Mapping[str, Figure]
    after: Mapping[str, Figure]
    same_text: bool
    fixed: Collection[str] = ()
    why_not: Mapping[str, str] = field(default_factory=dict)

    def noise(self, name: str) -> float:
        """How much a metric may move by chance, in its own unit; 0 where that is no matter."""
        sides = self._sides(name)
        if not sides or name in self.fixed:
            return 0.0
        same = self.same_text and sides[0].n_tokens == sides[1].n_tokens
        when = METRICS[name].sampled
        if when == "never" or (when == "other text" and same):
            return 0.0
        return hypot(*(side.half_width for side in sides))

    def not_compared(self, name: str) -> str:
        """Why two values of a metric cannot be compared; empty where they can."""
        if name in self.why_not:
            return self.why_not[name]
        if METRICS[name].sampled != "always" or name in self.fixed:
            return ""
        for words, side in zip(("before", "after"), self._sides(name), strict=False):
            if side.interval is None and side.n_sequences >= FEWEST_SEQUENCES:
                return f"the share {words} is one of a gap that may be nothing"
        return ""

    def intervals(self, name: str) -> tuple[Interval, Interval]:
        """The intervals of both sides."""
        sides = [side.get(name) for side in (self.before, self.after)]
        before, after = (side.interval if side else None for side in sides)
        return before, after

    def _sides(self, name: str) -> tuple[Figure, ...]:
        if name in self.before and name in self.after:
            return self.before[name], self.after[name]
        return ()


def sae_figures(run: Run, slug: str) -> dict[str, Figure]:
    """The figures of an SAE that are metrics, with their intervals."""
    # L0 there is over fewer tokens than that of all the text, which is the one to compare.
    own = {name for name, one in METRICS.items() if one.scope == "sae"} - {"l0", *VALUES}
    own_figures = (
        figures_of,
        capability_figures,
        lens_figures,
        probing_figures,
        bias_figures,
        absorption_figures,
        meta_figures,
    )
    held = {name: one for of in own_figures for name, one in of(run, slug).items()}
    return {name: figure for name, figure in held.items() if name in own}


def compared_saes(
    before: Mapping[str, float],
    after: Mapping[str, float],
    tolerances: Mapping[str, float],
    sampled: Sampled | None = None,
) -> tuple[list[Value], dict[str, str]]:
    """Values that both sides have, and for the others the reason.

    Args:
        before: Metric name to value, from `sae_values`.
        after: Likewise.
        tolerances: Metric name to tolerance.
        sampled: What is known of the intervals of the two sides.
    """
    sampled = sampled or Sampled({}, {}, same_text=True)
    values, reasons = [], {}
    for name, metric in METRICS.items():
        if name in before and name in after:
            if reason := sampled.not_compared(name):
                reasons[name] = reason
                continue
            larger = max(abs(before[name]), abs(after[name])) if metric.relative else 1.0
            size = abs(after[name] - before[name])
            values.append(
                Value(
                    name,
                    before[name],
                    after[name],
                    size / larger if larger else 0.0,
                    max(tolerances[name], sampled.noise(name) / larger if larger else 0.0),
                    *sampled.intervals(name),
                )
            )
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
