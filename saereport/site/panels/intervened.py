"""What ablating and clamping the latent does to the answers of the report's prompts."""

from __future__ import annotations

from saereport.site import numbers
from saereport.site.blocks import Block, base
from saereport.site.circuits.names import prompt_page
from saereport.site.context import LatentView
from saereport.site.interventions import TABLE, change, multiples, on_prompts, one_latent, setting
from saereport.site.panels.registry import Panel, register
from saereport.util.visible import visible_text

NAME_LENGTH = 60
WHAT = base(
    "intervened",
    b="table",
    title="Change of the answer's logit minus that of the likeliest other token; the answer's "
    "probability then",
)


def intervened(latent: LatentView) -> list[Block]:
    """A row for each prompt on which the latent was set."""
    report = latent.sae.report
    if latent.blind == "redacted" or not report.latent_run.has(TABLE):
        return []
    found = on_prompts(report.latent_run).get((latent.sae.info.slug, latent.index), {})
    if not found:
        return []
    prompts = {row["prompt"]: row for row in report.run.table("prompts").to_pylist()}
    wholes = {number: one_latent(rows)[0] for number, rows in sorted(found.items())}
    columns = multiples(wholes.values())
    rows = []
    for number, whole in wholes.items():
        if number not in prompts or not whole:
            continue
        name, any_row = visible_text(prompts[number]["name"]), next(iter(whole.values()))
        short = name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 1]}…"
        rows.append(
            [
                {"text": short, "href": prompt_page(prompts[number]["slug"])},
                numbers.value(any_row["activation"]),
                numbers.percent(any_row["probability_before"]),
                *(change(whole.get(one)) for one in columns),
            ]
        )
    head = ["prompt", "activation", "answer", *map(setting, columns)]
    return [WHAT(columns=head, rows=rows)] if rows else []


register(
    Panel(
        "intervened", "Ablated and clamped on prompts", (TABLE,), intervened, wide=True, text=True
    )
)
