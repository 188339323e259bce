"""Which latents of earlier SAEs and transcoders of this report push this one up or down."""

from __future__ import annotations

from saereport.site.blocks import Block, base
from saereport.site.context import LatentView
from saereport.site.panels.registry import panel
from saereport.site.panels.related import linked

_LIST = {"b": "latents", "columns": ["pullback"], "formats": ["value"], "bar": 0}
UP = base("pullbacks.top", **_LIST)
DOWN = base("pullbacks.bottom", **_LIST)
GRID = base("pullbacks", b="grid")


@panel("pullbacks", "Read from earlier latents", "pullbacks", wide=True)
def pullbacks(latent: LatentView) -> list[Block]:
    """For each earlier SAE the latents with the largest and smallest pullback."""
    labels = {sae.slug: sae.label for sae in latent.sae.report.info.saes}
    order = {slug: place for place, slug in enumerate(labels)}
    names = ("early", "top_latents", "top_values", "bottom_latents", "bottom_values")
    rows = sorted(latent.rows("pullbacks").each(*names), key=lambda r: order.get(r[0], len(order)))
    blocks: list[Block] = []
    for early, *values in rows:
        label = labels.get(early, early)
        top = list(zip(values[0], values[1], strict=True))
        bottom = list(zip(values[2], values[3], strict=True))
        pair = [
            make(sae=early, title=f"{label}: {verb}", rows=linked(latent.sae, early, found))
            for make, verb, found in ((UP, "push up", top), (DOWN, "push down", bottom))
            if found
        ]
        blocks.append(GRID(blocks=pair))
    return blocks
