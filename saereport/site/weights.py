"""How the weights of an SAE's latents are distributed, on pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from saereport.site import numbers
from saereport.site.blocks import Block, Cell, base
from saereport.site.context import SaeView
from saereport.site.jsonwriter import Exact
from saereport.util.visible import visible_text

TABLE: Final = "weight_distributions"

TITLES: Final = {
    "encoder_norm": "Encoder norm",
    "encoder_bias": "Encoder bias",
    "decoder_norm": "Decoder norm",
    "encoder_decoder_cosine": "Cosine of encoder and decoder",
    "largest_decoder_cosine": "Largest cosine of decoders",
}
"""Every quantity in the order of the pages."""

DISTRIBUTION = base(
    "evaluation.weights",
    b="bars",
    log="y",
    views=[
        {
            "label": "",
            "columns": ["from", "to", "latents"],
            "data": [{"type": "bar", "meta": "accent", "hoverinfo": "none"}],
            "layout": {
                "bargap": 0.06,
                "xaxis": {"title": {"text": ""}},
                "yaxis": {"title": {"text": "latents"}, "rangemode": "tozero"},
            },
        }
    ],
)

Row = Mapping[str, Any]


def distributions_of(sae: SaeView) -> dict[str, Row]:
    """The rows of the table by quantity, in the order of the pages."""
    if TABLE not in sae.tables:
        return {}
    rows = {row["quantity"]: row for row in sae.report.run.table(TABLE, sae.info.slug).to_pylist()}
    return {name: rows[name] for name in TITLES if name in rows}


def is_measured(row: Row) -> bool:
    """Whether a row has a distribution, and not only a reason."""
    return bool(row["counts"]) and len(row["quantiles"]) == 5 and row["width"] > 0


def blocks(sae: SaeView) -> list[Block]:
    """A histogram for each quantity, and why there is none of the others."""
    rows = distributions_of(sae)
    drawn = [
        _histogram(name, row, sae.info.d_sae) for name, row in rows.items() if is_measured(row)
    ]
    reasons = [
        f"{TITLES[name]}: {visible_text(row['reason'] or 'not measured')}."
        for name, row in rows.items()
        if not is_measured(row)
    ]
    found: list[Block] = [{"b": "grid", "blocks": drawn}] if drawn else []
    return [*found, *({"b": "text", "text": reason} for reason in reasons)]


def _histogram(name: str, row: Row, d_sae: int) -> Block:
    low, quarter, half, three, high = map(numbers.value, row["quantiles"])
    n, every = (numbers.count(k) for k in (row["n_latents"], d_sae))
    return DISTRIBUTION(
        title=TITLES[name],
        summary="Half of the latents lie between {quarter} and {three}, nine tenths between {low} "
        "and {high}; the median is {half}, the smallest {min}, the largest {max}."
        + (f" Of {n} of {every} latents, drawn by the seed." if row["n_latents"] < d_sae else ""),
        v={
            "low": low,
            "quarter": quarter,
            "half": half,
            "three": three,
            "high": high,
            "min": numbers.value(row["min"]),
            "max": numbers.value(row["max"]),
        },
        views=[
            {
                "data": [
                    {
                        "x0": Exact(row["lower"] + row["width"] / 2),
                        "dx": Exact(row["width"]),
                        "y": list(row["counts"]),
                    }
                ],
                "layout": {"xaxis": {"title": {"text": TITLES[name].lower()}}},
            }
        ],
    )


def compared(saes: Sequence[tuple[SaeView, Cell]]) -> list[Block]:
    """The median of each quantity for several SAEs, with where nine tenths lie.

    Args:
        saes: Each with how its row begins.
    """
    found = [(cell, distributions_of(sae)) for sae, cell in saes]
    rows = [[cell, *(_median(rows.get(name)) for name in TITLES)] for cell, rows in found if rows]
    if not rows:
        return []
    return [
        {
            "b": "table",
            "summary": "Medians over the latents of each SAE; beside each where nine tenths lie.",
            "columns": ["SAE", *(title.lower() for title in TITLES.values())],
            "rows": rows,
        }
    ]


def _median(row: Row | None) -> Cell:
    if row is None or not is_measured(row):
        return "–"
    low, _, half, _, high = map(numbers.value, row["quantiles"])
    return {"text": half, "gloss": f"{low} to {high}"}
