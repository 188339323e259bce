"""Latents of the same SAE that point the same way or are active together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from saereport.site.blocks import Block, base
from saereport.site.context import LatentView, SaeView
from saereport.site.panels.registry import panel

NEIGHBOURS = base(
    "related.neighbours",
    b="latents",
    title="Nearest decoder directions",
    columns=["cosine"],
    formats=["value"],
    bar=0,
)
_TOGETHER = {
    "b": "latents",
    "columns": ["r", "overlap", "both"],
    "formats": ["value", "percent", "count"],
}
# Measured on a sample of the latent's tokens: each figure with its standard error.
_ESTIMATED = {
    "b": "latents",
    "columns": ["r", "± r", "overlap", "± overlap", "both", "of"],
    "formats": ["value", "value", "percent", "percent", "count", "count"],
}
_CORRELATION, _OVERLAP = "Active together, by correlation", "Active together, by overlap"
BY_CORRELATION = base("related.pearson", title=_CORRELATION, bar=0, **_TOGETHER)
BY_OVERLAP = base("related.jaccard", title=_OVERLAP, bar=1, **_TOGETHER)
_SAMPLED = " (estimated on a sample of its tokens)"
ABOUT_CORRELATION = base(
    "related.pearson.estimated", title=_CORRELATION + _SAMPLED, bar=0, **_ESTIMATED
)
ABOUT_OVERLAP = base("related.jaccard.estimated", title=_OVERLAP + _SAMPLED, bar=2, **_ESTIMATED)
_COLUMNS = (
    "order",
    "other",
    "pearson",
    "pearson_error",
    "jaccard",
    "jaccard_error",
    "n_both",
    "n_looked",
)
GRID = base("related", b="grid")


@panel("related", "Related latents", "neighbours", "coactivation", wide=True)
def related(latent: LatentView) -> list[Block]:
    """Neighbours by cosine, and co-active latents by correlation and by overlap."""
    slug = latent.sae.info.slug
    blocks: list[Block] = []
    neighbours = list(latent.rows("neighbours").each("other", "cosine"))
    if neighbours:
        blocks.append(NEIGHBOURS(rows=linked(latent.sae, slug, neighbours)))
    together: dict[str, list[Sequence[float]]] = {}
    estimated = False
    for order, *row in latent.rows("coactivation").each(*_COLUMNS):
        together.setdefault(order, []).append(row)
        estimated = estimated or row[2] > 0 or row[4] > 0
    kinds = {
        "pearson": (BY_CORRELATION, ABOUT_CORRELATION),
        "jaccard": (BY_OVERLAP, ABOUT_OVERLAP),
    }
    for order, (exact, about) in kinds.items():
        rows = together.get(order, [])
        if rows and estimated:
            blocks.append(about(rows=linked(latent.sae, slug, rows)))
        elif rows:
            known = [[row[i] for i in (0, 1, 3, 5)] for row in rows]
            blocks.append(exact(rows=linked(latent.sae, slug, known)))
    return [GRID(blocks=blocks)] if blocks else []


def linked(sae: SaeView, slug: str, rows: Iterable[Sequence[float]]) -> list[list[float]]:
    """Rows `[latent, ...]` with a 1 behind the latent where the report shows it, else a 0."""
    shards = sae.report.shards.get(slug)
    chosen: frozenset[int] = shards.chosen if shards else frozenset()
    return [[row[0], int(row[0] in chosen), *row[1:]] for row in rows]
