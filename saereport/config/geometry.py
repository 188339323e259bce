"""What is asked about the geometry of dictionaries: clusters, matches between SAEs, meta-SAEs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, field_validator

from saereport.config.section import Option, Section
from saereport.util.errors import UsageError, did_you_mean, shortened


class GeometryConfig(Section):
    """How dictionaries are compared and clustered, from their weights alone."""

    match: float = Field(0.5, gt=0, le=1)
    """Cosine of decoder directions from which a best match counts as a match."""
    split: float = Field(0.5, gt=0, le=1)
    """Cosine from which latents of another SAE count as parts of the one that is their best match.
    """
    cluster: float | None = Field(None, gt=0, le=1)
    """Mean cosine down to which clusters of latents are joined; absent: what 99.9 % of pairs of
    random directions with the same second moments stay below.
    """
    smallest_cluster: int = Field(3, ge=2, le=1000)
    """Latents of a cluster at least."""
    most_pairs: int = Field(32, ge=0, le=4096)
    """Pairs of SAEs that are compared unless more are named, the nearest in depth first."""
    most_latents: int = Field(131_072, ge=2, le=2**24)
    """Latents of an SAE at most; larger ones are left out, with a word about it."""
    most_clustered: int = Field(65_536, ge=2, le=2**24)
    """Latents of an SAE at most of which clusters are made; larger ones have none."""
    coactivation_tokens: int = Field(4096, ge=0, le=10_000_000)
    """Counted tokens, the first of the text, on which it is measured how far latents that follow
    each other through the layers are active together; 0 for none.
    """
    listed: int = Field(20, ge=1, le=1000)
    """Clusters, split latents and latents without a match that are listed of each SAE, and chains
    through the layers besides those of latents that are shown.
    """


class GeometrySettings(Section):
    """Which SAEs are compared, and how."""

    compare_saes: Annotated[tuple[str, ...], Option(metavar="SAE:SAE")] = ()
    """Two SAEs of the report to be compared by their directions, as `early:late`, besides those
    that are by default: neighbours in depth, and those at one hook point.
    """
    geometry: GeometryConfig = GeometryConfig()
    """How dictionaries are compared and clustered."""

    @field_validator("compare_saes", mode="before")
    @classmethod
    def _as_words(cls, value: Any) -> Any:
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        # YAML: `[early, late]` is a pair too.
        return [
            ":".join(map(str, item)) if isinstance(item, (list, tuple)) else item for item in values
        ]


def parse_pairs(asked: Sequence[str], slugs: Mapping[str, object]) -> list[tuple[str, str]]:
    """The pairs of SAEs that are named.

    Args:
        asked: Each `early:late`.
        slugs: The SAEs of the report.

    Returns:
        Each pair once, as it is first named.

    Raises:
        UsageError: One is no pair, names no SAE of the report, or one SAE twice.
    """
    found = []
    for words in asked:
        parts = [part.strip() for part in words.split(":")]
        if len(parts) != 2:
            raise UsageError(
                f"'{shortened(words)}' is not a pair of SAEs to compare.",
                "Write both names with a colon between them, such as 'resid-l10:resid-l16'.",
            )
        for name in parts:
            if name not in slugs:
                raise UsageError(
                    f"There is no SAE '{shortened(name)}' to compare.",
                    did_you_mean(name, slugs) or f"The report has {', '.join(slugs)}.",
                )
        if parts[0] == parts[1]:
            raise UsageError(f"The SAE '{parts[0]}' is to be compared with itself.")
        found.append((parts[0], parts[1]))
    # Named the other way round it is the same pair: its matches are looked for both ways anyway.
    once: dict[frozenset[str], tuple[str, str]] = {}
    for pair in found:
        once.setdefault(frozenset(pair), pair)
    return list(once.values())
