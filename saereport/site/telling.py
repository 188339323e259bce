"""What a block says without scripts: a sentence and tables. One function for each kind.

A page whose blocks are in the HTML is told by these; the browser draws over what they say. Another
kind is one more function here and one more drawing in `templates/scripts/blocks/`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import floor
from typing import Any

from saereport.site import numbers
from saereport.site.blocks import Block, Cell
from saereport.site.clouds import quantile_names
from saereport.site.context import ReportModel
from saereport.site.jsonwriter import Exact
from saereport.site.latent_summary import Fact
from saereport.site.packing import unpack

MOST_ROWS = 60
"""Rows of a table that stands for a drawing."""
N_CELLS = 10
"""Cells of a heatmap in its table, the largest."""


@dataclass(frozen=True)
class ToldRow:
    """A row of a table, and the positions of a prompt that it is about."""

    cells: tuple[Cell, ...]
    at: tuple[int, ...] = ()


@dataclass(frozen=True)
class ToldTable:
    """A table; with a `label` it is folded behind that word."""

    columns: tuple[str, ...]
    rows: tuple[ToldRow, ...]
    label: str = ""


@dataclass(frozen=True)
class Told:
    """What a block says.

    Attributes:
        summary: A sentence; empty for what is a table or text itself.
        lines: Text.
        facts: Numbers with their names.
        tables: Tables.
    """

    summary: str = ""
    lines: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    tables: tuple[ToldTable, ...] = ()


Teller = Callable[[Block, ReportModel], Told]
TELLERS: dict[str, Teller] = {}
"""By kind of block."""
DRAWN = frozenset({"bars", "lines", "scatter", "cloud", "heatmap"})
"""Kinds that the browser draws over what the server says."""
_PLACE = re.compile(r"\{(\w+)\}", re.ASCII)


def teller(kind: str) -> Callable[[Teller], Teller]:
    """Register the decorated function as what tells a kind of block.

    Raises:
        ValueError: There is one.
    """
    if kind in TELLERS:
        raise ValueError(f"blocks of the kind '{kind}' are told twice")

    def register(tell: Teller) -> Teller:
        TELLERS[kind] = tell
        return tell

    return register


def tell(block: Block, report: ReportModel) -> Told:
    """What a block says; its base must be filled in, see `blocks.merged`.

    Raises:
        KeyError: There is no such kind.
    """
    return TELLERS[block["b"]](block, report)


def filled(text: str, values: Mapping[str, Any]) -> str:
    """A sentence with its numbers as people read them; as `filled` in `scripts/blocks/figures.js`.

    What stands in braces and is no name among the values stays as it is: a name that another
    package gave itself may be part of the sentence.
    """

    def value(found: re.Match[str]) -> str:
        return numbers.shown(values[found[1]]) if found[1] in values else found[0]

    return _PLACE.sub(value, text)


def _summary(block: Block) -> str:
    return filled(block.get("summary", ""), block.get("v", {}))


def _times(value: float) -> str:
    return f"×{numbers.value(value)}"


def _formatted(block: Block, values: Iterable[Any]) -> list[str]:
    """The values of a list's row, each in the form of its column."""
    forms: dict[str, Callable[[Any], str]] = {
        "percent": numbers.percent,
        "count": numbers.count,
        "value": numbers.value,
        "times": _times,
        "text": str,
    }
    formats = block.get("formats", ())
    return [
        forms[formats[i]](value) if i < len(formats) else numbers.shown(value)
        for i, value in enumerate(values)
    ]


@teller("table")
def _table(block: Block, report: ReportModel) -> Told:
    at = block.get("at") or [()] * len(block["rows"])
    rows = tuple(
        ToldRow(tuple(cells), tuple(places))
        for cells, places in zip(block["rows"], at, strict=True)
    )
    return Told(_summary(block), tables=(ToldTable(tuple(block["columns"]), rows),))


@teller("facts")
def _facts(block: Block, report: ReportModel) -> Told:
    notes = block.get("notes") or []
    return Told(
        facts=tuple(
            Fact(name, numbers.shown(value), str(notes[i]) if i < len(notes) and notes[i] else "")
            for i, (name, value) in enumerate(zip(block["names"], block["values"], strict=False))
        )
    )


@teller("text")
def _text(block: Block, report: ReportModel) -> Told:
    return Told(lines=tuple(block["lines"]) if "lines" in block else (block["text"],))


@teller("tokens")
def _tokens(block: Block, report: ReportModel) -> Told:
    rows = [
        ToldRow(({"text": "", "token": report.vocabulary[token]}, *_formatted(block, values)))
        for token, *values in block["rows"]
    ]
    return Told(tables=(ToldTable(("token", *block["columns"]), tuple(rows)),))


@teller("latents")
def _latents(block: Block, report: ReportModel) -> Told:
    slug = block.get("sae", "")
    shards = report.shards.get(slug)
    rows = []
    for latent, known, *values in block["rows"]:
        href = f"{slug}/{shards.address(latent)}" if known and shards else ""
        name: Cell = {"text": str(latent), **({"href": href} if href else {})}
        rows.append(ToldRow((name, *_formatted(block, values))))
    return Told(tables=(ToldTable(("latent", *block["columns"]), tuple(rows)),))


@teller("examples")
def _examples(block: Block, report: ReportModel) -> Told:
    rows = []
    for group in block["groups"]:
        for _, _, activation, _, window, *_ in group["examples"]:
            pieces = report.vocabulary.running(unpack(window))
            rows.append(
                ToldRow((numbers.value(activation), "".join(text for _, _, text in pieces)))
            )
    return Told(tables=(ToldTable(("activation", "text"), tuple(rows[:MOST_ROWS])),))


@teller("bars")
def _bars(block: Block, report: ReportModel) -> Told:
    view = block["views"][0]
    columns = tuple(view.get("columns", ()))
    rows: list[tuple[str, ...]]
    series = [list(bins(trace, view)) for trace in view["data"]]
    if len(columns) == 2:
        rows = [(str(i), numbers.percent(n)) for i, (_, _, n) in enumerate(series[0])]
    else:
        rows = [
            (
                numbers.value(Exact(here[0][0])),
                numbers.value(Exact(here[0][1])),
                *(numbers.count(n) for _, _, n in here),
            )
            for here in zip(*series, strict=True)
            if any(n for _, _, n in here)
        ]
    return Told(_summary(block), tables=(ToldTable(columns, tuple(map(ToldRow, rows)), "Table"),))


def bins(trace: Mapping[str, Any], view: Mapping[str, Any]) -> Iterable[tuple[float, float, Any]]:
    """From, to and count of each bar; octaves and decades are bins of equal width in logarithm."""
    first, step = float(trace.get("x0", 0)), float(trace.get("dx", 1))
    for i, count in enumerate(trace["y"]):
        middle = first + i * step
        if "octaves" in view:
            low, high = (2.0 ** floor(k / 4) * (1 + (k % 4) / 4) for k in (middle, middle + 1))
        elif "decades" in view:
            low, high = (10.0 ** (k / view["decades"]) for k in (middle, middle + 1))
        else:
            edges = (middle - step / 2, middle + step / 2)
            # What is left of a difference that is 0 would be read as a number.
            low, high = (0.0 if abs(edge) < 1e-9 * abs(step) else edge for edge in edges)
        yield low, high, count


@teller("lines")
def _lines(block: Block, report: ReportModel) -> Told:
    if block.get("told", True) is False:
        return Told(_summary(block))
    names, rows = tuple(block.get("told", ("", "largest", "position: value"))), []
    for line in block["series"][:MOST_ROWS]:
        values = line["values"]
        peak = max(values, default=0.0)
        active = ", ".join(f"{i}: {numbers.value(v)}" for i, v in enumerate(values) if v)
        rows.append(ToldRow((line["name"], numbers.value(peak), active)))
    return Told(_summary(block), tables=(ToldTable(names, tuple(rows), "Table"),))


@teller("scatter")
def _scatter(block: Block, report: ReportModel) -> Told:
    rows = [
        ToldRow((line["name"], numbers.value(x), numbers.value(y)))
        for line in block["series"]
        for x, y in line["points"]
    ]
    table = ToldTable(("point", block["x"], block["y"]), tuple(rows[:MOST_ROWS]), "Table")
    return Told(_summary(block), tables=(table,) if block.get("told", True) else ())


@teller("cloud")
def _cloud(block: Block, report: ReportModel) -> Told:
    rows = tuple(ToldRow(tuple(line)) for line in block["quantiles"])
    return Told(_summary(block), tables=(ToldTable(quantile_names(), rows, "Quantiles"),))


@teller("heatmap")
def _heatmap(block: Block, report: ReportModel) -> Told:
    summary = _summary(block)
    if not block.get("told", True):
        return Told(summary)
    several = len(block.get("views", ())) > 1
    tables = tuple(
        ToldTable(
            ("row", "column", "value"),
            tuple(ToldRow((row, column, numbers.value(v))) for row, column, v in cells[:N_CELLS]),
            f"Largest cells: {label}" if several else "Largest cells",
        )
        for label, cells in _views(block)
    )
    return Told(summary, tables=tables)


def _views(block: Block) -> Iterable[tuple[str, Sequence[tuple[Cell, Cell, float]]]]:
    """Label and cells of each view, the largest cells first: row, column, value."""
    if "views" not in block:
        rows, columns = (_axis(block, side) for side in ("rows", "columns"))
        cells = zip(block["y"], block["x"], block["value"], strict=True)
        yield "", [(rows[y], columns[x], value) for y, x, value in cells]
    for view in block.get("views", ()):
        unit = float(view.get("unit", 1))
        found = [
            (row, column, Exact(value * unit))
            for row, line in zip(view["rows"], view["z"], strict=True)
            for column, value in zip(view["columns"], line, strict=True)
            if value
        ]
        yield view.get("label", ""), sorted(found, key=lambda cell: -abs(cell[2]))


def _axis(block: Block, side: str) -> list[Cell]:
    """The rows or columns of a sparse heatmap as cells."""
    return [
        {"token": block["words"][position], **block["names"][side][name], "position": position}
        for name, position in block[side]
    ]


@teller("grid")
def _grid(block: Block, report: ReportModel) -> Told:
    return Told()
