"""Direct latent attribution on top examples: by source token and by head."""

from __future__ import annotations

from saereport.site.blocks import Block, base
from saereport.site.context import LatentView
from saereport.site.panels.peaks import PEAKS, peaks
from saereport.site.panels.registry import panel
from saereport.site.records import AttributionRow

EXAMPLES = base(
    "attribution",
    b="attribution",
    note="What each source token and each head adds to the pre-activation at the marked token: "
    "attention times what is moved. Sources plus bias, and heads plus bias, are the "
    "pre-activation. The first coloured token stands for everything before it too.",
)


@panel("attribution", "Which tokens and heads its examples came from", "example_heads", wide=True,
       hides=PEAKS)  # fmt: skip
def attribution(latent: LatentView) -> list[Block]:
    """The strongest examples with their sources highlighted and their heads as bars."""
    where = peaks(latent)
    names = ("activation", "pre_activation", "bias", "heads", "start", "sources")
    rows = [
        AttributionRow(activation, total, bias, heads, start - position, sources, where.get(rank))
        for rank, position, activation, total, bias, heads, start, sources in latent.rows(
            "example_heads"
        ).each("rank", "position", *names)
    ]
    return [EXAMPLES(layer=latent.sae.info.layer, examples=rows)] if rows else []
