"""Tables of a run that nothing installed here shows: as they are stored, with a word about why.

A run may hold tables of a plug-in that is not installed; it describes them itself. What is about a
latent, an SAE as a whole or a prompt is shown on its page, all else on the provenance page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import pyarrow as pa

from saereport.run.kinds import Token
from saereport.run.registry import TABLES
from saereport.run.table import Column, Table
from saereport.site import numbers
from saereport.site.blocks import Block, Cell
from saereport.site.context import ReportModel
from saereport.util.visible import visible_text

N_ROWS = 20
"""Rows of a table on a page."""
N_ENTRIES = 8
"""Entries of a list in a cell."""


def unshown(report: ReportModel, about: str) -> list[Table]:
    """The tables that a run holds and nothing shows.

    Args:
        report: The report.
        about: Whose page they belong to: `latent`, `sae`, `prompt`, or `run` for all others.
    """
    claimed = shown_tables()
    held = (table for name, table in report.run.tables.items() if name not in claimed)
    return [table for table in held if _page_of(table) == about]


def shown_tables() -> frozenset[str]:
    """The tables that a panel or a part shows."""
    # Parts import panels, and panels this module: so they are asked for when they are there.
    from saereport.site.panels.registry import PANELS, PROMPT_PANELS
    from saereport.site.parts.registry import parts

    shown = {name for panel in (*PANELS.values(), *PROMPT_PANELS.values()) for name in panel.tables}
    return frozenset(shown | {name for part in parts() for name in part.tables})


def _page_of(table: Table) -> str:
    if table.scope == "sae":
        return "latent" if table.about == "latent" else "sae"
    return "prompt" if table.about == "prompt" else "run"


def note(table: Table) -> str:
    """Why a table is shown as it is."""
    name = visible_text(table.name)
    if table.name in TABLES:
        return f"The table {name} as it is stored: nothing installed here shows it otherwise."
    plugin = visible_text(table.plugin)
    return (
        f"The table {name} as it is stored. It comes from the plug-in {plugin}, which is not "
        "installed here."
    )


def stored(table: Table, rows: pa.Table, report: ReportModel, without: str = "") -> Block:
    """Rows as the run stores them as a block; see `block`."""
    # A table of another package can have any number of rows: only those on the page become values.
    return block(
        table, rows.slice(0, N_ROWS).to_pylist(), report, without=without, n_rows=rows.num_rows
    )


def block(
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    report: ReportModel,
    without: str = "",
    n_rows: int | None = None,
) -> Block:
    """Rows of a table as a block.

    Args:
        table: The table.
        rows: Its rows, by name of the column, or the first of them.
        report: The report.
        without: A column that all rows have in common.
        n_rows: How many rows there are; by default those that are given.
    """
    total = len(rows) if n_rows is None else n_rows
    columns = [column for column in table.columns if column.name != without]
    said = note(table)
    if total > N_ROWS:
        said += f" The first {N_ROWS} of {numbers.plural(total, 'row')}."
    return {
        "b": "table",
        "title": visible_text(table.title),
        "summary": said,
        "columns": [column.name for column in columns],
        "rows": [
            [cell(row[column.name], column, report) for column in columns] for row in rows[:N_ROWS]
        ],
    }


def cell(value: Any, column: Column, report: ReportModel) -> Cell:
    """A value as a cell: a token as it looks, a number as it is, of a list its beginning."""
    if isinstance(value, list):
        shown = [text(item, column, report) for item in value[:N_ENTRIES]]
        more = [f"… {numbers.count(len(value))} in all"] if len(value) > N_ENTRIES else []
        return ", ".join([*shown, *more])
    return text(value, column, report)


def text(value: Any, column: Column, report: ReportModel) -> str:
    """One value of a column as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(column.holds, Token) and isinstance(value, int):
        return report.vocabulary[value] if value >= 0 else "–"
    if isinstance(value, float):
        return numbers.value(value) if isfinite(value) else str(value)
    if isinstance(value, bytes):
        return value[:N_ENTRIES].hex(" ") + (" …" if len(value) > N_ENTRIES else "")
    return visible_text(str(value))
