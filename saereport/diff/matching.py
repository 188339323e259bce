"""Which latent of one SAE is which of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from saereport.diff.assignment import clusters, one_to_one
from saereport.diff.columns import listed, numbers
from saereport.diff.model import Cluster, Pairing
from saereport.diff.similarity import (
    SimilarPairs,
    alike_by_activity,
    alike_by_direction,
    unit_rows,
)
from saereport.run import Run
from saereport.util.errors import SaereportError

Match = Literal["auto", "index", "decoder_cosine", "coactivation"]
Latents = NDArray[np.int64]

KEPT_DIRECTION = 0.9
"""Median cosine at equal numbers from which one SAE counts as made from the other.

Training one SAE further, altering some of its latents or rounding its weights leaves it near 1;
between SAEs trained apart it is near 0.
"""


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

    Raises:
        SaereportError: `match` names a way for which a run lacks what it takes.
    """
    one, two = before[0].info.sae(before[1]), after[0].info.sae(after[1])
    same_weights = one.weights == two.weights
    if match == "index" or (match == "auto" and same_weights):
        return by_number(shown, same_latents=same_weights)
    no_directions = _without("decoder_directions", before, after)
    if not no_directions and one.d_out != two.d_out:
        no_directions = "the decoder directions have different lengths"
    no_sketches = _without("active_sketch", before, after) or _other_text(before[0], after[0])
    wanted = {"decoder_cosine": no_directions, "coactivation": no_sketches}
    if wanted.get(match):
        raise SaereportError(
            f"'{before[1]}' and '{after[1]}' cannot be matched by {match}: {wanted[match]}.",
            "Leave the way of matching out, to have one chosen.",
        )
    if match == "coactivation" or (no_directions and not no_sketches):
        return _by_activity(before, after, shown)
    if no_directions:
        note = f"The weights differ; paired by number, because {no_directions} and {no_sketches}."
        return by_number(shown, same_latents=False, note=note)
    rows = (_directions(before), _directions(after))
    if rows[0].values.shape[1] != rows[1].values.shape[1]:
        raise SaereportError(
            f"The decoder directions of '{before[1]}' and '{after[1]}' have different lengths.",
            "Collect them again, or match by index.",
        )
    if match == "auto" and one.d_sae == two.d_sae:
        typical = _typical_cosine(rows[0], rows[1])
        if typical >= KEPT_DIRECTION:
            note = (
                "The weights differ; paired by number, because most latents kept their decoder "
                f"direction (median cosine {typical:.3f})."
            )
            return by_number(shown, same_latents=True, note=note)
    found = alike_by_direction(rows[0].values, rows[1].values)
    return _matching("decoder_cosine", found, (rows[0].latents, rows[1].latents), shown)


@dataclass(frozen=True)
class _Directions:
    """Latents, int64[n], and their decoder directions, float32[n, d] of unit length."""

    latents: Latents
    values: NDArray[np.float32]


def _without(table: str, before: tuple[Run, str], after: tuple[Run, str]) -> str:
    for side, (run, slug) in (("before", before), ("after", after)):
        if not run.has(table, slug):
            return f"the run {side} does not have the table '{table}'"
    return ""


def _other_text(before: Run, after: Run) -> str:
    one, two = before.info.text, after.info.text
    same = (one.digest, one.context_size) == (two.digest, two.context_size)
    return "" if same else "the two runs read different text"


def _directions(side: tuple[Run, str]) -> _Directions:
    run, slug = side
    table = run.table("decoder_directions", slug)
    latents, rows = np.unique(numbers(table, "latent"), return_index=True)
    try:
        values = unit_rows(table.column("direction"))
    except ValueError as error:
        raise SaereportError(
            f"The decoder directions of '{slug}' are damaged: {error}.", "Collect the run again."
        ) from error
    return _Directions(latents, values[rows])


def _typical_cosine(before: _Directions, after: _Directions) -> float:
    """Median cosine between latents of equal number, -1 where there are none."""
    both, one, two = np.intersect1d(before.latents, after.latents, return_indices=True)
    if not len(both) or before.values.shape[1] != after.values.shape[1]:
        return -1.0
    return float(np.median(np.einsum("nd,nd->n", before.values[one], after.values[two])))


def _by_activity(
    before: tuple[Run, str], after: tuple[Run, str], shown: tuple[Latents, Latents]
) -> Matching:
    latents, lists = [], []
    for run, slug in (before, after):
        table = run.table("active_sketch", slug, columns=["latent", "tokens"])
        own = np.unique(numbers(table, "latent"))
        latents.append(own)
        lists.append(listed(table, "tokens", own))
    found = alike_by_activity(lists[0], lists[1], max(before[0].info.text.context_size, 1))
    return _matching("coactivation", found, (latents[0], latents[1]), shown)


def _matching(
    pairing: Pairing,
    candidates: SimilarPairs,
    latents: tuple[Latents, Latents],
    shown: tuple[Latents, Latents],
) -> Matching:
    chosen = one_to_one(candidates)
    before = latents[0][candidates.before[chosen]]
    after = latents[1][candidates.after[chosen]]
    return Matching(
        pairing=pairing,
        before=before,
        after=after,
        similarity=candidates.similarity[chosen],
        removed=np.setdiff1d(shown[0], before),
        added=np.setdiff1d(shown[1], after),
        clusters=clusters(candidates, *latents),
    )


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
