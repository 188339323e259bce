"""Latents and places in the text as cells of a table: one way to name them on every page."""

from __future__ import annotations

from collections.abc import Sequence

from saereport.site.blocks import Cell
from saereport.site.context import ReportModel


def latent_cell(report: ReportModel, slug: str, latent: int, said: str = "") -> Cell:
    """A latent's number, or what is said of it, with a link where the report shows it."""
    said, href = said or str(latent), report.latent_href(slug, latent)
    return {"text": said, "href": href} if href else said


def example_cell(report: ReportModel, tokens: Sequence[int], peak: int) -> Cell:
    """Tokens around a peak as a line of text, the peak's token between arrows."""
    if not tokens:
        return "–"
    vocabulary = report.vocabulary
    before, at, after = (
        vocabulary.line([t for t in part if t not in vocabulary.special])
        for part in (tokens[:peak], tokens[peak : peak + 1], tokens[peak + 1 :])
    )
    return f"{before}»{at}«{after}"
