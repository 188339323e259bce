"""Synthetic output scores of every shown latent of every SAE, for runs of `tests.synthetic`."""

from __future__ import annotations

from typing import Any

import numpy as np

from saereport.run import RunWriter
from tests.synthetic import Shape


def output_scores(writer: RunWriter, shape: Shape, shown: dict[str, Any]) -> None:
    """Table `output_scores`: the first latents of each SAE score high, and fall from there."""
    for slug, chosen in shown.items():
        writer.write("output_scores", columns(chosen.tolist(), shape), slug=slug)


def columns(latents: list[int], shape: Shape) -> dict[str, Any]:
    """The rows of some latents; every other one has no interval."""
    rng = np.random.default_rng(len(latents))
    n = len(latents)
    score = np.linspace(0.5, -0.1, n)
    ends = [[s - 0.125, s + 0.125] if i % 2 == 0 else [] for i, s in enumerate(score)]
    return {
        "latent": latents,
        "strength": [4.0] * n,
        "length": [12.5] * n,
        "n_prompts": [10] * n,
        "score": score,
        "interval": ends,
        "control": [0.0625] * n,
        "difference": score - 0.0625,
        "difference_interval": ends,
        "percentile": np.linspace(1, 0, n),
        "log_ratio": 10 * score,
        "control_log_ratio": [0.5] * n,
        "top_tokens": [rng.choice(shape.n_vocabulary, 4, replace=False) for _ in latents],
        "before": [np.full(4, 0.001, np.float32)] * n,
        "after": [np.array([0.5, 0.25, 0.125, 0.001], np.float32)] * n,
        "controls": [np.arange(5)] * n,
        "control_scores": [np.linspace(0, 0.125, 5).astype(np.float32)] * n,
    }
