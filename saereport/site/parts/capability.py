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
    Entry,
    Item,
    PageKind,
    Part,
    register,
)
from saereport.site.shown import PanelsPage

HEADING = "Capability tests"


def _navigation(report: ReportModel, sae: SaeInfo | None) -> Sequence[Entry]:
    return (Entry("Capability tests", INDEX, group="Evaluation"),)


def _items(report: ReportModel) -> Iterator[Item]:
    page = PanelsPage(INDEX, "capability", "SAEs on prompts with answers", HEADING)
    yield from page.items(report, comparing_panels(report))
    for sae in filter(is_tested, report.saes):
        path, label = page_of(sae.info.slug), sae.info.label
        page = PanelsPage(path, "capability_prompts", HEADING, label, sae, INDEX)
        yield from page.items(report, prompt_panels(sae))


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
