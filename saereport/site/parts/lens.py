"""The logit lens of whole dictionaries: a page that compares the SAEs, and one of each.

lens/index.html     the SAEs side by side, and the token sets
lens/of-SAE.html, .js   linked scatter plots, the extremes, and the latents of each token set
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from saereport.run import SaeInfo
from saereport.site.context import ReportModel
from saereport.site.lens import (
    FOLDER,
    INDEX,
    comparing_panels,
    is_measured,
    page_of,
    panels_of,
    present,
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

HEADING = "Logit lens of all latents"


def _navigation(report: ReportModel, sae: SaeInfo | None) -> Sequence[Entry]:
    return (Entry("Logit lens", INDEX, group="Evaluation"),)


def _items(report: ReportModel) -> Iterator[Item]:
    yield Page(
        INDEX,
        "lens",
        title=(HEADING,),
        fields={
            "kicker": "What whole dictionaries write",
            "heading": HEADING,
            "panels": shown_panels(report, comparing_panels(report), report),
        },
    )
    for sae in filter(is_measured, report.saes):
        page = page_of(sae.info.slug)
        data = page.removesuffix(".html") + ".js"
        panels = shown_panels(report, panels_of(sae), sae)
        yield Page(
            page,
            "lens_sae",
            title=(HEADING, sae.info.label),
            needs=(REPORT_DATA, data),
            fields={"kicker": HEADING, "heading": sae.info.label, "panels": panels},
            sae=sae,
            under=INDEX,
        )
        yield from page_data(page, data, panels, {})


register(
    Part(
        "lens",
        _items,
        order=27,
        kinds=(PageKind("lens"), PageKind("lens_sae")),
        navigation=_navigation,
        folders=frozenset({FOLDER}),
        tables=(
            *("lens_moments", "lens_extremes", "token_sets"),
            *("token_set_strongest", "token_set_counts"),
        ),
        present=present,
        called="logit lens",
    )
)
