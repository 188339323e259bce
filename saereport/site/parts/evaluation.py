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
    Entry,
    Item,
    PageKind,
    Part,
    register,
)
from saereport.site.shown import PanelsPage

HEADING = "Evaluation"


def _navigation(report: ReportModel, sae: SaeInfo | None) -> Sequence[Entry]:
    return (Entry("Whole SAEs", INDEX, group="Evaluation"),)


def _items(report: ReportModel) -> Iterator[Item]:
    page = PanelsPage(INDEX, "evaluation", "SAEs as wholes", HEADING)
    yield from page.items(report, comparing_panels(report))
    for sae in filter(is_evaluated, report.saes):
        path, label = page_of(sae.info.slug), sae.info.label
        page = PanelsPage(path, "evaluation_sae", HEADING, label, sae, INDEX)
        yield from page.items(report, sae_panels(sae))


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
