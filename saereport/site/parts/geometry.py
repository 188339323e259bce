"""The geometry of dictionaries: a page about all SAEs, and one about each.

geometry/index.html, .js        SAEs against each other
geometry/chains.html            latents through the layers
geometry/of-SAE.html, .js       one SAE: its matches in others
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from saereport.run import SaeInfo
from saereport.site.context import ReportModel
from saereport.site.geometry import (
    CHAINS,
    FOLDER,
    INDEX,
    TABLES,
    chain_panels,
    comparing_panels,
    data_of,
    described,
    has_chains,
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

HEADING = "Geometry"
KICKER = "What dictionaries have in common"


def _navigation(report: ReportModel, sae: SaeInfo | None) -> Sequence[Entry]:
    return (Entry(HEADING, INDEX, group="Evaluation"),)


def _items(report: ReportModel) -> Iterator[Item]:
    data = f"{FOLDER}/index.js"
    panels = shown_panels(report, comparing_panels(report), report)
    fields = {"kicker": KICKER, "heading": HEADING, "panels": panels}
    yield Page(INDEX, "geometry", title=(HEADING,), needs=(REPORT_DATA, data), fields=fields)
    yield from page_data(INDEX, data, panels, {})
    if has_chains(report):
        panels = shown_panels(report, chain_panels(report), report)
        fields = {"kicker": HEADING, "heading": "Latents through the layers", "panels": panels}
        title = ("Latents through the layers",)
        yield Page(CHAINS, "geometry_chains", title=title, fields=fields, under=INDEX)
    for sae in described(report):
        page, data = page_of(sae.info.slug), data_of(sae.info.slug)
        panels = shown_panels(report, sae_panels(sae), sae)
        yield Page(
            page,
            "geometry_sae",
            title=(HEADING, sae.info.label),
            needs=(REPORT_DATA, data),
            fields={"kicker": HEADING, "heading": sae.info.label, "panels": panels},
            sae=sae,
            under=INDEX,
        )
        yield from page_data(page, data, panels, {})


register(
    Part(
        "geometry",
        _items,
        order=28,
        kinds=tuple(map(PageKind, ("geometry", "geometry_chains", "geometry_sae"))),
        navigation=_navigation,
        folders=frozenset({FOLDER}),
        tables=TABLES,
        present=present,
        called="geometry",
    )
)
