"""Directions that are steered beside latents: sums of latents, vectors of a file, differences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from saereport.config.section import Section
from saereport.util.errors import UsageError, shortened
from saereport.util.slugs import is_name

LARGEST_WEIGHT = 1e6
MOST_SUMMED = 64
"""Latents of one sum."""
MOST_DIRECTIONS = 64

Kind = Literal["latents", "file", "means"]


class WeightedLatent(Section):
    """A latent of a sum."""

    latent: str
    """The latent, as `sae.latent`."""
    weight: float = Field(1.0, ge=-LARGEST_WEIGHT, le=LARGEST_WEIGHT, allow_inf_nan=False)
    """How much of its own maximum strength 1 adds."""

    @field_validator("latent", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        return str(value) if isinstance(value, int) else value


class DirectionConfig(Section):
    """A direction: a sum of latents, vectors of a file, or a difference of means."""

    name: str
    """What it is called: up to 60 small letters, digits, `.`, `_` and `-`, a letter or digit first
    and no `.` last; it is the name of a page."""
    latents: tuple[WeightedLatent, ...] = ()
    """Latents and their weights, of a sum."""
    file: Path | None = None
    """File of vectors: safetensors, or npy with one vector or one a row."""
    vector: str | None = None
    """Name of the vector in the file, or its row; all of them where absent."""
    positive: Path | None = None
    """File of prompts, one a line, whose mean the difference is to."""
    negative: Path | None = None
    """File of prompts whose mean is subtracted."""
    tokens: Literal["last", "all"] = "last"
    """Which tokens of a prompt count in a mean: the `last`, or `all` but special ones."""
    hook: str | None = None
    """Hook point of the vectors or means."""
    norm: float | None = Field(None, gt=0, le=1e30, allow_inf_nan=False)
    """Length of what strength 1 adds: by default for a file the median length of activations at the
    hook point, for means the distance between them."""

    @field_validator("name")
    @classmethod
    def _can_be_a_name(cls, value: str) -> str:
        if not is_name(value) or len(value) > 60:
            raise ValueError(
                "a name has up to 60 small letters, digits, '.', '_' and '-', begins with a letter "
                "or digit, does not end with '.', and is no device of Windows such as con or nul"
            )
        return value

    @field_validator("vector", mode="before")
    @classmethod
    def _row(cls, value: object) -> object:
        return str(value) if isinstance(value, int) else value

    @model_validator(mode="after")
    def _one_of_three(self) -> DirectionConfig:
        means = self.positive is not None or self.negative is not None
        if bool(self.latents) + (self.file is not None) + means != 1:
            raise ValueError(
                f"the direction '{self.name}' is to have one of 'latents', 'file', or 'positive' "
                "and 'negative'"
            )
        if means and (self.positive is None or self.negative is None):
            raise ValueError(f"the means of '{self.name}' need both 'positive' and 'negative'")
        if not self.latents and not (self.hook or "").strip():
            raise ValueError(f"the direction '{self.name}' needs the 'hook' point that it is at")
        if self.latents and (self.hook is not None or self.norm is not None):
            raise ValueError(
                f"the latents of '{self.name}' write where their SAEs do, and strength 1 is their "
                "own maxima: leave out 'hook' and 'norm'"
            )
        if len(self.latents) > MOST_SUMMED:
            raise ValueError(f"'{self.name}' sums more than {MOST_SUMMED} latents")
        if self.vector is not None and self.file is None:
            raise ValueError(f"the direction '{self.name}' has a 'vector' but no 'file'")
        return self

    @property
    def kind(self) -> Kind:
        """Which of the three it is."""
        if self.latents:
            return "latents"
        return "means" if self.file is None else "file"


def require_distinct(names: Sequence[str]) -> None:
    """Refuse two directions of one name, and too many.

    Raises:
        UsageError: There are.
    """
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"Two directions to steer are called '{shortened(twice)}'.", "Rename one.")
    if len(names) > MOST_DIRECTIONS:
        raise UsageError(
            f"More than {MOST_DIRECTIONS} directions are to be steered.",
            "Each takes minutes: name few, or a 'vector' of a file.",
        )
