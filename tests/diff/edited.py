"""A run with some of its tables changed, for tests that compare it with the one it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from saereport.run import RunWriter, open_run

Columns = dict[str, list[Any]]
Edit = Callable[[Columns], Columns]


def edited(source: Path, target: Path, edits: Mapping[tuple[str, str | None], Edit]) -> None:
    """Write the run at `source` to `target`, with the edits applied to (table, SAE)."""
    run = open_run(source)
    places = [
        (name, slug)
        for slug in (None, *(s.slug for s in run.info.saes))
        for name in run.names(slug)
    ]
    assert set(edits) <= set(places)
    with RunWriter(target) as writer:
        for name, slug in places:
            columns = run.table(name, slug).to_pydict()
            writer.write(name, edits.get((name, slug), dict)(columns), slug=slug)
        writer.finish(run.info)


def times(column: str, latent: int, factor: int) -> Edit:
    """An edit that multiplies a column of one latent."""

    def edit(columns: Columns) -> Columns:
        values = [
            value * factor if one == latent else value
            for one, value in zip(columns["latent"], columns[column], strict=True)
        ]
        return {**columns, column: values}

    return edit


def without(latent: int) -> Edit:
    """An edit that takes a latent's rows away."""

    def edit(columns: Columns) -> Columns:
        keep = [i for i, one in enumerate(columns["latent"]) if one != latent]
        return {name: [column[i] for i in keep] for name, column in columns.items()}

    return edit
