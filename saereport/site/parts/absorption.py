"""Absorption: one page with the scores of all SAEs, and the letters of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from saereport.run import SaeInfo
from saereport.site.absorption import FOLDER, INDEX, panels, present
from saereport.site.context import ReportModel
from saereport.site.parts.registry import (
    Entry,
    Item,
    PageKind,
    Part,
    register,
)
from saereport.site.shown import PanelsPage

HEADING = "Absorption"


def _navigation(report: ReportModel, sae: SaeInfo | None) -> Sequence[Entry]:
    return (Entry(HEADING, INDEX, group="Evaluation"),)


def _items(report: ReportModel) -> Iterator[Item]:
    page = PanelsPage(INDEX, "absorption", "Latents silent where another took their place", HEADING)
    yield from page.items(report, panels(report))


register(
    Part(
        "absorption",
        _items,
        order=28,
        kinds=(PageKind("absorption"),),
        navigation=_navigation,
        folders=frozenset({FOLDER}),
        tables=("absorption_words", "absorption_letters", "absorption_latents"),
        present=present,
    )
)
