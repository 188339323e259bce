"""The page that shows pinned latents side by side; its script fills it, so here are the ways in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from saereport.site import numbers
from saereport.site.context import ReportModel
from saereport.site.parts.registry import (
    REPORT_DATA,
    VOCABULARY,
    Entry,
    Page,
    PageKind,
    Part,
    register,
)

PAGE = "compare.html"


@dataclass(frozen=True)
class Place:
    """An SAE whose latents can be pinned."""

    href: str
    label: str
    shown: str


def places(report: ReportModel) -> list[Place]:
    """The SAEs of the report, with the address of the table of each."""
    return [
        Place(
            href=report.home(sae.info.slug),
            label=sae.info.label,
            shown=numbers.plural(len(sae.shards.latents), "latent"),
        )
        for sae in report.saes
    ]


def _items(report: ReportModel) -> Iterator[Page]:
    yield Page(
        PAGE,
        "compare",
        title=("Compare",),
        fields={"places": places(report)},
        needs=(REPORT_DATA, VOCABULARY),
    )


register(
    Part(
        "compare",
        _items,
        order=40,
        kinds=(PageKind("compare", "compare.html", stateful=True),),
        navigation=lambda report, sae: (Entry("Compare", PAGE),),
    )
)
