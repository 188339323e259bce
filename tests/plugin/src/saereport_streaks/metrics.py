"""What comparisons, gates and checks are told of the plug-in's tables."""

from __future__ import annotations

from saereport.diff import Metric, numeric, register_latent_metric, register_sae_metric
from saereport.run import Run


def first_l0(run: Run, slug: str) -> float | None:
    """Active latents at the first place that counts; None where it was not measured."""
    if not run.has("position_profile", slug):
        return None
    values = run.table("position_profile", slug, columns=["l0"]).column("l0").to_pylist()
    return values[0] if values else None


def register() -> None:
    """Add the metrics."""
    register_latent_metric(
        Metric("streak", "latent", "Streak", 0.1, "Mean length of a streak.", True, weight=1),
        numeric("streaks", "mean_length"),
    )
    register_sae_metric(
        Metric("l0.first", "sae", "L0 at the first place", 1, "Of `position_profile`.", True),
        first_l0,
    )
