"""Which earlier latents made a latent active, directly or through a head."""

from __future__ import annotations

from saereport.site import numbers
from saereport.site.blocks import Block, base
from saereport.site.circuits.view import PromptView
from saereport.site.panels.registry import prompt_panel

N_INFLUENCES = 60
"""Influences on the page, the strongest of the prompt."""

TABLE = base("prompt.influences", b="table", columns=["earlier", "later", "route", "influence"])


@prompt_panel("influences", "Influences", "influences")
def influences(view: PromptView) -> list[Block]:
    """The strongest influences of the prompt."""
    rows = sorted(
        view.rows("influences"),
        key=lambda r: (-abs(r["value"]), r["sae"], r["latent"], r["position"], r["rank"]),
    )[:N_INFLUENCES]
    if not rows:
        return []
    names, data = view.names, view.data
    return [
        TABLE(
            rows=[
                [
                    names.latent(r["early"], r["early_latent"], data, r["source"]).cell,
                    names.latent(r["sae"], r["latent"], data, r["position"]).cell,
                    "direct" if r["head"] < 0 else f"through L{r['layer']}.H{r['head']}",
                    numbers.value(r["value"]),
                ]
                for r in rows
            ],
            at=[[r["source"], r["position"]] for r in rows],
        )
    ]
