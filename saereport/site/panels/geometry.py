"""Norms of the latent's directions and the angle between reading and writing."""

from __future__ import annotations

from saereport.site.blocks import Block, base
from saereport.site.context import LatentView
from saereport.site.geometry import cluster_of
from saereport.site.panels.registry import panel

FACTS = base(
    "geometry",
    b="facts",
    names=["encoder norm", "decoder norm", "encoder–decoder cosine"],
    notes=["read direction", "write direction", "1 when it reads what it writes"],
)


@panel("geometry", "Directions", "geometry", wide=True)
def geometry(latent: LatentView) -> list[Block]:
    """Encoder and decoder norm, and their cosine where both live in one space."""
    if not len(latent.rows("geometry")):
        return []
    row = latent.rows("geometry").first()
    values = [row["encoder_norm"], row["decoder_norm"]]
    if not latent.sae.info.is_transcoder:
        values.append(row["encoder_decoder_cosine"])
    return [FACTS(values=values), *cluster_of(latent)]
