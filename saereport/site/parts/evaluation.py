"""Evaluation: a page that compares all SAEs of the report as wholes, and a page for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from saereport.run import SaeInfo
from saereport.site.context import ReportModel
from saereport.site.evaluation import (
    FOLDER,
    INDEX,
    comparing_panels,
    is_evaluated,
    page_of,
    present,
    sae_panels,
)
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

HEADING = "Evaluation"


def _navigation(report: ReportModel, sae: SaeInfo | None) -> Sequence[Entry]:
    return (Entry("Whole SAEs", INDEX, group="Evaluation"),)


def _items(report: ReportModel) -> Iterator[Item]:
    data = f"{FOLDER}/index.js"
    panels = shown_panels(report, comparing_panels(report), report)
    fields = {"kicker": "SAEs as wholes", "heading": HEADING, "panels": panels}
    yield Page(INDEX, "evaluation", title=(HEADING,), needs=(REPORT_DATA, data), fields=fields)
    yield from page_data(INDEX, data, panels, {})
    for sae in filter(is_evaluated, report.saes):
        page, data = page_of(sae.info.slug), f"{FOLDER}/of-{sae.info.slug}.js"
        panels = shown_panels(report, sae_panels(sae), sae)
        yield Page(
            page,
            "evaluation_sae",
            title=(HEADING, sae.info.label),
            needs=(REPORT_DATA, data),
            fields={"kicker": HEADING, "heading": sae.info.label, "panels": panels},
            sae=sae,
            under=INDEX,
        )
        yield from page_data(page, data, panels, {})


register(
    Part(
        "evaluation",
        _items,
        order=23,
        kinds=(PageKind("evaluation"), PageKind("evaluation_sae")),
        navigation=_navigation,
        folders=frozenset({FOLDER}),
        tables=("weight_distributions", "shipped_sparsity"),
        present=present,
    )
)
