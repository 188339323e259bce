"""Absorption on a page: letters with their scores, main latents, and those that absorb words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from saereport.run.absorption import ALL
from saereport.site import numbers
from saereport.site.blocks import Block, Cell
from saereport.site.context import ReportModel, SaeView
from saereport.site.mentions import latent_cell
from saereport.site.panels.registry import Panel
from saereport.util.visible import visible_text

FOLDER: Final = "absorption"
INDEX: Final = f"{FOLDER}/index.html"
MOST_ABSORBING: Final = 3
"""Absorbing latents of a letter on the page."""
MOST_WORDS: Final = 4
CAVEAT: Final = (
    "The task was made for models of some billion parameters. Where a model cannot spell, or the "
    "probes do not find the letter in its activations, the scores say nothing of the SAE: letters "
    "whose probe has an F1 below 0.6 on other words do not count."
)

Row = Mapping[str, Any]


def is_measured(sae: SaeView) -> bool:
    """Whether the run holds absorption of an SAE."""
    return "absorption_letters" in sae.tables


def present(report: ReportModel) -> bool:
    """Whether the run holds that of any SAE."""
    return report.run.has("absorption_words") and any(map(is_measured, report.saes))


def panels(report: ReportModel) -> list[Panel]:
    """The panels of the page."""
    tables = ("absorption_letters", "absorption_words")
    found = [Panel("scores", "Scores", tables, scores, wide=True)]
    for place, sae in enumerate(filter(is_measured, report.saes)):
        build = partial(_letters, sae=sae)
        label = sae.info.label
        found.append(Panel(f"letters-{place}", label, tables[:1], build, wide=True))
    return found


def _rows(report: ReportModel, table: str, slug: str | None = None) -> list[Row]:
    if not report.run.has(table, slug):
        return []
    rows: list[Row] = report.run.table(table, slug).to_pylist()
    return rows


def scores(report: ReportModel) -> list[Block]:
    """The mean of every SAE, how well the model spells, and what to bear in mind."""
    words = {row["letter"]: row for row in _rows(report, "absorption_words")}
    said = _about(words[ALL], len(words) - 1) if ALL in words else ""
    rows: list[list[Cell]] = []
    views = []
    letters = [letter for letter in words if letter != ALL]
    for sae in filter(is_measured, report.saes):
        held = {row["letter"]: row for row in _rows(report, "absorption_letters", sae.info.slug)}
        rows.append(_mean_row(report, sae, held))
        views.append((sae.info.label, [_drawn(held.get(letter)) for letter in letters]))
    table: Block = {
        "b": "table",
        "summary": said,
        "columns": [
            *("SAE", "letters that count", "F1 of their probes", "main latents", "words"),
            *("absorption fraction", "full absorption"),
        ],
        "rows": rows,
    }
    drawn: Block = {
        "b": "heatmap",
        "summary": "Mean absorption fraction by letter; none where the letter does not count.",
        "missing": "the letter does not count",
        "views": [
            {
                "label": "fraction",
                "rows": [label for label, _ in views],
                "columns": letters,
                "z": [z for _, z in views],
            }
        ],
    }
    return [{"b": "text", "text": CAVEAT}, table, drawn, *_left_out(report)]


def _about(whole: Row, n_letters: int) -> str:
    template = visible_text(whole["template"])
    return (
        f"{numbers.plural(whole['n_words'], 'word')} that are one token, each in a prompt "
        f"'{template}' behind {numbers.plural(whole['n_shown'], 'other')}. The model gives "
        f"{numbers.percent(whole['spelled'])} of them their own first "
        f"letter, of {n_letters} letters."
    )


def _drawn(row: Row | None) -> float | None:
    return row["fraction"] if row is not None and row["counts"] else None


def _mean_row(report: ReportModel, sae: SaeView, held: Mapping[str, Row]) -> list[Cell]:
    whole = held.get(ALL)
    n = sum(row["counts"] for letter, row in held.items() if letter != ALL)
    name: Cell = {"text": sae.info.label, "href": report.home(sae.info.slug)}
    first = [name, f"{n} of {sum(letter != ALL for letter in held)}"]
    if not n or whole is None:
        return [*first, *("–",) * 5]
    return [
        *first,
        f"{whole['probe_f1']:.2f}",
        numbers.count(whole["n_main"]),
        numbers.count(whole["n_words"]),
        _part(whole, "fraction"),
        _part(whole, "full"),
    ]


def _part(row: Row, name: str) -> Cell:
    ends = row[f"{name}_interval"]
    text = f"{100 * row[name]:.1f} %"
    if len(ends) != 2:
        return {"text": text}
    return {"text": text, "gloss": f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}"}


def _left_out(report: ReportModel) -> list[Block]:
    lines = [
        f"Not of {sae.info.label}: {visible_text(sae.info.left_out['absorption_letters'])}."
        for sae in report.saes
        if "absorption_letters" in sae.info.left_out
    ]
    return [{"b": "text", "lines": lines}] if lines else []


def _letters(report: ReportModel, sae: SaeView) -> list[Block]:
    slug = sae.info.slug
    latents = _rows(report, "absorption_latents", slug)
    rows: list[list[Cell]] = []
    absorbing: list[list[Cell]] = []
    for row in _rows(report, "absorption_letters", slug):
        if row["letter"] == ALL:
            continue
        mine = [one for one in latents if one["letter"] == row["letter"]]
        # The first is missing where it is blinded: then no other stands in its place.
        main = [r for r in mine if r["role"] == "main" and r["rank"] == 1]
        rows.append(
            [
                row["letter"],
                f"{row['probe_f1']:.2f}" + ("" if row["counts"] else ", does not count"),
                numbers.count(row["n_words"]),
                _part(row, "fraction"),
                _part(row, "full"),
                latent_cell(sae.report, sae.info.slug, main[0]["latent"]) if main else "–",
                f"{row['main_f1']:.2f}",
                numbers.count(max(row["n_main"] - 1, 0)),
                _words(report, main[0]["silent"]) if main else "",
            ]
        )
        others = sorted((r for r in mine if r["role"] == "absorbing"), key=lambda r: r["rank"])
        absorbing += [_absorbing(sae, one) for one in others[:MOST_ABSORBING] if row["counts"]]
    found: list[Block] = [
        {
            "b": "table",
            "columns": [
                *("letter", "F1 of the probe", "words", "fraction", "full", "main latent"),
                *("F1 of the main ones", "further ones", "silent on"),
            ],
            "rows": rows,
        }
    ]
    if absorbing:
        columns = ["letter", "absorbing latent", "cosine", "of the projection", "words", "such as"]
        title = {"title": "Latents that absorb words fully", "note": f"{len(absorbing)} of them"}
        found.append({"b": "table", "fold": title, "columns": columns, "rows": absorbing})
    return found


def _absorbing(sae: SaeView, row: Row) -> list[Cell]:
    return [
        row["letter"],
        latent_cell(sae.report, sae.info.slug, row["latent"]),
        f"{row['cosine']:.2f}".replace("-", numbers.MINUS),
        numbers.percent(row["share"]),
        numbers.count(row["n_words"]),
        _words(sae.report, row["words"]),
    ]


def _words(report: ReportModel, tokens: Sequence[int]) -> str:
    return ", ".join(report.vocabulary.line([token]).strip() for token in tokens[:MOST_WORDS])
