"""The pre-activation on top examples as a sum over the model's parts."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, fsum, log10
from typing import Any

from saereport.site import numbers
from saereport.site.blocks import Block, base
from saereport.site.context import Latent
from saereport.site.jsonwriter import Exact
from saereport.site.panels.registry import panel

STEPS = 3
"""Decimal places that are kept below the leading digit of the largest part."""

FIGURE = base(
    "components",
    b="figure",
    title="What each part of the model adds to the pre-activation",
    choice="which example",
    summary="Heatmap of heads and MLPs by layer, mean over {n} top examples; the largest part is "
    "{part}, {value}. All parts with embedding and bias sum to the pre-activation.",
    alike=True,
    views=[
        {
            "prefix": "L",
            "note": "{about}: embedding {embedding} + heads {heads} + MLPs {mlps} + bias {bias} = "
            "pre-activation {total}, with the norm's scale held fixed.",
            "data": [{"type": "heatmap", "hoverinfo": "none", "x0": 0, "dx": 1}],
            "layout": {
                "xaxis": {"title": {"text": "layer"}, "dtick": 1, "ticks": ""},
                "yaxis": {
                    "type": "category",
                    "autorange": "reversed",
                    "showgrid": False,
                    "ticks": "",
                },
            },
        }
    ],
)


@panel("components", "What its examples are made of", "example_components", wide=True)
def components(latent: Latent) -> list[Block]:
    """One figure: the mean over the examples, then each of them."""
    names = ("embedding", "bias", "pre_activation", "activation", "heads", "mlps")
    rows = list(latent.rows("example_components").each(*names))
    if not rows:
        return []
    n_heads = latent.sae.report.info.model.n_heads
    average = tuple(_mean([row[i] for row in rows]) for i in range(len(names)))
    shown = grid(average[4], average[5], n_heads)
    part, value = _largest(shown)
    views = [_view("mean", f"Mean over {numbers.plural(len(rows), 'example')}", average, n_heads)]
    for number, row in enumerate(rows, 1):
        about = f"Example {number}, activation {numbers.value(row[3])}"
        views.append(_view(str(number), about, row, n_heads))
    views[0]["data"][0]["y"] = _names(n_heads)
    return [FIGURE(v={"n": len(rows), "part": part, "value": value}, views=views)]


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


def _names(n_heads: int) -> list[str]:
    return [*(f"H{head}" for head in range(n_heads)), "MLP"]


def _view(label: str, about: str, row: Sequence[Any], n_heads: int) -> Block:
    embedding, bias, total, _, heads, mlps = row
    values = grid(heads, mlps, n_heads)
    most = max((abs(v) for line in values for v in line if v), default=1.0)
    unit = 10.0 ** (floor(log10(most)) - STEPS)
    whole = [[None if v is None else round(v / unit) for v in line] for line in values]
    sums = {"embedding": embedding, "bias": bias, "total": total}
    return {
        "label": label,
        "unit": Exact(unit),
        "v": {"about": about, **sums, "heads": fsum(heads), "mlps": fsum(mlps)},
        "data": [{"z": whole}],
    }


def _largest(values: list[list[float | None]]) -> tuple[str, float]:
    names = _names(len(values) - 1)
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
