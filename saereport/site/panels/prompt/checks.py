"""How well gradients predict what interventions measure, map by map."""

from __future__ import annotations

from saereport.site.blocks import Block, base
from saereport.site.circuits import tables as say
from saereport.site.circuits.view import PromptView
from saereport.site.panels.registry import prompt_panel

_ROLES = {"tokens": "quiet", "latents": "accent", "logits": "act"}
SCATTER = base(
    "prompt.checks",
    b="scatter",
    x="predicted change",
    y="measured change",
    diagonal="as predicted",
    roles={
        "quiet": "tokens to latents",
        "accent": "latents to latents",
        "act": "latents to logits",
    },
    told=False,
    summary="{n} edges: the earlier latent was set to zero in the true model. {opposite} have the "
    "opposite sign, {off} are off by more than a factor of two. Points on the diagonal are as the "
    "gradient predicts. The correlation r of predicted and measured change is given for each map: "
    "between maps the scales differ.",
)
BY_MAP = base(
    "prompt.checks.maps",
    b="table",
    columns=["map", "edges", "r", "opposite sign", "off by more than twice"],
)


@prompt_panel("checks", "Checked by intervention", "gradient_checks")
def checks(view: PromptView) -> list[Block]:
    """The checks of all maps in one figure, and a row for each map."""
    found = [(some, say.check_values(some)) for some in view.data.maps]
    found = [(some, values) for some, values in found if values]
    if not found:
        return []
    n, _, opposite, off = say.check_cells([pair for _, values in found for pair in values])
    return [
        SCATTER(
            v={"n": n, "opposite": opposite, "off": off},
            series=[
                {
                    "name": say.title(view.names, some),
                    "role": _ROLES[some.kind],
                    "points": [list(pair) for pair in values],
                }
                for some, values in found
            ],
        ),
        BY_MAP(
            rows=[[say.title(view.names, some), *say.check_cells(values)] for some, values in found]
        ),
    ]
