"""Tables about latents that no other panel shows, as they are stored; see `saereport.site.raw`."""

from __future__ import annotations

from saereport.site import raw
from saereport.site.blocks import Block
from saereport.site.context import LatentView
from saereport.site.panels.registry import Panel, panel, register


@panel("raw", "Other tables", wide=True)
def other_tables(latent: LatentView) -> list[Block]:
    """Those that do not say on which text a latent is active."""
    return _blocks(latent, reveals_text=False)


def _revealing(latent: LatentView) -> list[Block]:
    return _blocks(latent, reveals_text=True)


register(Panel("raw-text", "Other tables about its text", (), _revealing, wide=True, text=True))


def _blocks(latent: LatentView, *, reveals_text: bool) -> list[Block]:
    blocks = []
    for table in raw.unshown(latent.sae.report, "latent"):
        rows = latent.rows(table.name)
        if table.reveals_text == reveals_text and len(rows):
            by_name = [dict(zip(table.names, row, strict=True)) for row in rows.each(*table.names)]
            blocks.append(raw.block(table, by_name, latent.sae.report, without="latent"))
    return blocks
