"""Synthetic interventions on the first prompt of runs of `tests.synthetic`."""

from __future__ import annotations

from typing import Any

import numpy as np

from saereport.run import RunWriter
from tests.synthetic import Shape

POSITIONS = (1, 2)


def interventions(writer: RunWriter, shape: Shape, shown: dict[str, Any]) -> None:
    """Two latents of each SAE ablated, at two positions alone too, and clamped to twice."""
    keys = [
        (slug, int(latent), multiple, position)
        for slug in sorted(shown)
        for latent in shown[slug][:2]
        for multiple, position in ((0.0, -1), *((0.0, p) for p in POSITIONS), (2.0, -1))
    ]
    n = len(keys)
    change = np.round(np.linspace(-2, 1.5, n), 3)
    writer.write(
        "prompt_interventions",
        {
            "prompt": [0] * n,
            "sae": [key[0] for key in keys],
            "latent": [key[1] for key in keys],
            "multiple": [key[2] for key in keys],
            "position": [key[3] for key in keys],
            "value": [3.0 * key[2] for key in keys],
            "unit": [3.0] * n,
            "unit_of_text": [True] * n,
            "activation": [2.5] * n,
            "n_positions": [2] * n,
            "runner_up": [4] * n,
            "logit_change": change / 2,
            "difference_change": change,
            "probability_before": [0.25] * n,
            "probability": np.linspace(0.1, 0.5, n),
            "next_token": [5] * n,
        },
    )
