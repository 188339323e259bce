"""Output scores: a page that lists the latents by which the model can be steered."""

from __future__ import annotations

from collections.abc import Iterator

from saereport.site.context import ReportModel
from saereport.site.output_scores import FOLDER, INDEX, TABLE, panels, present
from saereport.site.parts.registry import (
    Entry,
    Item,
    PageKind,
    Part,
    register,
)
from saereport.site.shown import PanelsPage

HEADING = "Output scores"


def _items(report: ReportModel) -> Iterator[Item]:
    page = PanelsPage(INDEX, "output_scores", "Which latents can steer", HEADING)
    yield from page.items(report, panels(report))


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
