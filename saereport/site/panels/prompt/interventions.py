"""What ablating and clamping latents does to the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from saereport.site import numbers
from saereport.site.blocks import Block, base
from saereport.site.circuits.view import PromptView
from saereport.site.interventions import (
    TABLE,
    Row,
    by_latent,
    change,
    heat,
    largest,
    multiples,
    one_latent,
    setting,
    signed,
)
from saereport.site.panels.registry import prompt_panel

MOST_LATENTS = 40
"""Latents on the page, those with the largest changes."""
DRAWN = base(
    "prompt.interventions",
    b="heatmap",
    choice="what is set",
    summary="Change of the answer's logit minus that of {runner_up}, the likeliest other token: "
    "each latent (row) ablated or clamped by itself, the SAE's error and all else kept. The "
    "largest is {most}.",
    missing="not set",
)


@prompt_panel("interventions", "Latents ablated and clamped", TABLE)
def interventions(view: PromptView) -> list[Block]:
    """A heatmap of settings and one of positions, and a table of the latents."""
    found = {key: one_latent(rows) for key, rows in by_latent(view.rows(TABLE)).items()}
    found = {key: (whole, alone) for key, (whole, alone) in found.items() if whole}
    if not found:
        return []
    order = sorted(found, key=lambda key: (-largest(found[key][0]), key))
    shown = order[:MOST_LATENTS]
    wholes = [found[key][0] for key in shown]
    alones = [found[key][1] for key in shown]
    names = view.names
    labels = [f"{names.sae(slug)}.{latent}" for slug, latent in shown]
    columns = multiples(wholes)
    first = next(iter(wholes[0].values()))
    views = [
        {
            "label": "ablated and clamped",
            "rows": labels,
            "columns": [setting(one) for one in columns],
            "z": heat(wholes, columns),
        }
    ]
    if any(alones):
        views.append(
            {
                "label": "ablated at one position",
                "rows": labels,
                "columns": view.labels(),
                "z": heat(alones, range(len(view.data.tokens))),
            }
        )
    most = max(wholes[0].values(), key=lambda row: abs(row["difference_change"]))
    return [
        DRAWN(
            v={
                "runner_up": names.token(first["runner_up"]),
                "most": f"{signed(most['difference_change'])} ({labels[0]} "
                f"{setting(most['multiple'])})",
            },
            views=views,
        ),
        _table(view, shown, wholes, columns, len(order)),
    ]


def _table(
    view: PromptView,
    shown: list[tuple[str, int]],
    wholes: Sequence[Mapping[float, Row]],
    columns: list[float],
    n_all: int,
) -> Block:
    rows = []
    for (slug, latent), whole in zip(shown, wholes, strict=True):
        href, gloss = view.names.href(slug, latent), view.names.gloss(slug, latent)
        said = {name: text for name, text in (("href", href), ("gloss", gloss)) if text}
        any_row = next(iter(whole.values()))
        rows.append(
            [
                {"text": f"{view.names.sae(slug)}.{latent}", **said},
                numbers.value(any_row["activation"]),
                *(change(whole.get(one)) for one in columns),
            ]
        )
    before = next(iter(wholes[0].values()))["probability_before"]
    note = f"the answer's probability is {numbers.percent(before)} otherwise"
    if n_all > len(shown):
        note += f"; the {len(shown)} of {n_all} latents with the largest changes"
    return {
        "b": "table",
        "title": "Change of the difference, and the answer's probability then",
        "summary": f"Each latent by itself; {note}.",
        "columns": ["latent", "activation", *map(setting, columns)],
        "rows": rows,
    }
