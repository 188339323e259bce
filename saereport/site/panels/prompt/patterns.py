"""Attention patterns of the heads that matter most to the latents of the prompt."""

from __future__ import annotations

from saereport.site.blocks import Block, base
from saereport.site.circuits.view import PromptView
from saereport.site.panels.registry import prompt_panel

HEATMAP = base(
    "prompt.patterns",
    b="heatmap",
    choice="which head",
    missing="a later token, which is not attended to",
    summary="Attention of the heads that matter most to the latents above, destination (rows) by "
    "source (columns): {heads}.",
)


@prompt_panel("patterns", "Attention patterns", "patterns")
def patterns(view: PromptView) -> list[Block]:
    """For each head, destination by source."""
    rows = view.rows("patterns")
    if not rows:
        return []
    labels = view.labels()
    n = len(labels)
    starts = [p * (p + 1) // 2 for p in range(n + 1)]
    heads = [f"L{row['layer']}.H{row['head']}" for row in rows]
    views = [
        {
            "label": head,
            "columns": labels,
            "rows": labels,
            "z": [
                [*row["values"][starts[p] : starts[p + 1]], *[None] * (n - p - 1)] for p in range(n)
            ],
        }
        for head, row in zip(heads, rows, strict=True)
    ]
    return [HEATMAP(v={"heads": ", ".join(heads)}, views=views)]
