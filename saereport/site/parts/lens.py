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
    Entry,
    Item,
    PageKind,
    Part,
    register,
)
from saereport.site.shown import PanelsPage

HEADING = "Logit lens of all latents"


def _navigation(report: ReportModel, sae: SaeInfo | None) -> Sequence[Entry]:
    return (Entry("Logit lens", INDEX, group="Evaluation"),)


def _items(report: ReportModel) -> Iterator[Item]:
    page = PanelsPage(INDEX, "lens", "What whole dictionaries write", HEADING)
    yield from page.items(report, comparing_panels(report))
    for sae in filter(is_measured, report.saes):
        path, label = page_of(sae.info.slug), sae.info.label
        page = PanelsPage(path, "lens_sae", HEADING, label, sae, INDEX)
        yield from page.items(report, panels_of(sae))


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
