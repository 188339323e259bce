"""The latent's decoder row as a sum of meta-latents, with the other latents that have these."""

from __future__ import annotations

from saereport.site.blocks import Block
from saereport.site.context import LatentView
from saereport.site.meta import made_of
from saereport.site.panels.registry import panel


@panel("made-of", "Made of", "meta_parts", wide=True)
def parts(latent: LatentView) -> list[Block]:
    """What each meta-SAE makes of it."""
    return made_of(latent)
