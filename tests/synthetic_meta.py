"""Synthetic meta-SAEs, for runs of `tests.synthetic`."""

from __future__ import annotations

from typing import Any

import numpy as np

from saereport.run import RunWriter
from saereport.run.geometry import N_BINS
from tests.synthetic import Extra, Shape

NAMES, N_META, USED = ("first-meta", "second-meta"), 12, 9
LABEL = "<b>meta</b> SAE"


def meta_saes(names: tuple[str, ...] = NAMES, *, without: tuple[int, ...] = ()) -> Extra:
    """All tables of every SAE.

    Args:
        names: The meta-SAEs of each.
        without: SAEs, by place, that have none.
    """

    def write(writer: RunWriter, shape: Shape, shown: dict[str, Any]) -> None:
        rng = np.random.default_rng([shape.seed, 23])
        for place, (slug, latents) in enumerate(shown.items()):
            if place in without:
                continue
            made: dict[str, list[dict[str, Any]]] = {
                "meta_saes": [_summary(rng, shape, name) for name in names],
                "meta_latents": [
                    _latent(rng, shape, name, k, latents) for name in names for k in range(USED)
                ],
                "meta_parts": [_parts(rng, int(x), name) for x in latents for name in names],
                "meta_extremes": [
                    _extreme(rng, shape, name, end, rank, latents)
                    for name in names
                    for end in ("best", "least")
                    for rank in range(3)
                ],
                "meta_words": [
                    {"latent": x, "tokens": _tokens(rng, shape, 6)} for x in range(shape.d_sae)
                ],
            }
            for table, rows in made.items():
                columns = {column: [row[column] for row in rows] for column in rows[0]}
                writer.write(table, columns, slug=slug)

    return write


def _tokens(rng: Any, shape: Shape, n: int) -> list[int]:
    return [int(t) for t in rng.choice(np.arange(1, shape.n_vocabulary), n, replace=False)]


def _summary(rng: Any, shape: Shape, name: str) -> dict[str, Any]:
    explained = float(rng.uniform(0.4, 0.6))
    return {
        "meta": name,
        "label": f"{LABEL} {name}",
        "architecture": "topk",
        "weights": "0" * 64,
        "rows": "unit",
        "n_latents": shape.d_sae - 1,
        "n_without": 1,
        "d": 16,
        "n_meta": N_META,
        "explained": explained,
        "explained_interval": [explained - 0.02, explained + 0.02],
        "explained_other": explained + 0.1,
        "explained_chance": 0.1,
        "n_chance": shape.d_sae,
        "active": 3.5,
        "active_interval": [3.25, 3.75],
        "active_chance": 2.5,
        "active_width": 1,
        "active_counts": [0, 1, 2, shape.d_sae - 4],
        "of_batches": True,
        "cosine": 0.6,
        "cosine_median": 0.625,
        "cosine_counts": rng.multinomial(shape.d_sae, np.full(N_BINS, 1 / N_BINS)),
        "cosine_chance_counts": rng.multinomial(shape.d_sae, np.full(N_BINS, 1 / N_BINS)),
        "n_dead": N_META - USED,
        "n_single": 1,
        "use_counts": [N_META - USED, 1, USED - 1],
        "well": 0.5,
        "n_well": shape.d_sae // 4,
        "well_chance": 0.0,
        "largest": 0.5,
        "others": 0.05,
        "n_taken": shape.d_sae - 1,
        "no_lens": "",
    }


def _latent(rng: Any, shape: Shape, name: str, number: int, latents: Any) -> dict[str, Any]:
    others = rng.choice(shape.d_sae, 3, replace=False).tolist()
    found = list(dict.fromkeys([int(latents[number % len(latents)]), *others]))
    return {
        "meta": name,
        "number": number,
        "n_active": 40 - number,
        "latents": found,
        "activations": -np.sort(-rng.uniform(0.1, 1, len(found))),
        "top_tokens": _tokens(rng, shape, 4),
        "top_values": [0.4, 0.3, 0.2, 0.1],
        "bottom_tokens": _tokens(rng, shape, 4),
        "bottom_values": [-0.4, -0.3, -0.2, -0.1],
    }


def _parts(rng: Any, latent: int, name: str) -> dict[str, Any]:
    n = latent % 4
    return {
        "latent": latent,
        "meta": name,
        "parts": rng.choice(USED, n, replace=False),
        "activations": rng.uniform(0.1, 1, n),
        "shares": -np.sort(-rng.uniform(-0.05, 0.3, n)),
        "left": rng.uniform(-0.1, 0.9),
        "n_active": n,
        "explained": rng.uniform(-0.1, 0.9),
        "cosine": rng.uniform(0.1, 0.9),
    }


def _extreme(
    rng: Any, shape: Shape, name: str, end: str, rank: int, latents: Any
) -> dict[str, Any]:
    return {
        "meta": name,
        "end": end,
        "rank": rank,
        "latent": int(latents[rank]) if end == "best" else shape.d_sae - 1 - rank,
        "explained": 0.9 - rank / 10 if end == "best" else -0.05 + rank / 10,
        "cosine": 0.5,
        "n_active": 3,
        "parts": [rank, rank + 1],
        "shares": [0.3, -0.01],
    }
