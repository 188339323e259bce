"""Sparse probing: a page that compares all SAEs of the report, and the latents of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from saereport.run import SaeInfo
from saereport.site.context import ReportModel
from saereport.site.parts.registry import (
    Entry,
    Item,
    PageKind,
    Part,
    register,
)
from saereport.site.probing import (
    FOLDER,
    INDEX,
    comparing_panels,
    is_probed,
    latent_panels,
    page_of,
    present,
)
from saereport.site.shown import PanelsPage

HEADING = "Sparse probing"


def _navigation(report: ReportModel, sae: SaeInfo | None) -> Sequence[Entry]:
    return (Entry("Sparse probing", INDEX, group="Evaluation"),)


def _items(report: ReportModel) -> Iterator[Item]:
    page = PanelsPage(INDEX, "probing", "Latents that carry a concept", HEADING)
    yield from page.items(report, comparing_panels(report))
    for sae in filter(is_probed, report.saes):
        path, label = page_of(sae.info.slug), sae.info.label
        page = PanelsPage(path, "probing_latents", HEADING, label, sae, INDEX)
        yield from page.items(report, latent_panels(sae))


register(
    Part(
        "probing",
        _items,
        order=26,
        kinds=(PageKind("probing"), PageKind("probing_latents")),
        navigation=_navigation,
        folders=frozenset({FOLDER}),
        tables=("probing_tasks", "probing_scores", "probing_latents"),
        present=present,
    )
)
