"""Write a run again with some of it altered: how tests make a second run that differs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from saereport.run import TABLES, Run, RunInfo, RunWriter, open_run

Alter = Callable[[pa.Table], Any]
"""A table to its new columns, or to None to leave it out."""


def rewritten(
    run: Run,
    target: Path,
    alter: Mapping[tuple[str, str | None], Alter],
    info: Callable[[RunInfo], RunInfo] = lambda info: info,
) -> Run:
    """A copy of a run; `alter` maps (table, slug) to what becomes of it."""
    made = info(run.info)
    slugs = dict(zip((s.slug for s in run.info.saes), (s.slug for s in made.saes), strict=True))
    with RunWriter(target) as writer:
        for slug in (None, *slugs):
            for name in run.names(slug):
                table = run.table(name, slug)
                columns = alter.get((name, slug), lambda table: table)(table)
                if columns is None:
                    continue
                if isinstance(columns, pa.Table):
                    columns = {n: columns.column(n).combine_chunks() for n in columns.column_names}
                assert set(columns) == set(TABLES[name].names)
                writer.write(name, columns, slug=slugs[slug] if slug else None)
        writer.finish(made)
    return open_run(target)


def with_rows(alter: Callable[[dict[str, Any]], dict[str, Any] | None]) -> Alter:
    """Alter a table row by row; None leaves the row out."""

    def altered(table: pa.Table) -> dict[str, list[Any]]:
        rows = [row for row in map(alter, table.to_pylist()) if row is not None]
        return {name: [row[name] for row in rows] for name in table.column_names}

    return altered
