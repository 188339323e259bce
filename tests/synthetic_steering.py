"""Synthetic steering of two latents of the first SAE, for runs of `tests.synthetic`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from saereport.run import RunWriter
from tests.synthetic import Shape

STRENGTHS = (-1.0, 0.0, 2.0, 8.0)
DIFFERENCE = (-0.25, 0.0, 0.75, 0.75)
HOSTILE = "<script>alert(1)</script>\u202e{plain}"


def steering(
    writer: RunWriter,
    shape: Shape,
    shown: dict[str, Any],
    *,
    visible: float = 2.0,
    difference: Sequence[float] = DIFFERENCE,
    top: Sequence[int] = (3, 7),
    words: bool = True,
    directions: bool = True,
) -> None:
    """All tables of steering: two latents, two directions, two prompts, four strengths."""
    slug, chosen = next(iter(shown.items()))
    latents, known = chosen[:2].tolist(), list(range(shape.n_vocabulary))
    writer.write(
        "steering_prompts",
        {
            "prompt": [0, 1],
            "text": ["I think that", HOSTILE],
            "built_in": [True, False],
            "tokens": [known[:2], known[2:4]],
        },
    )
    found = windows(latents, known, visible, top)
    if not words:
        found["words"] = [[], []]
    writer.write("steering_windows", found, slug=slug)
    writer.write("steering_strengths", strengths(latents, difference), slug=slug)
    writer.write("steered_texts", texts(latents, known), slug=slug)
    if directions:
        directed(writer, slug, latents, known, found)


def directed(
    writer: RunWriter, slug: str, latents: list[int], known: list[int], found: dict[str, Any]
) -> None:
    """All tables of two directions: a sum of latents, and a difference of means."""
    shared = {key: column for key, column in found.items() if key not in ("latent", "max")}
    writer.write(
        "steering_directions",
        {
            "direction": [0, 1],
            "name": ["a-sum", "sea"],
            "kind": ["latents", "means"],
            "hooks": [["blocks.3.hook_resid_post", "blocks.4.hook_resid_post"], [HOSTILE]],
            "unit": ["each latent's maximum on the text, times its weight", HOSTILE],
            "saes": [[slug, slug], []],
            "latents": [latents, []],
            "weights": [[1.0, -0.5], []],
            "top_values": [[1.5] * len(row) for row in found["top_tokens"]],
            "bottom_tokens": [[], known[4:6]],
            "bottom_values": [[], [-1.0, -0.5]],
            **shared,
        },
    )
    for name, rows in (
        ("direction_strengths", strengths([0, 1])),
        ("directed_texts", texts([0, 1], known)),
    ):
        kept = {
            ("direction" if key == "latent" else key): column
            for key, column in rows.items()
            if key not in ("n_active", "share_active")
        }
        writer.write(name, kept)
    writer.write(
        "direction_latents",
        {
            "direction": [1] * 2,
            "sae": [slug] * 2,
            "rank": [0, 1],
            "latent": latents,
            "cosine": [0.75, -0.5],
        },
    )
    writer.write(
        "direction_projections",
        {
            "direction": [1],
            "n_tokens": [12],
            "mean": [0.5],
            "std": [1.25],
            "lower": [-2.0],
            "width": [1.0],
            "counts": [[1, 8, 3]],
        },
    )
    writer.write(
        "direction_examples",
        {
            "direction": [1] * 2,
            "side": ["largest", "smallest"],
            "rank": [0, 0],
            "projection": [2.5, -1.5],
            "tokens": [known[:3], known[2:4]],
            "place": [1, 0],
        },
    )


def windows(
    latents: list[int], known: list[int], visible: float, top: Sequence[int]
) -> dict[str, Any]:
    return {
        "latent": latents,
        "form": ["additive"] * 2,
        "positions": ["all", "5 to 19"],
        "max": np.array([3.5, 4.5], np.float32),
        "norm": [12.25, 1.5],
        "top_tokens": [[known[i] for i in top]] * 2,
        "words": [["oh", HOSTILE], []],
        "visible_from": [visible, 0.0],
        "broken_from": [8.0, 0.0],
        "best": [2.0, 0.0],
        "effect": [0.75, 0.0],
        "effect_interval": [[0.05, 0.95], [0.0, 0.0]],
        "perplexity_ratio": [13 / 7, 1.0],
    }


def strengths(latents: list[int], difference: Sequence[float] = DIFFERENCE) -> dict[str, Any]:
    n = len(latents) * len(STRENGTHS)
    return {
        "latent": np.repeat(latents, len(STRENGTHS)),
        "step": list(range(len(STRENGTHS))) * 2,
        "strength": list(STRENGTHS) * 2,
        "n_texts": [4] * n,
        "n_tokens": [12] * n,
        "perplexity": [9.0, 7.0, 13.0, 1e30] * 2,
        "n_with_top": [0, 1, 4, 4] * 2,
        "share_with_top": [0, 0.25, 1.0, 1.0] * 2,
        "n_with_concept": [0, 1, 4, 4] * 2,
        "share_with_concept": [0, 0.25, 1.0, 1.0] * 2,
        "concept_interval": [[0.0, 0.49], [0.05, 0.70], [0.51, 1.0], [0.51, 1.0]] * 2,
        "difference": list(difference) * 2,
        "difference_interval": [[-0.7, 0.29], [0.0, 0.0], [0.05, 0.95], [0.05, 0.95]] * 2,
        "activation": [0.0, 0.5, 1.5, 0.25] * 2,
        "n_active": [0, 2, 4, 1] * 2,
        "share_active": [0.0, 0.5, 1.0, 0.25] * 2,
    }


def texts(latents: list[int], known: list[int]) -> dict[str, Any]:
    keys = [
        (latent, prompt, step, sample)
        for latent in latents
        for prompt in range(2)
        for step in range(len(STRENGTHS))
        for sample in range(2)
    ]
    return {
        "latent": [key[0] for key in keys],
        "prompt": [key[1] for key in keys],
        "step": [key[2] for key in keys],
        "sample": [key[3] for key in keys],
        "strength": [STRENGTHS[key[2]] for key in keys],
        "tokens": [
            [known[(place + i) % len(known)] for i in range(3)] for place in range(len(keys))
        ],
        "perplexity": [float(2 ** key[2]) for key in keys],
        "mean_activation": [0.5 * key[2] for key in keys],
        "max_activation": [1.0 * key[2] for key in keys],
        "n_top_tokens": [key[2] for key in keys],
        "n_concept": [key[2] for key in keys],
    }
