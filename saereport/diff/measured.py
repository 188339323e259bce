"""The values of one report alone, which `saereport check` judges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from saereport.diff.columns import shown_latents, values_of
from saereport.diff.latents import COMPARISONS
from saereport.diff.prompts import prompt_values
from saereport.diff.saes import sae_figures, sae_values
from saereport.run import Run


@dataclass(frozen=True)
class Measured:
    """One-sided values of one report.

    Attributes:
        saes: Slug to metric to value.
        latents: Slug to (int64[n] latents, metric to float64[n]); NaN where there is no value.
        prompts: Slug to metric to value.
        intervals: Slug of an SAE to metric to the ends of its 95 % interval, where it has one.
    """

    saes: Mapping[str, Mapping[str, float]]
    latents: Mapping[str, tuple[NDArray[np.int64], Mapping[str, NDArray[np.float64]]]]
    prompts: Mapping[str, Mapping[str, float]]
    intervals: Mapping[str, Mapping[str, tuple[float, float]]] = field(default_factory=dict)


def measured(run: Run) -> Measured:
    """Every value of `METRICS` that one report has by itself.

    Raises:
        SaereportError: The run is damaged.
    """
    saes: dict[str, Mapping[str, float]] = {}
    latents: dict[str, tuple[NDArray[np.int64], Mapping[str, NDArray[np.float64]]]] = {}
    for sae in run.info.saes:
        shown = shown_latents(run, sae.slug)
        saes[sae.slug] = sae_values(run, sae.slug, len(shown))
        latents[sae.slug] = (shown, _latent_values(run, sae.slug, shown))
    intervals = {
        sae.slug: {
            name: figure.interval
            for name, figure in sae_figures(run, sae.slug).items()
            if figure.interval is not None
        }
        for sae in run.info.saes
    }
    return Measured(saes, latents, prompt_values(run), intervals)


def _latent_values(run: Run, slug: str, shown: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """float64[n] of each metric that has a value of one side; those whose table is there."""
    values = {}
    for name, comparison in COMPARISONS.items():
        if comparison.column and run.has(comparison.table, slug):
            columns = ["latent", comparison.column]
            table = run.table(comparison.table, slug, columns=columns)
            values[name] = values_of(table, comparison.column, shown)
    return values
