"""Which meta-SAEs a report has: SAEs whose inputs are the decoder rows of an SAE of the report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from saereport.config.section import Section
from saereport.config.yaml_files import exists
from saereport.util.errors import UsageError, did_you_mean, shortened
from saereport.util.slugs import LONGEST, is_prompt_slug, name_of_sae, slug_of


class MetaSaeConfig(Section):
    """One meta-SAE: which SAE it is of, and where it is."""

    of: str = Field(min_length=1)
    """The SAE of the report whose decoder rows it reads, by its name in the report."""
    release: str | None = None
    """SAELens release, with `sae_id`."""
    sae_id: str | None = None
    """Id in the release."""
    path: Path | None = None
    """Folder in SAELens's format, in place of the release."""
    name: str | None = Field(None, min_length=1, max_length=200)
    """What it is called in the report; else as SAEs are, by its folder, or its release and id."""
    rows: Literal["unit", "stored"] = "unit"
    """How decoder rows are put in: at length one, or at the lengths that they have."""

    @property
    def slug(self) -> str:
        """Its name in the run, which is the name of a file."""
        made = slug_of(self.name or name_of_sae(self.release, self.sae_id, self.path))
        return made if is_prompt_slug(made) else f"{made[: LONGEST - 4]}-sae"

    @property
    def label(self) -> str:
        """What messages call it."""
        return shortened(str(self.path) if self.path else f"{self.release} / {self.sae_id}")

    def checked(self) -> MetaSaeConfig:
        """Itself, if it names exactly one SAE.

        Raises:
            UsageError: It names none or two.
        """
        by_release = self.release is not None or self.sae_id is not None
        if self.path is not None and by_release:
            raise UsageError(
                f"The meta-SAE of '{shortened(self.of)}' is named both by a path and by a release.",
                "Give one of them.",
            )
        if self.path is None and not (self.release and self.sae_id):
            raise UsageError(
                f"The meta-SAE of '{shortened(self.of)}' needs a path, or a release and an id.",
                f"Write --meta-sae {shortened(self.of)}=FOLDER or "
                f"--meta-sae {shortened(self.of)}=RELEASE:ID.",
            )
        return self


class MetaConfig(Section):
    """How what meta-SAEs find is listed."""

    well: float = Field(0.5, gt=0, lt=1)
    """Share of a decoder row's variance from which the row counts as well explained."""
    listed: int = Field(30, ge=1, le=1000)
    """Meta-latents, and latents that are explained best and least."""


class MetaSettings(Section):
    """Which meta-SAEs are looked at."""

    meta_saes: tuple[MetaSaeConfig, ...] = ()
    """Meta-SAEs: SAEs trained on the decoder rows of an SAE of the report (`of`), each by a `path`
    or by `release` and `sae_id`.
    """
    meta: MetaConfig = MetaConfig()
    """How what they find is listed."""

    @field_validator("meta_saes", mode="before")
    @classmethod
    def _one_meta_sae_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, dict) else value


def parse_meta_sae(words: str) -> dict[str, Any]:
    """A meta-SAE as the command line names it: `SAE=FOLDER` or `SAE=RELEASE:ID`.

    Returns:
        The values of a `MetaSaeConfig`.

    Raises:
        UsageError: It is neither.
    """
    of, equals, where = (part.strip() for part in words.partition("="))
    if not (of and equals and where):
        raise UsageError(
            f"'{shortened(words)}' names no meta-SAE.",
            "Write the SAE that it is of, '=', and its folder or RELEASE:ID, such as "
            "'resid-l10=my-meta-sae'.",
        )
    release, colon, sae_id = where.partition(":")
    if colon and release and sae_id and not exists(Path(where).expanduser()):
        return {"of": of, "release": release, "sae_id": sae_id}
    return {"of": of, "path": where}


def check_meta_saes(asked: Sequence[MetaSaeConfig], slugs: Iterable[str]) -> None:
    """Check that each names an SAE of the report and is named, and that no two are called alike.

    Raises:
        UsageError: One does not; says what may have been meant.
    """
    known = list(slugs)
    taken: set[tuple[str, str]] = set()
    for one in asked:
        if one.of not in known:
            raise UsageError(
                f"There is no SAE '{shortened(one.of)}' that a meta-SAE could be of.",
                did_you_mean(one.of, known) or f"The report has {', '.join(known)}.",
            )
        one.checked()
        if (one.of, one.slug) in taken:
            raise UsageError(
                f"Two meta-SAEs of '{one.of}' are called '{one.slug}'.",
                "Give one of them another 'name' in the YAML file, or leave it out.",
            )
        taken.add((one.of, one.slug))
