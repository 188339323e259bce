"""The bias test: one page with a biased probe before and after, and the latents of each SAE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from saereport.run import SaeInfo
from saereport.site.bias import FOLDER, INDEX, panels, present
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

HEADING = "Bias test"


def _navigation(report: ReportModel, sae: SaeInfo | None) -> Sequence[Entry]:
    return (Entry(HEADING, INDEX, group="Evaluation"),)


def _items(report: ReportModel) -> Iterator[Item]:
    data = f"{FOLDER}/index.js"
    shown = shown_panels(report, panels(report), report)
    fields = {"kicker": "What a biased probe leans on", "heading": HEADING, "panels": shown}
    yield Page(INDEX, "bias", title=(HEADING,), needs=(REPORT_DATA, data), fields=fields)
    yield from page_data(INDEX, data, shown, {})


register(
    Part(
        "bias",
        _items,
        order=27,
        kinds=(PageKind("bias"),),
        navigation=_navigation,
        folders=frozenset({FOLDER}),
        tables=("bias_groups", "bias_scores", "bias_latents"),
        present=present,
    )
)
