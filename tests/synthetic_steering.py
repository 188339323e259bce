"""Synthetic steering of two latents of the first SAE, for runs of `tests.synthetic`."""

from __future__ import annotations

from typing import Any

from saereport.run import RunWriter
from tests.site.test_steering import HOSTILE, strengths, texts, windows
from tests.synthetic import Shape


def steering(writer: RunWriter, shape: Shape, shown: dict[str, Any]) -> None:
    """All tables of steering."""
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
    writer.write("steering_windows", windows(latents, known, 2.0, (3, 7)), slug=slug)
    writer.write("steering_strengths", strengths(latents), slug=slug)
    writer.write("steered_texts", texts(latents, known), slug=slug)
