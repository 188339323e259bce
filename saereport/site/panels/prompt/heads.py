"""What each attention head brings to a latent, from which token."""

from __future__ import annotations

from saereport.site.blocks import Block, base
from saereport.site.circuits.view import PromptView
from saereport.site.panels.prompt.sums import sums
from saereport.site.panels.registry import prompt_panel

HEATMAP = base(
    "prompt.heads",
    b="heatmap",
    choice="which latent",
    summary="Direct latent attribution by head and source token. The token strip shows the "
    "sources: blue raises, red lowers.",
)


@prompt_panel("heads", "What each head brings", "head_attributions")
def heads(view: PromptView) -> list[Block]:
    """For each latent and position, heads by source tokens."""
    rows = view.rows("head_attributions")
    if not rows:
        return []
    labels = view.labels()
    views = []
    for row in rows:
        n = row["position"] + 1
        z = [list(row["values"][i : i + n]) for i in range(0, len(row["values"]), n)]
        views.append(
            {
                "label": view.at(row),
                "columns": labels[:n],
                "rows": [f"head {head}" for head in range(len(z))],
                "z": z,
                "strip": [sum(column) for column in zip(*z, strict=True)],
            }
        )
    words = [view.token(position) for position in range(len(view.data.tokens))]
    return [HEATMAP(views=views, words=words), sums(view, "head_attributions")]
