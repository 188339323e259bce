"""Which SAE before is which SAE after."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from saereport.run import RunInfo, SaeInfo
from saereport.util.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class Paired:
    """SAEs of both runs that are compared, and those that only one run has; slugs, in order."""

    pairs: tuple[tuple[str, str], ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]


def paired_saes(before: RunInfo, after: RunInfo, asked: Sequence[tuple[str, str]]) -> Paired:
    """Pair the SAEs of two runs.

    What the user says comes first; then SAEs of the same slug, then of the same weights, then
    those that are the only ones left at their hook points in both runs. An SAE has one partner.

    Args:
        before: The run that was there.
        after: The new run.
        asked: (slug before, slug after) pairs that the user gives.

    Returns:
        Pairs in the order of the SAEs after.

    Raises:
        UsageError: The user names an SAE that is not there, or twice.
    """
    pairs = dict(_checked(before, after, asked))
    for key in (_slug, _weights, _hooks):
        left = [sae for sae in before.saes if sae.slug not in pairs]
        right = [sae for sae in after.saes if sae.slug not in pairs.values()]
        pairs |= _by(key, left, right)
    partner = {two: one for one, two in pairs.items()}
    return Paired(
        tuple((partner[sae.slug], sae.slug) for sae in after.saes if sae.slug in partner),
        tuple(sae.slug for sae in after.saes if sae.slug not in partner),
        tuple(sae.slug for sae in before.saes if sae.slug not in pairs),
    )


def _slug(sae: SaeInfo) -> Hashable:
    return sae.slug


def _weights(sae: SaeInfo) -> Hashable:
    return sae.weights


def _hooks(sae: SaeInfo) -> Hashable:
    return sae.hook_in, sae.hook_out


def _by(
    key: Callable[[SaeInfo], Hashable], left: list[SaeInfo], right: list[SaeInfo]
) -> dict[str, str]:
    """Pairs of SAEs with one key, where each side has exactly one with it."""
    found = {}
    for sae in left:
        ones = [other for other in left if key(other) == key(sae)]
        twos = [other for other in right if key(other) == key(sae)]
        if len(ones) == 1 and len(twos) == 1:
            found[sae.slug] = twos[0].slug
    return found


def _checked(
    before: RunInfo, after: RunInfo, asked: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    for side, info, names in (
        ("before", before, [one for one, _ in asked]),
        ("after", after, [two for _, two in asked]),
    ):
        known = [sae.slug for sae in info.saes]
        for name in names:
            if name not in known:
                raise UsageError(
                    f"The run {side} has no SAE '{name}'.",
                    did_you_mean(name, known) or f"It has {', '.join(known) or 'none'}.",
                )
            if names.count(name) > 1:
                raise UsageError(f"The SAE '{name}' {side} is paired twice.", "Pair it once.")
    return list(asked)
