"""Which latents of other SAEs of the report write the same direction as this one."""

from __future__ import annotations

from saereport.site import numbers
from saereport.site.blocks import Block, Cell, base
from saereport.site.context import LatentView
from saereport.site.geometry import chain_of, depth_of, label_of, page_of, where, worded_cell
from saereport.site.panels.registry import panel

MATCHES = base("layers", b="table", columns=["SAE", "compared in", "best match", "cosine", "note"])


@panel("layers", "Through the layers", "latent_matches", wide=True)
def layers(latent: LatentView) -> list[Block]:
    """The best match in each SAE that this one is compared with, in the order of the model."""
    report, slug = latent.sae.report, latent.sae.info.slug
    names = ("other", "best", "cosine", "mutual", "parts")
    found = sorted(
        latent.rows("latent_matches").each(*names), key=lambda r: (depth_of(report, r[0]), r[0])
    )
    rows: list[list[Cell]] = []
    for other, best, cosine, mutual, parts in found:
        whole = report.dictionaries.matched(slug, other)
        rows.append(
            [
                {"text": label_of(report, other), "href": f"{page_of(slug)}#to-{other}"},
                {"text": where(report, slug, other, whole) if whole else ""},
                worded_cell(report, other, best),
                numbers.value(cosine),
                {"text": _said(cosine, whole.get("threshold", 0.0), mutual, len(parts))},
            ]
        )
    return [*([MATCHES(rows=rows)] if rows else []), *chain_of(latent)]


def _said(cosine: float, threshold: float, mutual: bool, n_parts: int) -> str:
    words = "no match" if cosine < threshold else "each other's best" if mutual else "a match"
    return words + (f"; split into {n_parts}" if n_parts > 1 else "")
