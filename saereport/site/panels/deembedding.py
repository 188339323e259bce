"""What the latent reads: tokens whose embeddings excite it, raw beside extended."""

from __future__ import annotations

from saereport.site.blocks import Block, base
from saereport.site.context import LatentView
from saereport.site.panels.logits import token_pair
from saereport.site.panels.registry import panel

_LIST = {"b": "tokens", "columns": ["score"], "formats": ["value"], "bar": 0}
EXTENDED = (
    base("deembedding.extended.top", title="Extended: excited by", **_LIST),
    base("deembedding.extended.bottom", title="Extended: inhibited by", **_LIST),
)
RAW = (
    base("deembedding.raw.top", title="Raw: excited by", **_LIST),
    base("deembedding.raw.bottom", title="Raw: inhibited by", **_LIST),
)
GRID = base("deembedding", b="grid")


@panel("deembedding", "What it reads", "deembedding", wide=True)
def deembedding(latent: LatentView) -> list[Block]:
    """Extended and raw, most and least."""
    rows = latent.rows("deembedding")
    kinds = {kind: place for place, kind in enumerate(rows["kind"])} if len(rows) else {}
    blocks: list[Block] = []
    for kind, makes in (("extended", EXTENDED), ("raw", RAW)):
        if kind in kinds:
            names = ("top_tokens", "top_values", "bottom_tokens", "bottom_values")
            row = {name: rows[name][kinds[kind]] for name in names}
            blocks += token_pair(row, *makes)
    return [GRID(blocks=blocks)] if blocks else []
