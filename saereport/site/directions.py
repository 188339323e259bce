"""What a page tells of a direction that is steered: where it lies, what is near, what it reads."""

from __future__ import annotations

from typing import Any, Final

from saereport.site import numbers
from saereport.site.blocks import Block, Cell
from saereport.site.context import ReportModel
from saereport.site.mentions import latent_cell
from saereport.util.visible import visible_text

DIRECTION_TABLES: Final = (
    *("steering_directions", "direction_strengths", "directed_texts"),
    *("direction_latents", "direction_projections", "direction_examples"),
)
FORMS: Final = {"projection_cap": "projection cap"}
KINDS: Final = {
    "latents": "weighted sum of latents",
    "file": "vector of a file",
    "means": "difference of means",
}

Row = dict[str, Any]


def placed(what: list[Cell], hooks: str, window: Row) -> Block:
    """A table of one row: what is steered, where, how, and at which positions."""
    heading, cell = what
    return {
        "b": "table",
        "columns": [heading, "written at", "form", "positions"],
        "rows": [
            [
                cell,
                {"text": visible_text(hooks)},
                FORMS.get(window["form"], window["form"]),
                visible_text(window["positions"]),
            ]
        ],
    }


def about_direction(report: ReportModel, window: Row) -> list[Block]:
    """What is known of a direction beside its texts.

    Args:
        report: The report.
        window: Its row of `steering_directions`.
    """
    kind = {"text": KINDS.get(window["kind"], window["kind"])}
    found = [placed(["direction", kind], ", ".join(window["hooks"]), window)]
    if window["latents"]:
        found.append(_sum(report, window))
    found += _nearest(report, window)
    found += _projection(report, window)
    if window["bottom_tokens"]:
        found.append(_bottom(window))
    return found


def _latent(report: ReportModel, slug: str, latent: int) -> Cell:
    info = {sae.info.slug: sae.info for sae in report.saes}.get(slug)
    text = f"{visible_text(info.label if info else slug)}.{latent}"
    return latent_cell(report, slug, latent, text)


def _sum(report: ReportModel, window: Row) -> Block:
    terms = zip(window["saes"], window["latents"], window["weights"], strict=True)
    return {
        "b": "table",
        "title": "Latents of the sum",
        "columns": ["latent", "weight"],
        "rows": [[_latent(report, slug, n), numbers.value(weight)] for slug, n, weight in terms],
    }


def _rows(report: ReportModel, table: str, window: Row) -> list[Row]:
    if not report.run.has(table):
        return []
    rows: list[Row] = report.run.table(table).to_pylist()
    return [row for row in rows if row["direction"] == window["direction"]]


def _nearest(report: ReportModel, window: Row) -> list[Block]:
    rows = _rows(report, "direction_latents", window)
    if not rows:
        return []
    return [
        {
            "b": "table",
            "title": "Nearest latents, of the SAEs that write here",
            "columns": ["latent", "cosine"],
            "rows": [
                [_latent(report, row["sae"], row["latent"]), numbers.value(row["cosine"])]
                for row in rows
            ],
            "fold": {"title": "Nearest latents", "note": "by cosine, either way"},
        }
    ]


def _projection(report: ReportModel, window: Row) -> list[Block]:
    found: list[Block] = []
    for row in _rows(report, "direction_projections", window)[:1]:
        middle = row["lower"] + row["width"] / 2
        found.append(
            {
                "b": "bars",
                "title": "Projection of the text\u2019s activations",
                "summary": "On {n} tokens of the text the projection has mean {mean} and standard "
                "deviation {std}.",
                "v": {"n": row["n_tokens"], "mean": row["mean"], "std": row["std"]},
                "views": [
                    {
                        "label": "",
                        "columns": ["from", "to", "tokens"],
                        "data": [
                            {
                                "type": "bar",
                                "x0": middle,
                                "dx": row["width"],
                                "y": row["counts"],
                                "meta": "accent",
                                "hoverinfo": "none",
                            }
                        ],
                        "layout": {
                            "bargap": 0.06,
                            "xaxis": {"title": {"text": "projection"}},
                            "yaxis": {"title": {"text": "tokens"}, "rangemode": "tozero"},
                        },
                    }
                ],
            }
        )
    examples = _rows(report, "direction_examples", window)
    for side in ("largest", "smallest"):
        own = [row for row in examples if row["side"] == side]
        if own:
            found.append(_examples(report, side, own))
    return found


def _examples(report: ReportModel, side: str, rows: list[Row]) -> Block:
    def cell(row: Row) -> Cell:
        before, after = row["tokens"][: row["place"]], row["tokens"][row["place"] + 1 :]
        token = report.vocabulary[row["tokens"][row["place"]]]
        line = report.vocabulary.line
        return {
            "text": line(before) or "\u2013",
            "token": token,
            "gloss": line(after),
            "long": True,
        }

    return {
        "b": "table",
        "columns": ["projection", "text up to the token, the token, what follows"],
        "rows": [[numbers.value(row["projection"]), cell(row)] for row in rows],
        "fold": {
            "title": f"Where the projection is {side}",
            "note": numbers.plural(len(rows), "sequence"),
        },
    }


def _bottom(window: Row) -> Block:
    pairs = zip(window["bottom_tokens"], window["bottom_values"], strict=False)
    top = zip(window["top_tokens"], window["top_values"], strict=False)
    return {
        "b": "tokens",
        "title": "Logit lens",
        "columns": ["logit"],
        "rows": [[token, value] for token, value in (*top, *pairs)],
        "fold": {"title": "Logit lens", "note": "most raised, then most lowered"},
    }
