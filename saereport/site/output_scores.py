"""Output scores on pages: which latents can steer, and what turning one up does."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from saereport.site import numbers
from saereport.site.blocks import Block, Cell
from saereport.site.context import ReportModel, SaeView
from saereport.site.mentions import latent_cell
from saereport.site.panels.registry import Panel

FOLDER: Final = "output-scores"
INDEX: Final = f"{FOLDER}/index.html"
TABLE: Final = "output_scores"
STANDS_OUT_FROM: Final = 0.95
"""Percentile among its controls from which a latent stands out."""
MOST_LATENTS: Final = 100
"""Latents of an SAE in its table."""
TOKENS: Final = 5

Row = dict[str, Any]


def present(report: ReportModel) -> bool:
    """Whether the run holds output scores of any SAE."""
    return any(TABLE in sae.tables for sae in report.saes)


def stands_out(row: Row) -> bool:
    """Whether a latent raises its own tokens more than nearly all of its controls do theirs.

    The interval of the difference, where there is one, must lie above 0.
    """
    ends = row["difference_interval"]
    sure = ends[0] > 0 if ends else row["difference"] > 0
    return bool(row["percentile"] >= STANDS_OUT_FROM and sure)


def rows_of(sae: SaeView) -> list[Row]:
    """An SAE's scores, the largest difference to the controls first."""
    if TABLE not in sae.tables:
        return []
    rows: list[Row] = sae.report.run.table(TABLE, sae.info.slug).to_pylist()
    return sorted(rows, key=lambda row: (-row["difference"], row["latent"]))


def panels(report: ReportModel) -> list[Panel]:
    """The panels of the page: all SAEs together, then each."""
    return [
        Panel("all", "Latents that stand out", (TABLE,), overview, wide=True),
        *(
            Panel(f"of-{place}", sae.info.label, (TABLE,), partial(_of_one, sae=sae), wide=True)
            for place, sae in enumerate(report.saes)
        ),
    ]


def overview(report: ReportModel) -> list[Block]:
    """How many latents of each SAE stand out, and how they are told."""
    found = [(sae, rows) for sae in report.saes if (rows := rows_of(sae))]
    first = found[0][1][0]
    strength, n = numbers.value(first["strength"]), first["n_prompts"]
    table: list[list[Cell]] = [
        [
            {"text": sae.info.label, "href": report.home(sae.info.slug)},
            numbers.count(len(rows)),
            numbers.count(sum(map(stands_out, rows))),
            _signed(_median([row["score"] for row in rows])),
            _signed(_median([row["control"] for row in rows])),
        ]
        for sae, rows in found
    ]
    sure = (
        ", with a 95 % interval of the difference above 0" if first["difference_interval"] else ""
    )
    return [
        {
            "b": "text",
            "text": f"Each latent is turned up by {strength} times its own maximum on "
            f"{numbers.plural(n, 'neutral prompt')}. The score is how much that raises the "
            "rank-weighted probability of its own top logit-lens tokens as the next token; the "
            "same is done with other latents of like density, by vectors of like length. Those "
            f"that score higher than {numbers.percent(STANDS_OUT_FROM)} of these controls{sure}, "
            "stand out: with them steering is to be tried first.",
        },
        {
            "b": "table",
            "columns": ["SAE", "latents", "stand out", "median score", "median of controls"],
            "rows": table,
        },
    ]


def _of_one(report: ReportModel, sae: SaeView) -> list[Block]:
    rows = rows_of(sae)
    if not rows:
        reason = sae.info.left_out.get(TABLE, "the run does not hold them")
        return [{"b": "text", "text": f"No scores: {reason}."}]
    shown = rows[:MOST_LATENTS]
    cells = [_cells(sae, row) for row in shown]
    columns = ["latent", "raises", "score", "controls", "difference", "percentile", "stands out"]
    block: Block = {"b": "table", "columns": columns, "rows": cells}
    if len(rows) > len(shown):
        of_all = numbers.plural(len(rows), "latent")
        block["summary"] = f"The {len(shown)} of {of_all} with the largest difference."
    return [block]


def _cells(sae: SaeView, row: Row) -> list[Cell]:
    words = sae.report.vocabulary
    return [
        latent_cell(sae.report, sae.info.slug, row["latent"]),
        " ".join(words[token] for token in row["top_tokens"][:TOKENS]),
        _with_interval(row["score"], row["interval"]),
        {"text": _signed(row["control"]), "gloss": f"of {len(row['controls'])}"},
        _with_interval(row["difference"], row["difference_interval"]),
        numbers.percent(row["percentile"]),
        "yes" if stands_out(row) else "",
    ]


def _with_interval(value: float, ends: Sequence[float]) -> Cell:
    if len(ends) != 2:
        return {"text": _signed(value)}
    return {"text": _signed(value), "gloss": " to ".join(map(_signed, ends))}


def _signed(value: float) -> str:
    """With three decimals, as scores lie between -1 and 1."""
    text = f"{value:.3f}"
    return ("0.000" if text == "-0.000" else text).replace("-", numbers.MINUS)


def _median(values: Sequence[float]) -> float:
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
