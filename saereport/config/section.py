"""What every part of a configuration is: frozen, and read as a person means it.

A stage of another package has its section under its name: it is put into `SECTIONS` when the stage
is registered, so that nothing here has to know of stages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from saereport.config.quantities import read_count, read_length
from saereport.util.errors import UsageError

SECTIONS: dict[str, type[BaseModel]] = {}
"""Settings of stages of other packages, by the stage's name, which is their key."""


@dataclass(frozen=True)
class Option:
    """How the command line offers a setting, where that does not follow from the setting.

    Plain settings at the top are options as they are; in a section of saereport's own, those are
    that bear this mark, under their own name.

    Attributes:
        metavar: What help shows in place of the value.
    """

    metavar: str | None = None


_READERS: dict[str, Callable[[str], Any]] = {
    "tokens": read_count,
    "coactivation_tokens": read_count,
    "context_size": read_length,
    "repeat_random": read_count,
    "seed": read_count,
    "enrichment_permutations": read_count,
}
"""Settings that can be written in a person's way, and how that is read."""

_NUMBERS = (str(int), str(int | None))

_NAMES = (
    *("release", "sae_id", "path", "model", "explanations", "prompts_file", "steer_prompts"),
    *("capability_file", "token_sets", "bias", "bias_drop"),
    "ray_address",
    *("dataset", "dataset_config", "dataset_split", "dataset_revision", "text_column"),
    "activations_cache",
)
"""Settings that name something; an empty one is a shell variable that is not set, or a slip."""


class Section(BaseModel):
    """Base of the configuration's parts: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _as_meant(cls, value: Any, info: ValidationInfo) -> Any:
        """What a person wrote, before it is read as what the field holds."""
        name = str(info.field_name)
        kind = str(cls.model_fields[name].annotation)
        parts = value if isinstance(value, (list, tuple)) else [value]
        if "bool" not in kind and any(isinstance(part, bool) for part in parts):
            # Python takes `true` for 1.
            raise ValueError("yes or no says nothing here")
        if name in _NAMES and isinstance(value, str) and not value.strip():
            raise ValueError("it names nothing; give a name, or leave it out")
        # A list of numbers, or a text, can be called the same.
        reader = _READERS.get(name) if kind in _NUMBERS else None
        if reader is None or not isinstance(value, str):
            return value
        try:
            return reader(value)
        except UsageError as error:
            raise ValueError(str(error).rstrip(".")) from error
