"""A table of latents that are decomposed: the parts add up to the pre-activation."""

from __future__ import annotations

from saereport.site import numbers
from saereport.site.blocks import Block, base
from saereport.site.circuits.view import PromptView

SUMS = base(
    "prompt.sums",
    b="table",
    columns=["latent", "activation", "pre-activation", "bias", "sum of parts and bias"],
    fold={"title": "Table"},
)


def sums(view: PromptView, table: str) -> Block:
    """Each latent of a table: activation, pre-activation, bias, and the sum of the parts."""
    rows, at = [], []
    for r in view.rows(table):
        parts = [*r.get("values", []), *r.get("heads", []), *r.get("mlps", [])]
        total = sum(parts) + r.get("embedding", 0.0) + r["bias"]
        cells = (r["activation"], r["pre_activation"], r["bias"], total)
        name = view.names.latent(r["sae"], r["latent"], view.data, r["position"])
        rows.append([name.cell, *map(numbers.value, cells)])
        at.append([r["position"]])
    return SUMS(rows=rows, at=at)
