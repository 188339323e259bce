"""Capability tests: a page that compares all SAEs of the report, and the prompts of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from saereport.run import SaeInfo
from saereport.site.capability import (
    FOLDER,
    INDEX,
    comparing_panels,
    is_tested,
    page_of,
    present,
    prompt_panels,
)
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

HEADING = "Capability tests"


def _navigation(report: ReportModel, sae: SaeInfo | None) -> Sequence[Entry]:
    return (Entry("Capability tests", INDEX, group="Evaluation"),)


def _items(report: ReportModel) -> Iterator[Item]:
    data = f"{FOLDER}/index.js"
    panels = shown_panels(report, comparing_panels(report), report)
    fields = {"kicker": "SAEs on prompts with answers", "heading": HEADING, "panels": panels}
    yield Page(INDEX, "capability", title=(HEADING,), needs=(REPORT_DATA, data), fields=fields)
    yield from page_data(INDEX, data, panels, {})
    for sae in filter(is_tested, report.saes):
        yield Page(
            page_of(sae.info.slug),
            "capability_prompts",
            title=(HEADING, sae.info.label),
            fields={
                "kicker": HEADING,
                "heading": sae.info.label,
                "panels": shown_panels(report, prompt_panels(sae), sae),
            },
            sae=sae,
            under=INDEX,
        )


register(
    Part(
        "capability",
        _items,
        order=25,
        kinds=(PageKind("capability"), PageKind("capability_prompts")),
        navigation=_navigation,
        folders=frozenset({FOLDER}),
        tables=("capability_prompts", "capability_sets"),
        present=present,
    )
)
