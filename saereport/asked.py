"""What every part of a configuration is: frozen, and read as a person means it.

Each stage of a build has its own part, see `saereport.pipeline.stages`; `saereport.config` puts
them together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from saereport.errors import UsageError
from saereport.quantities import read_count, read_length

_READERS: dict[str, Callable[[str], Any]] = {
    "tokens": read_count,
    "evaluation_tokens": read_count,
    "context_size": read_length,
    "repeat_random": read_count,
    "seed": read_count,
}
"""Settings that can be written in a person's way, and how that is read."""

_NAMES = (
    *("release", "sae_id", "path", "model", "explanations", "prompts_file"),
    *("dataset", "dataset_config", "dataset_split", "text_column"),
)
"""Settings that name something; an empty one is a shell variable that is not set, or a slip."""


class Asked(BaseModel):
    """Base of the configuration's parts: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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
        reader = _READERS.get(name)
        if reader is None or not isinstance(value, str):
            return value
        try:
            return reader(value)
        except UsageError as error:
            raise ValueError(str(error).rstrip(".")) from error
