"""Which SAE: what a user named, and what it is called in a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from saereport.util.errors import SaereportError
from saereport.util.slugs import name_of_sae, slug_of, unique_slugs


@dataclass(frozen=True)
class SaeSource:
    """Which SAE: what the user named.

    Either a release and an id of SAELens's directory (or a Hugging Face repository and a folder
    in it), or a directory on disk in SAELens's format; or a set of transcoders, a directory or a
    repository, and `layer_12` as the id.
    """

    release: str | None = None
    sae_id: str | None = None
    path: str | None = None

    def __post_init__(self) -> None:
        named = self.release is not None and self.sae_id is not None
        if (self.path is None) == (not named) or (self.path and self.release):
            raise SaereportError(
                "An SAE is named by a release and an id, or by a directory.",
                "Give --release together with --sae-id, or --sae-path.",
            )

    @property
    def label(self) -> str:
        """A short name for messages."""
        if self.path is None:
            return f"{self.release} / {self.sae_id}"
        return " / ".join(part for part in (Path(self.path).name, self.sae_id) if part)

    @property
    def slug(self) -> str:
        """Its folder's name in a run and a report, where no other SAE has the same."""
        return slug_of(self.name)

    @property
    def name(self) -> str:
        """What slugs are made of."""
        return name_of_sae(self.release, self.sae_id, self.path)


def source_slugs(sources: Sequence[SaeSource]) -> list[str]:
    """A slug for each SAE, no two the same: later ones of equal name get a number."""
    return unique_slugs(source.name for source in sources)
