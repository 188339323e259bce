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
BY_CORRELATION = base(
    "related.pearson", title="Active together, by correlation", bar=0, **_TOGETHER
)
BY_OVERLAP = base("related.jaccard", title="Active together, by overlap", bar=1, **_TOGETHER)
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
    for order, *row in latent.rows("coactivation").each(
        "order", "other", "pearson", "jaccard", "n_both"
    ):
        together.setdefault(order, []).append(row)
    for order, make in (("pearson", BY_CORRELATION), ("jaccard", BY_OVERLAP)):
        if order in together:
            blocks.append(make(rows=linked(latent.sae, slug, together[order])))
    return [GRID(blocks=blocks)] if blocks else []


def linked(sae: SaeView, slug: str, rows: Iterable[Sequence[float]]) -> list[list[float]]:
    """Rows `[latent, ...]` with a 1 behind the latent where the report shows it, else a 0."""
    shards = sae.report.shards.get(slug)
    chosen: frozenset[int] = shards.chosen if shards else frozenset()
    return [[row[0], int(row[0] in chosen), *row[1:]] for row in rows]
