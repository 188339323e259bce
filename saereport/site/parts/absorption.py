"""Absorption: one page with the scores of all SAEs, and the letters of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from saereport.run import SaeInfo
from saereport.site.absorption import FOLDER, INDEX, panels, present
from saereport.site.context import ReportModel
from saereport.site.parts.registry import (
    REPORT_DATA,
    Entry,
    Item,
    Page,
    PageKind,
    Part,
    register,
)
from saereport.site.shown import page_data, shown_panels

HEADING = "Absorption"


def _navigation(report: ReportModel, sae: SaeInfo | None) -> Sequence[Entry]:
    return (Entry(HEADING, INDEX, group="Evaluation"),)


def _items(report: ReportModel) -> Iterator[Item]:
    data = f"{FOLDER}/index.js"
    shown = shown_panels(report, panels(report), report)
    fields = {
        "kicker": "Latents silent where another took their place",
        "heading": HEADING,
        "panels": shown,
    }
    yield Page(INDEX, "absorption", title=(HEADING,), needs=(REPORT_DATA, data), fields=fields)
    yield from page_data(INDEX, data, shown, {})


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
