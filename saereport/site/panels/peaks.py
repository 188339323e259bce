"""Where a latent's top examples peak, for panels that take the same examples apart."""

from __future__ import annotations

from saereport.site.context import LatentView
from saereport.site.records import PeakRow

PEAKS = frozenset({"examples"})
"""What is read to find them: what draws them writes the text of a blinded latent as token ids."""


def peaks(latent: LatentView) -> dict[int, PeakRow]:
    """The examples of group `top` by rank; empty where the run holds no example of the latent."""
    names = ("group", "rank", "sequence", "position", "start", "window")
    return {
        rank: PeakRow(*where)
        for group, rank, *where in latent.rows("examples").each(*names)
        if group == "top"
    }
