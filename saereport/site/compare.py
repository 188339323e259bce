"""The page that shows pinned latents side by side; its script fills it, so here are the ways in."""

from __future__ import annotations

from dataclasses import dataclass

from saereport.site import numbers
from saereport.site.context import Report
from saereport.site.pages import Pages

PAGE = "compare.html"


@dataclass(frozen=True)
class Place:
    """An SAE whose latents can be pinned."""

    href: str
    label: str
    shown: str


def places(report: Report) -> list[Place]:
    """The SAEs of the report, with the address of the table of each."""
    return [
        Place(
            href="index.html" if report.single else f"{info.slug}/index.html",
            label=info.label,
            shown=numbers.plural(len(report.shards[info.slug].latents), "latent"),
        )
        for info in report.info.saes
    ]


def compare_page(report: Report, pages: Pages) -> str:
    """The HTML of the page."""
    return pages.render(PAGE, root="", kind="compare", places=places(report))
