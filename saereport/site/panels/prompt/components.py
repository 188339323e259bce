"""The pre-activation of latents on the prompt as a sum over the model's parts."""

from __future__ import annotations

from saereport.site.blocks import Block, base
from saereport.site.circuits.view import PromptView
from saereport.site.panels.components import NOTE, Parts, heatmap_view
from saereport.site.panels.prompt.sums import sums
from saereport.site.panels.registry import prompt_panel

HEATMAP = base(
    "prompt.components",
    b="heatmap",
    choice="which latent",
    summary="What each head and each MLP add to a latent's pre-activation. With the embedding and "
    "the bias, the parts sum to the pre-activation.",
    missing="computed after what the latent reads",
    alike=True,
    views=[{"x": "layer", "note": NOTE}],
)


@prompt_panel("components", "Components", "components")
def components(view: PromptView) -> list[Block]:
    """For each latent and position, heads and MLPs by layer."""
    rows = view.rows("components")
    if not rows:
        return []
    n_heads = view.names.report.info.model.n_heads
    views = [
        heatmap_view(
            view.at(row),
            view.at(row),
            Parts(
                embedding=row["embedding"],
                bias=row["bias"],
                total=row["pre_activation"],
                heads=row["heads"],
                mlps=row["mlps"],
            ),
            n_heads,
        )
        for row in rows
    ]
    return [HEATMAP(views=views), sums(view, "components")]
