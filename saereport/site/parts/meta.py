"""Meta-SAEs: a page about each, and where there are several one that compares them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from saereport.run import SaeInfo
from saereport.site.context import ReportModel
from saereport.site.meta import (
    FOLDER,
    INDEX,
    TABLES,
    comparing_panels,
    front,
    meta_panels,
    name_of,
    page_of,
    present,
    summaries,
)
from saereport.site.parts.registry import (
    Entry,
    Item,
    PageKind,
    Part,
    register,
)
from saereport.site.shown import PanelsPage

HEADING = "Meta-SAEs"


def _navigation(report: ReportModel, sae: SaeInfo | None) -> Sequence[Entry]:
    return (Entry(HEADING, front(report), group="Evaluation"),)


def _items(report: ReportModel) -> Iterator[Item]:
    at = front(report)
    if at == INDEX:
        page = PanelsPage(INDEX, "meta", "Decoder rows as sums of meta-latents", HEADING)
        yield from page.items(report, comparing_panels(report))
    for sae, row in summaries(report):
        path = page_of(sae.info.slug, row["meta"])
        heading = f"{name_of(row)} of {sae.info.label}"
        page = PanelsPage(path, "meta_sae", HEADING, heading, sae, at)
        yield from page.items(report, meta_panels(sae, row))


register(
    Part(
        "meta",
        _items,
        order=29,
        kinds=(PageKind("meta"), PageKind("meta_sae")),
        navigation=_navigation,
        folders=frozenset({FOLDER}),
        tables=TABLES,
        present=present,
    )
)
