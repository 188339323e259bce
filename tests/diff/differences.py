"""Hand-made comparisons for the tests of gates and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from saereport.diff.measured import Measured
from saereport.diff.metrics import METRICS
from saereport.diff.model import (
    ChangedFact,
    Difference,
    EdgeChange,
    Items,
    LatentChange,
    Pairs,
    PromptDifference,
    SaeDifference,
    Side,
    Value,
)

NAN = float("nan")


def value(metric: str, before: float | None, after: float | None, size: float) -> Value:
    return Value(metric, before, after, size, METRICS[metric].tolerance)


def pairs(n: int = 4) -> Pairs:
    """Latents 0, 10, 20, ...; the densities of latent 10 and the histogram of latent 20 differ."""
    latents = np.arange(n) * 10
    before = np.full(n, 0.001)
    after = before.copy()
    after[1] = 0.004
    jsd = np.full(n, 0.01)
    jsd[2] = 0.5
    return Pairs(
        latents,
        latents,
        np.ones(n),
        {"density": np.abs(np.log2(after / before)), "histogram.jsd": jsd},
        {"density": before},
        {"density": after},
    )


def change(latent: int, label: str = "", tokens: Sequence[str] = (" if", "␣iff")) -> LatentChange:
    return LatentChange(
        latent,
        latent,
        1.0,
        (value("density", 0.001, 0.004, 2.0), value("top_tokens.rbo", None, None, 0.6)),
        (Items("top_tokens.rbo", tuple(tokens), (*tokens[1:], "␣new")),),
        label,
        2.5,
    )


def sae(slug: str = "resid-l10", label: str = "resid 10", hostile: str = "") -> SaeDifference:
    tokens = (hostile, hostile) if hostile else (" if", "␣iff")
    return SaeDifference(
        slug,
        slug,
        hostile or label,
        False,
        "index",
        (
            value("l0", 40.0, 44.0, 0.1),
            value("density.jsd", None, None, 0.2),
            value("ce_recovered", 0.97, 0.96, 0.01),
        ),
        pairs(),
        (change(10, hostile or "words for if", tokens), change(20, hostile)),
        (),
        (30,),
        not_compared={"neighbours.rbo": "the SAEs differ"},
    )


def edge(size: float = 0.3, early: str = 'resid-l10/3 @2 " iff"') -> EdgeChange:
    return EdgeChange("gradient", early, "resid-l12/4", 0.5, -0.2, "sign", size)


def prompt(slug: str = "capital", hostile: str = "") -> PromptDifference:
    return PromptDifference(
        slug,
        hostile or "The capital of France",
        (value("answer.probability", 0.5, 0.4, 0.1), value("edges.sign", None, None, 1.0)),
        (edge(early=hostile) if hostile else edge(), edge(0.1)),
    )


def difference(hostile: str = "") -> Difference:
    """Two changed latents, one removed, settings, an edge that turned, an SAE that came."""
    return Difference(
        Side(hostile or "main:site", hostile or "Before", "a" * 64, "0.1.0"),
        Side(hostile or "report", hostile or "After", "b" * 64, "0.1.0"),
        False,
        (
            ChangedFact("configuration", "examples.top", hostile or "20", "30", True),
            ChangedFact("libraries", "numpy", "2.1", hostile or "2.2", False),
        ),
        (sae(hostile=hostile),),
        saes_added=("mlp-l3",),
        prompts=(prompt(hostile=hostile),),
    )


def unchanged() -> Difference:
    """Two runs between which nothing lies beyond noise."""
    whole = difference()
    same = replace(
        whole.saes[0],
        values=(value("l0", 40.0, 40.0, 0.0),),
        changed=(),
        removed=(),
        not_compared={},
    )
    return replace(whole, facts=(), saes=(same,), saes_added=(), prompts=())


def measured() -> Measured:
    """What the report after says by itself, with an SAE that the one before has not."""
    return Measured(
        {"resid-l10": {"l0": 44.0, "ce_recovered": 0.96}, "mlp-l3": {"l0": 12.0}},
        {
            "resid-l10": (np.array([0, 10, 20]), {"density": np.array([0.001, 0.004, 0.001])}),
            "mlp-l3": (np.array([5]), {"density": np.array([0.2])}),
        },
        {"capital": {"answer.probability": 0.4}},
    )
