"""Attention heads: which ones an attention latent speaks for, and what others bring to it."""

from __future__ import annotations

from saereport.site import numbers
from saereport.site.blocks import Block, base
from saereport.site.context import LatentView
from saereport.site.panels.registry import panel

SHARES = base(
    "heads.shares",
    b="bars",
    title="Share of each head in the decoder",
    summary="Bar chart of the share of {n} heads; head {head} has the largest share, {share}.",
    views=[
        {
            "label": "",
            "columns": ["head", "share"],
            "data": [{"type": "bar", "meta": "accent", "hoverinfo": "none", "x0": 0, "dx": 1}],
            "layout": {
                "bargap": 0.2,
                "xaxis": {"title": {"text": "head"}, "dtick": 1},
                "yaxis": {"title": {"text": "share"}, "rangemode": "tozero", "tickformat": ".0%"},
            },
        }
    ],
)
_LIST = {"b": "tokens", "columns": ["score"], "formats": ["value"], "bar": 0}
EXCITED = base("heads.top", **_LIST)
NOTE = base(
    "heads.note",
    b="text",
    text="Tokens that excite the latent when the head attends to them, for the heads through which "
    "it reads most strongly.",
)
GRID = base("heads", b="grid")


@panel("heads", "Attention heads", "head_shares", "head_deembedding", wide=True)
def heads(latent: LatentView) -> list[Block]:
    """Head shares, then one token list per strong head."""
    blocks: list[Block] = []
    if len(latent.rows("head_shares")):
        shares = latent.rows("head_shares")["shares"][0]
        best = max(range(len(shares)), key=shares.__getitem__)
        blocks.append(
            SHARES(
                v={"n": len(shares), "head": best, "share": numbers.percent(shares[best])},
                views=[{"data": [{"y": shares}]}],
            )
        )
    rows = latent.rows("head_deembedding")
    if len(rows):
        names = ("layer", "head", "strength", "top_tokens", "top_values")
        ordered = sorted(rows.each(*names), key=lambda row: (-row[2], row[0], row[1]))
        lists = [
            EXCITED(
                title=f"L{layer}H{head} · strength {numbers.value(strength)}",
                rows=[list(pair) for pair in zip(tokens, values, strict=True)],
            )
            for layer, head, strength, tokens, values in ordered
        ]
        blocks += [NOTE(), GRID(blocks=lists)]
    return blocks
