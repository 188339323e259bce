"""Synthetic distributions of whole SAEs, for runs of `tests.synthetic`."""

from __future__ import annotations

from typing import Any

import numpy as np

from saereport.measure.weights.distributions import ELSEWHERE, QUANTILES, histogram_of
from saereport.run import RunWriter
from saereport.run.tables.weights import WEIGHT_QUANTITIES
from saereport.util.ragged import Ragged
from tests.synthetic import Extra, Shape


def distributions(sampled: int | None = None) -> Extra:
    """Table `weight_distributions` of every SAE; the second one's two sides cannot be compared.

    Args:
        sampled: Latents in the distribution of the largest cosines; all of them by default.
    """

    def write(writer: RunWriter, shape: Shape, shown: dict[str, Any]) -> None:
        rng = np.random.default_rng([shape.seed, 12])
        for place, slug in enumerate(shown):
            rows = [_row(rng, name, shape, place, sampled) for name in sorted(WEIGHT_QUANTITIES)]
            columns: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
            for name in ("quantiles", "counts"):
                kind = np.float64 if name == "quantiles" else np.int64
                columns[name] = Ragged.of([np.asarray(row[name], kind) for row in rows], kind)
            writer.write("weight_distributions", columns, slug=slug)

    return write


def shipped(*, without: tuple[int, ...] = ()) -> Extra:
    """Table `shipped_sparsity` of every SAE but those, by place, that come without one."""

    def write(writer: RunWriter, shape: Shape, shown: dict[str, Any]) -> None:
        rng = np.random.default_rng([shape.seed, 13])
        for place, slug in enumerate(shown):
            if place not in without:
                values = np.maximum(rng.uniform(-5, -1, shape.d_sae), -10)
                columns = {"latent": np.arange(shape.d_sae), "log10_density": values}
                writer.write("shipped_sparsity", columns, slug=slug)

    return write


def _row(rng: Any, name: str, shape: Shape, place: int, sampled: int | None) -> dict[str, Any]:
    none = place == 1 and name == "encoder_decoder_cosine"
    n = sampled if sampled and name == "largest_decoder_cosine" else shape.d_sae
    values = rng.uniform(0.1, 0.9, n)
    lower, width, counts = histogram_of(values)
    return {
        "quantity": name,
        "n_latents": 0 if none else n,
        "reason": ELSEWHERE if none else "",
        "mean": values.mean(),
        "std": values.std(),
        "min": values.min(),
        "max": values.max(),
        "quantiles": [] if none else np.quantile(values, QUANTILES),
        "lower": lower,
        "width": 0.0 if none else width,
        "counts": [] if none else counts,
    }
