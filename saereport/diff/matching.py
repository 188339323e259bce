"""Which latent of one SAE is which of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from saereport.diff.model import Cluster, Pairing
from saereport.run import Run

Match = Literal["auto", "index", "decoder_cosine", "coactivation"]
Latents = NDArray[np.int64]


@dataclass(frozen=True)
class Matching:
    """How the latents of two SAEs are paired.

    Attributes:
        pairing: By what.
        before: int64[n], paired latents before, ascending.
        after: int64[n], their partners.
        similarity: float64[n], cosine or overlap; 1 where paired by number.
        removed: int64, latents before without a partner, ascending.
        added: int64, latents after without a partner, ascending.
        clusters: One latent of a side that is the best partner of several of the other.
        same_latents: Whether a latent's number means the same latent on both sides.
        note: Why it was done so, where that is not plain.
    """

    pairing: Pairing
    before: Latents
    after: Latents
    similarity: NDArray[np.float64]
    removed: Latents
    added: Latents
    clusters: tuple[Cluster, ...] = ()
    same_latents: bool = False
    note: str = ""


def matched_latents(
    before: tuple[Run, str], after: tuple[Run, str], shown: tuple[Latents, Latents], match: Match
) -> Matching:
    """Pair the latents of two SAEs.

    Args:
        before: Run and slug.
        after: Run and slug.
        shown: Latents of each that the reports show, ascending.
        match: How; see `Options`.
    """
    same = before[0].info.sae(before[1]).weights == after[0].info.sae(after[1]).weights
    return by_number(shown, same_latents=same)


def by_number(shown: tuple[Latents, Latents], *, same_latents: bool, note: str = "") -> Matching:
    """Pair latents of equal number."""
    both = np.intersect1d(*shown, assume_unique=True)
    return Matching(
        pairing="index",
        before=both,
        after=both,
        similarity=np.ones(len(both)),
        removed=np.setdiff1d(shown[0], both, assume_unique=True),
        added=np.setdiff1d(shown[1], both, assume_unique=True),
        same_latents=same_latents,
        note=note,
    )
