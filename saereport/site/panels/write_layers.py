"""What a latent of a cross-layer transcoder writes to each layer that it writes to."""

from __future__ import annotations

from saereport.site import numbers
from saereport.site.blocks import Block, base
from saereport.site.context import LatentView
from saereport.site.panels.registry import panel

NORMS = base(
    "write_layers.norms",
    b="bars",
    title="How much it writes to each layer",
    summary="Bar chart of the norm of what the latent writes to the MLP of each of {n} layers; "
    "layer {layer} gets the most, {norm}.",
    views=[
        {
            "label": "",
            "columns": ["layer", "norm"],
            "data": [{"type": "bar", "meta": "accent", "hoverinfo": "none", "dx": 1}],
            "layout": {
                "bargap": 0.2,
                "xaxis": {"title": {"text": "layer"}, "dtick": 1},
                "yaxis": {"title": {"text": "norm of the write"}, "rangemode": "tozero"},
            },
        }
    ],
)
NOTE = base(
    "write_layers.note",
    b="text",
    text="The latent reads at one layer and writes to the MLP of that layer and of every later "
    "one. The direct effect on the logits above is that of all these writes together; below is "
    "that of each alone.",
)
_LIST = {"b": "tokens", "columns": ["logit"], "formats": ["value"], "bar": 0}
RAISED = base("write_layers.top", title="Raises most", **_LIST)
LOWERED = base("write_layers.bottom", title="Lowers most", **_LIST)
LAYER = base("write_layers", b="grid")


@panel("write_layers", "Writes by layer", "write_layers", wide=True)
def write_layers(latent: LatentView) -> list[Block]:
    """The norm by layer, then the tokens of each layer behind a line that unfolds them."""
    rows = latent.rows("write_layers")
    if not len(rows):
        return []
    layers, norms = [int(layer) for layer in rows["layer"]], [float(n) for n in rows["norm"]]
    best = max(range(len(norms)), key=norms.__getitem__)
    words = {"n": len(layers), "layer": layers[best], "norm": numbers.value(norms[best])}
    drawn = {"x0": layers[0], "y": norms}
    blocks: list[Block] = [NOTE(), NORMS(v=words, views=[{"data": [drawn]}])]
    names = ("layer", "norm", "top_tokens", "top_values", "bottom_tokens", "bottom_values")
    for layer, norm, top, raised, bottom, lowered in rows.each(*names):
        if not len(top):
            continue
        pair = [
            RAISED(rows=[list(row) for row in zip(top, raised, strict=True)]),
            LOWERED(rows=[list(row) for row in zip(bottom, lowered, strict=True)]),
        ]
        fold = {"title": f"Layer {layer}", "note": f"norm {numbers.value(norm)}"}
        blocks.append(LAYER(blocks=pair, fold={**fold, "open": int(layer) == layers[best]}))
    return blocks
