"""What two synthetic runs are compared by: directions, sketches, and the SAE's own figures.

A latent's direction and sketch depend on the seed, the SAE and the latent alone, not on which
other latents are shown.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from saereport.util.priority import SKETCHED, token_priorities
from saereport.util.ragged import Ragged

METRICS = {
    "ce_added_mean": (7.89, 0.3),
    "ce_added_spliced": (0.13, 0.01),
    "ce_added_zero": (8.67, 0.3),
    "ce_mean": (11.9, 0.3),
    "ce_original": (4.01, 0.15),
    "ce_recovered": (0.985, 0.001),
    "ce_recovered_mean": (0.983, 0.001),
    "ce_spliced": (4.14, 0.15),
    "ce_zero": (12.68, 0.3),
    "cosine": (0.93, 0.004),
    "explained_variance": (0.83, 0.01),
    "explained_variance_usual": (0.81, 0.01),
    "kl_mean": (8.3, 0.3),
    "kl_recovered": (0.98, 0.001),
    "kl_recovered_mean": (0.978, 0.001),
    "kl_spliced": (0.18, 0.01),
    "kl_zero": (9.0, 0.3),
    "l0": (18.2, 0.4),
    "l1": (61.0, 2.0),
    "l2_ratio": (0.94, 0.003),
    "mse": (812.0, 30.0),
    "mse_usual": (790.0, 25.0),
}
"""Figures of the first SAE, with half of their intervals' length; those of later ones are a little
off."""


def directions(seed: int, k: int, chosen: Any, d_out: int) -> dict[str, Any]:
    """Table `decoder_directions`: random unit rows."""
    rows = np.empty((len(chosen), d_out), dtype=np.float16)
    for i, latent in enumerate(chosen):
        row = np.random.default_rng([seed, k, int(latent), 1]).normal(size=d_out)
        rows[i] = row / np.linalg.norm(row)
    return {"latent": chosen, "direction": rows}


def sketches(
    seed: int, k: int, activity: dict[str, Any], n_sequences: int, context: int
) -> dict[str, Any]:
    """Table `active_sketch`: the lowest of as many random counted tokens as each latent has."""
    token = np.arange(n_sequences * context)
    token = token[token % context > 0]
    token = token[np.argsort(token_priorities(token, context))]
    tokens, values = [], []
    for latent, n, top in zip(
        activity["latent"], activity["n_active"], activity["max"], strict=True
    ):
        rng = np.random.default_rng([seed, k, int(latent), 2])
        drawn = rng.choice(len(token), int(n), replace=False, shuffle=False)
        kept = np.sort(drawn)[:SKETCHED]
        tokens.append(token[kept])
        values.append((top * rng.uniform(0.02, 1, len(kept))).astype(np.float32))
    return {"latent": activity["latent"], "tokens": tokens, "values": values}


def quick_directions(rng: Any, chosen: Any, d_out: int) -> dict[str, Any]:
    """Table `decoder_directions`, all rows at once."""
    rows = rng.standard_normal((len(chosen), d_out), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return {"latent": chosen, "direction": rows.astype(np.float16)}


def quick_sketches(
    rng: Any, activity: dict[str, Any], n_sequences: int, context: int
) -> dict[str, Any]:
    """Table `active_sketch`, all rows at once: tokens that may repeat within a latent's."""
    kept = np.minimum(activity["n_active"], SKETCHED)
    total = int(kept.sum())
    values = rng.uniform(0.02, 1, total) * np.repeat(activity["max"], kept)
    tokens = rng.integers(1, n_sequences * context, total)
    return {
        "latent": activity["latent"],
        "tokens": Ragged.of_lengths(tokens, kept),
        "values": Ragged.of_lengths(values.astype(np.float32), kept),
    }


def metrics(k: int, n_counted: int) -> dict[str, Any]:
    """Table `sae_metrics`."""
    n = min(n_counted, 2048)
    values = [value * (1 - 0.002 * k) for value, _ in METRICS.values()]
    halves = [half for _, half in METRICS.values()]
    return {
        "metric": list(METRICS),
        "value": values,
        "interval": [[v - h, v + h] for v, h in zip(values, halves, strict=True)],
        "n_tokens": [n - 2 if name.endswith("_usual") else n for name in METRICS],
        "n_sequences": [20] * len(METRICS),
    }
