"""The pre-activation on top examples as a sum over the model's parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, fsum, log10
from typing import Any

from saereport.site import numbers
from saereport.site.blocks import Block, base
from saereport.site.context import LatentView
from saereport.site.jsonwriter import Exact
from saereport.site.panels.registry import panel

STEPS = 3
"""Decimal places that are kept below the leading digit of the largest part."""

NOTE = (
    "{about}: embedding {embedding} + heads {heads} + MLPs {mlps} + bias {bias} = "
    "pre-activation {total}, with the norm's scale held fixed."
)
FIGURE = base(
    "components",
    b="heatmap",
    title="What each part of the model adds to the pre-activation",
    choice="which example",
    summary="Heatmap of heads and MLPs by layer, mean over {n} top examples; the largest part is "
    "{part}, {value}. All parts with embedding and bias sum to the pre-activation.",
    missing="computed after what the latent reads",
    alike=True,
    views=[{"x": "layer", "note": NOTE}],
)


@dataclass(frozen=True)
class Parts:
    """A pre-activation as a sum.

    Attributes:
        embedding: What the embedding adds.
        bias: What the latent's bias and the norms' add.
        total: The pre-activation.
        heads: What each head adds, layer by layer.
        mlps: What each layer's MLP adds.
    """

    embedding: float
    bias: float
    total: float
    heads: Sequence[float]
    mlps: Sequence[float]


@panel("components", "What its examples are made of", "example_components", wide=True)
def components(latent: LatentView) -> list[Block]:
    """One figure: the mean over the examples, then each of them."""
    names = ("embedding", "bias", "pre_activation", "heads", "mlps", "activation")
    rows = list(latent.rows("example_components").each(*names))
    if not rows:
        return []
    n_heads = latent.sae.report.info.model.n_heads
    average = Parts(*(_mean([row[i] for row in rows]) for i in range(5)))
    part, value = _largest(grid(average.heads, average.mlps, n_heads))
    about = f"Mean over {numbers.plural(len(rows), 'example')}"
    views = [heatmap_view("mean", about, average, n_heads)]
    for number, (*parts, activation) in enumerate(rows, 1):
        about = f"Example {number}, activation {numbers.value(activation)}"
        views.append(heatmap_view(str(number), about, Parts(*parts), n_heads))
    # The other views are alike: their rows and columns are those of the first.
    views[1:] = [{k: v for k, v in view.items() if k not in _AXES} for view in views[1:]]
    return [FIGURE(v={"n": len(rows), "part": part, "value": value}, views=views)]


_AXES = ("rows", "columns")


def heatmap_view(label: str, about: str, parts: Parts, n_heads: int) -> Block:
    """Heads and MLPs by layer, with `about` before the sum in words; see `NOTE`."""
    values = grid(parts.heads, parts.mlps, n_heads)
    most = max((abs(v) for line in values for v in line if v), default=1.0)
    unit = 10.0 ** (floor(log10(most)) - STEPS)
    return {
        "label": label,
        "rows": [*(f"H{head}" for head in range(n_heads)), "MLP"],
        "columns": [f"L{layer}" for layer in range(len(values[0]))],
        "unit": Exact(unit),
        "v": {
            "about": about,
            "embedding": parts.embedding,
            "bias": parts.bias,
            "total": parts.total,
            "heads": fsum(parts.heads),
            "mlps": fsum(parts.mlps),
        },
        "z": [[None if v is None else round(v / unit) for v in line] for line in values],
    }


def grid(heads: Sequence[float], mlps: Sequence[float], n_heads: int) -> list[list[float | None]]:
    """Parts as rows `H0` to `MLP` over layers; None where the latent reads before the part."""
    layers = max(-(-len(heads) // n_heads), len(mlps))
    rows: list[list[float | None]] = [
        [
            heads[at] if (at := layer * n_heads + head) < len(heads) else None
            for layer in range(layers)
        ]
        for head in range(n_heads)
    ]
    return [*rows, [mlps[layer] if layer < len(mlps) else None for layer in range(layers)]]


def _largest(values: list[list[float | None]]) -> tuple[str, float]:
    names = [*(f"H{head}" for head in range(len(values) - 1)), "MLP"]
    found = [
        (abs(value), -layer, -place, value)
        for place, line in enumerate(values)
        for layer, value in enumerate(line)
        if value is not None
    ]
    if not found:
        return "the embedding", 0.0
    _, layer, place, value = max(found)
    return f"L{-layer} {names[-place]}", value


def _mean(column: list[Any]) -> Any:
    if isinstance(column[0], list):
        return [fsum(values) / len(column) for values in zip(*column, strict=True)]
    return fsum(column) / len(column)
