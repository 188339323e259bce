"""Where a latent's top examples peak, for panels that take the same examples apart."""

from __future__ import annotations

from saereport.site.context import Latent

Where = list[object]
"""Sequence, position of the peak, first position of the window, packed tokens of the window."""


def peaks(latent: Latent) -> dict[int, Where]:
    """The examples of group `top` by rank; empty where the run holds no example of the latent."""
    names = ("group", "rank", "sequence", "position", "start", "window")
    return {
        rank: list(where)
        for group, rank, *where in latent.rows("examples").each(*names)
        if group == "top"
    }
