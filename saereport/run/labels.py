"""Rows of labels: which a latent gets, in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from saereport.util.errors import SaereportError

Labels = Mapping[int, Sequence[tuple[str, str]]]
"""Latent to its labels, each with its source."""


def label_rows(
    labels: Labels, latents: Iterable[int], known: Labels | None = None
) -> dict[str, list[Any]]:
    """The table `explanations`: of each latent the labels that it has, then those that are new.

    Args:
        labels: The new labels.
        latents: Those that are to have some, ascending.
        known: The labels that are there already.
    """
    known = known or {}
    rows = [
        (latent, rank, text, source)
        for latent in latents
        for rank, (text, source) in enumerate(
            dict.fromkeys([*known.get(latent, ()), *labels.get(latent, ())])
        )
    ]
    names = ("latent", "rank", "text", "source")
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


def require_within(labels: Labels, slug: str, d_sae: int | None) -> None:
    """Refuse labels of latents that an SAE does not have: they are of another.

    Raises:
        SaereportError: There is one.
    """
    beyond = max(labels, default=-1)
    if d_sae and beyond >= d_sae:
        raise SaereportError(
            f"The explanations of {slug} label latent {beyond}, but it has {d_sae:,} latents.",
            "Are they of another SAE?",
        )
