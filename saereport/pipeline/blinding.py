"""Blind case studies: latents that a reader meets without the text that activates them.

Where nothing may be revealed, the run's writer takes the text out of every table (see
`saereport.run.redaction`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from saereport.config.selection import parse_selection
from saereport.util.errors import UsageError, did_you_mean, shortened

MANY = 100_000
"""Blind latents that one entry may name."""


def parse_blind(
    asked: Sequence[str], widths: Mapping[str, int], transcoders: Collection[str]
) -> dict[str, list[int]]:
    """The latents that are blinded, by SAE.

    Args:
        asked: `sae:latent`, or the latent alone where one SAE or one transcoder can be meant;
            several as in `sae:3,5-9`.
        widths: Number of latents of each SAE.
        transcoders: Those of the SAEs that are transcoders.

    Returns:
        SAE to ascending latents; only SAEs that have some.

    Raises:
        UsageError: One is not a latent of an SAE of the report.
    """
    found: dict[str, set[int]] = {}
    for words in asked:
        slug, _, number = (part.strip() for part in words.rpartition(":"))
        slug = slug or _only(words, widths, transcoders)
        if slug not in widths:
            raise UsageError(
                f"There is no SAE '{slug}' for the blind latent '{words}'.",
                did_you_mean(slug, widths) or f"The report has {', '.join(widths)}.",
            )
        chosen = _listed(number, words)
        if chosen[-1] >= widths[slug]:
            raise UsageError(
                f"The blind latent {chosen[-1]} is out of range: {slug} has {widths[slug]:,} "
                f"latents, 0 to {widths[slug] - 1}."
            )
        found.setdefault(slug, set()).update(chosen)
    return {slug: sorted(found[slug]) for slug in widths if slug in found}


def _listed(number: str, words: str) -> list[int]:
    """The latents of one entry, ascending; several are written as for `--latents`."""
    try:
        selection = parse_selection(number)
    except UsageError as error:
        raise UsageError(
            f"'{shortened(words)}' is not a latent to be blinded.",
            "Write the SAE and the latent, such as 'transcoder-l10:196'.",
        ) from error
    latents = {n for low, high in selection.ranges for n in range(low, min(high, low + MANY) + 1)}
    if not latents or len(latents) > MANY:
        raise UsageError(
            f"'{shortened(words)}' is not a choice of latents to be blinded.",
            f"Name each of them, at most {MANY:,}.",
        )
    return sorted(latents)


def _only(words: str, widths: Mapping[str, int], transcoders: Collection[str]) -> str:
    """The one SAE that a latent without a name can be of."""
    candidates = list(widths) if len(widths) == 1 else [s for s in widths if s in transcoders]
    if len(candidates) != 1:
        raise UsageError(
            f"The blind latent '{words}' does not say of which SAE it is.",
            f"Write it as 'SAE:{words}'; the report has {', '.join(widths)}.",
        )
    return candidates[0]


def blind_rows(blind: Mapping[str, Sequence[int]], with_reveal: bool) -> dict[str, list[Any]]:
    """Table `blind_latents`."""
    pairs = [(slug, latent) for slug, latents in blind.items() for latent in latents]
    return {
        "sae": [slug for slug, _ in pairs],
        "latent": [latent for _, latent in pairs],
        "reveal": [with_reveal] * len(pairs),
    }
