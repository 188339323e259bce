"""The scales of colours, as they are seen by people with normal and with dichromatic sight.

Dichromacy is simulated with the matrices of Machado, Oliveira and Fernandes (2009), full severity,
on linear RGB; distances are Euclidean in CIELAB (D65), where 2.3 is just noticeable.
"""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from saereport.site.assets import templates

Array = npt.NDArray[np.float64]
SIGHT = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
THEMES = ("light", "dark")


def colours() -> dict[str, dict[str, str]]:
    text = (templates() / "static" / "tokens.css").read_text("utf-8")
    pairs = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", text)
    return {theme: {name: both[i] for name, *both in pairs} for i, theme in enumerate(THEMES)}


def lab(colour: str, sight: str) -> Array:
    encoded = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    seen = np.clip(SIGHT[sight] @ linear, 0, 1)
    share = (TO_XYZ @ seen) / (TO_XYZ @ np.ones(3))
    f = np.where(share > (6 / 29) ** 3, np.cbrt(share), share / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(one: str, other: str, sight: str) -> float:
    return float(np.linalg.norm(lab(one, sight) - lab(other, sight)))


def test_the_simulation_is_the_published_one() -> None:
    """Red and green of equal lightness: far apart for most, close without one kind of cone."""
    pair = ("#c25b52", "#7d8a3c")
    assert distance(*pair, "normal") > 55
    assert distance(*pair, "deuteranopia") < 25
    assert lab("#ffffff", "normal") == pytest.approx([100, 0, 0], abs=0.1)
    for sight in SIGHT:
        assert distance("#ffffff", "#000000", sight) == pytest.approx(100, abs=0.5)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("sight", SIGHT)
def test_up_and_down_are_told_apart(theme: str, sight: str) -> None:
    own = colours()[theme]
    assert distance(own["up"], own["down"], sight) > 40
    for name in ("up", "down"):
        assert distance(own[name], own["raised"], sight) > 40, "the ends differ from zero"


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("sight", SIGHT)
def test_activations_rise_in_lightness_step_by_step(theme: str, sight: str) -> None:
    steps = [lab(colours()[theme][f"a{i}"], sight)[0] for i in range(10)]
    rising = steps if theme == "dark" else steps[::-1]
    assert all(low < high for low, high in pairwise(rising))
    assert rising[-1] - rising[0] > 50
    assert min(high - low for low, high in pairwise(rising)) > 1.5
