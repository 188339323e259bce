"""Induction on repeated random tokens: latents that stay active, and what reaches them."""

from __future__ import annotations

from saereport.site import numbers
from saereport.site.blocks import Block, base
from saereport.site.circuits import tables as say
from saereport.site.circuits.prompts_data import GradientPairs
from saereport.site.circuits.tables import Name
from saereport.site.circuits.view import PromptView
from saereport.site.panels.registry import prompt_panel

HEATMAP = base(
    "prompt.induction",
    b="heatmap",
    summary="What reaches these latents from the first half; outlined cells are where induction is "
    "expected, from the token after the earlier occurrence.",
    choice="which map",
    missing="no pair, or not among the pairs kept",
    outline="where induction is expected",
)


@prompt_panel("induction", "Induction", "induction_latents")
def induction(view: PromptView) -> list[Block]:
    """The blocks of the maps that lead from the first half to latents of the second."""
    rows = sorted(view.rows("induction_latents"), key=lambda r: (r["sae"], -r["mean"]))
    views = [found for some in view.data.maps if (found := _view(view, some))]
    views = views if view.data.period else []
    if not rows and not views:
        return []
    names = view.names
    lasting = [
        [
            Name(
                f"{names.sae(r['sae'])}.{r['latent']}",
                names.href(r["sae"], r["latent"]),
                names.gloss(r["sae"], r["latent"]),
            ).cell,
            numbers.value(r["mean"]),
        ]
        for r in rows
    ]
    active = numbers.plural(len(rows), "latent is", "latents are")
    return [
        {
            "b": "text",
            "text": f"{active} active on every counted position of the second half.",
        },
        *([HEATMAP(views=views)] if views else []),
        {
            "b": "table",
            "columns": ["latent", "mean activation"],
            "rows": lasting,
            "fold": {"title": "Latents active throughout the second half", "open": True},
        },
    ]


def _view(view: PromptView, some: GradientPairs) -> Block | None:
    data = view.data
    lasting = {(r["sae"], r["latent"]) for r in view.rows("induction_latents")}
    half = int(data.head["first"]) + data.period
    block = [
        p
        for p in some.pairs
        if some.kind == "latents"
        and (some.late, p["late_latent"]) in lasting
        and p["early_position"] < half <= p["late_position"]
    ]
    if not block:
        return None
    early = sorted({(p["early_position"], p["early_latent"]) for p in block})
    late = sorted({(p["late_position"], p["late_latent"]) for p in block})
    z: list[list[float | None]] = [[None] * len(early) for _ in late]
    for p in block:
        column = early.index((p["early_position"], p["early_latent"]))
        z[late.index((p["late_position"], p["late_latent"]))][column] = p["gradient"]

    def name(slug: str, position: int, latent: int) -> str:
        return view.at({"sae": slug, "latent": latent, "position": position})

    return {
        "label": say.title(view.names, some),
        "columns": [name(some.early, *end) for end in early],
        "rows": [name(some.late, *end) for end in late],
        "z": z,
        "outlined": [
            [x, y]
            for y, (later, _) in enumerate(late)
            for x, (sooner, _) in enumerate(early)
            if data.expects(sooner, later)
        ],
    }
