"""Which of the report's latents are active on the prompt, and where."""

from __future__ import annotations

from saereport.site.blocks import Block, base
from saereport.site.circuits.names import data_path, prompt_page
from saereport.site.circuits.view import PromptView
from saereport.site.panels.registry import prompt_panel

N_LATENTS = 60
"""Latents that are named without scripts."""

LINES = base(
    "prompt.activations",
    b="lines",
    y="activation",
    summary="{n} of the report's latents are active on this prompt; the strongest are drawn, from "
    "the sixth on dotted. Another prompt's are dashed, aligned by position.",
    overlay="Lay another prompt over it",
    told=["latent, at its peak", "peak", "position: activation"],
)


@prompt_panel("activations", "Activations over the prompt", "prompt_activations")
def activations(view: PromptView) -> list[Block]:
    """One line a latent, the largest first."""
    rows = sorted(
        view.rows("prompt_activations"),
        key=lambda row: (-max(row["values"], default=0.0), row["sae"], row["latent"]),
    )
    if not rows:
        return []
    series = []
    for row in rows:
        values = row["values"]
        peak = max(range(len(values)), key=lambda p: (values[p], -p))
        name = view.names.latent(row["sae"], row["latent"], view.data, peak)
        key = f"{row['sae']}.{row['latent']}"
        series.append({"key": key, "name": name.cell, "values": values})
    return [
        LINES(
            v={"n": len(rows)},
            labels=view.labels(),
            series=series,
            overlays=[
                [data_path(slug), prompt_page(slug), name] for slug, name in view.others.items()
            ],
        )
    ]
