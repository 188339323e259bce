"""Output scores: a page that lists the latents by which the model can be steered."""

from __future__ import annotations

from collections.abc import Iterator

from saereport.site.context import ReportModel
from saereport.site.output_scores import FOLDER, INDEX, TABLE, panels, present
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

HEADING = "Output scores"


def _items(report: ReportModel) -> Iterator[Item]:
    data = f"{FOLDER}/index.js"
    shown = shown_panels(report, panels(report), report)
    fields = {"kicker": "Which latents can steer", "heading": HEADING, "panels": shown}
    yield Page(INDEX, "output_scores", title=(HEADING,), needs=(REPORT_DATA, data), fields=fields)
    yield from page_data(INDEX, data, shown, {})


register(
    Part(
        "output_scores",
        _items,
        order=36,
        kinds=(PageKind("output_scores"),),
        navigation=lambda report, sae: (Entry(HEADING, INDEX, group="Steering"),),
        folders=frozenset({FOLDER}),
        tables=(TABLE,),
        present=present,
    )
)
