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
    described,
    has_chains,
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

HEADING = "Geometry"


def _navigation(report: ReportModel, sae: SaeInfo | None) -> Sequence[Entry]:
    return (Entry(HEADING, INDEX, group="Evaluation"),)


def _items(report: ReportModel) -> Iterator[Item]:
    page = PanelsPage(INDEX, "geometry", "What dictionaries have in common", HEADING)
    yield from page.items(report, comparing_panels(report))
    if has_chains(report):
        heading = "Latents through the layers"
        page = PanelsPage(CHAINS, "geometry_chains", HEADING, heading, under=INDEX)
        yield from page.items(report, chain_panels(report))
    for sae in described(report):
        path, label = page_of(sae.info.slug), sae.info.label
        page = PanelsPage(path, "geometry_sae", HEADING, label, sae, INDEX)
        yield from page.items(report, sae_panels(sae))


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
