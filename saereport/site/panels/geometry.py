"""Norms of the latent's directions and the angle between reading and writing."""

from __future__ import annotations

from saereport.site import numbers
from saereport.site.blocks import Block, base
from saereport.site.context import Latent
from saereport.site.panels.registry import panel

FACTS = base("geometry", b="facts", title="")


@panel("geometry", "Directions", "geometry")
def geometry(latent: Latent) -> list[Block]:
    """Encoder and decoder norm, and their cosine where both live in one space."""
    if not len(latent.rows("geometry")):
        return []
    row = latent.rows("geometry").first()
    rows = [
        ["encoder norm", numbers.value(row["encoder_norm"]), "read direction"],
        ["decoder norm", numbers.value(row["decoder_norm"]), "write direction"],
    ]
    if not latent.sae.info.is_transcoder:
        cosine = numbers.value(row["encoder_decoder_cosine"])
        rows.append(["encoder–decoder cosine", cosine, "1 when it reads what it writes"])
    return [FACTS(rows=rows)]
