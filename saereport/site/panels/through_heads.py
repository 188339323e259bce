"""Which tokens, moved by the heads of the top examples, would excite the latent."""

from __future__ import annotations

from saereport.site import numbers
from saereport.site.blocks import Block, base
from saereport.site.context import LatentView
from saereport.site.panels.logits import token_pair
from saereport.site.panels.registry import panel

_LIST = {"b": "tokens", "columns": ["score"], "formats": ["value"], "bar": 0}
EXCITED = base("through_heads.top", **_LIST)
INHIBITED = base("through_heads.bottom", **_LIST)
NOTE = base(
    "through_heads.note",
    b="text",
    text="From the weights alone: the heads that add most on its top examples, and which tokens "
    "would excite or inhibit it most if such a head moved them.",
)
GRID = base("through_heads", b="grid")


@panel("through_heads", "What it reads through heads", "example_head_deembedding", wide=True)
def through_heads(latent: LatentView) -> list[Block]:
    """For each head, in the order of the table, what excites and what inhibits through it."""
    names = ("top_tokens", "top_values", "bottom_tokens", "bottom_values")
    blocks: list[Block] = []
    for layer, head, mean, *lists in latent.rows("example_head_deembedding").each(
        "layer", "head", "mean", *names
    ):
        name = f"L{layer}H{head}, mean {numbers.value(mean)}"
        pair = token_pair(dict(zip(names, lists, strict=True)), EXCITED, INHIBITED)
        for block, verb in zip(pair, ("excited by", "inhibited by"), strict=True):
            blocks.append({**block, "title": f"{name}: {verb}"})
    return [NOTE(), GRID(blocks=blocks)] if blocks else []
