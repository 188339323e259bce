"""Sparse probing: a page that compares all SAEs of the report, and the latents of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from saereport.run import SaeInfo
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
from saereport.site.probing import (
    FOLDER,
    INDEX,
    comparing_panels,
    is_probed,
    latent_panels,
    page_of,
    present,
)
from saereport.site.shown import page_data, shown_panels

HEADING = "Sparse probing"


def _navigation(report: ReportModel, sae: SaeInfo | None) -> Sequence[Entry]:
    return (Entry("Sparse probing", INDEX, group="Evaluation"),)


def _items(report: ReportModel) -> Iterator[Item]:
    data = f"{FOLDER}/index.js"
    panels = shown_panels(report, comparing_panels(report), report)
    fields = {"kicker": "Latents that carry a concept", "heading": HEADING, "panels": panels}
    yield Page(INDEX, "probing", title=(HEADING,), needs=(REPORT_DATA, data), fields=fields)
    yield from page_data(INDEX, data, panels, {})
    for sae in filter(is_probed, report.saes):
        yield Page(
            page_of(sae.info.slug),
            "probing_latents",
            title=(HEADING, sae.info.label),
            fields={
                "kicker": HEADING,
                "heading": sae.info.label,
                "panels": shown_panels(report, latent_panels(sae), sae),
            },
            sae=sae,
            under=INDEX,
        )


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
