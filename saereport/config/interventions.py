"""What is asked of output scores, and of ablating and clamping latents on prompts."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, field_validator

from saereport.config.section import Section
from saereport.util.errors import UsageError, did_you_mean, shortened

STRONGEST = 1e6
"""Larger multiples of a latent's maximum are slips."""
MOST_PROMPTS = 256
MOST_CLAMPS = 32


class OutputScoresConfig(Section):
    """How far latents are turned up to see whether they raise their own tokens."""

    strength: float = Field(4.0, gt=0, le=STRONGEST, allow_inf_nan=False)
    """Multiple of the latent's own maximum on the text that is added."""
    top_tokens: int = Field(10, ge=1, le=1000)
    """Top tokens of the latent's logit lens that are watched."""
    controls: int = Field(20, ge=5, le=1000)
    """Other latents with which each is compared."""
    prompts: tuple[str, ...] = ()
    """Prompts in place of the neutral ones that are built in."""
    most_latents: int = Field(256, ge=0)
    """Shown latents of an SAE up to which scores are computed."""

    @field_validator("prompts")
    @classmethod
    def _some_text(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(not text.strip() for text in value):
            raise ValueError("a prompt has no text")
        if len(set(value)) > MOST_PROMPTS:
            raise ValueError(f"there are more than {MOST_PROMPTS} prompts")
        return tuple(dict.fromkeys(value))


class OutputScoreSettings(Section):
    """Whether turning latents up raises their own tokens."""

    output_scores: OutputScoresConfig = OutputScoresConfig()
    """How far latents are turned up to see whether they raise their own tokens."""


class InterventionsConfig(Section):
    """Which latents are ablated and clamped on prompts with answers."""

    clamp: tuple[float, ...] = (1.0, 2.0)
    """Multiples of a latent's own maximum that it is clamped to, besides 0."""
    strongest: int = Field(3, ge=0, le=1000)
    """Most active latents of each SAE on a prompt, besides those that the report shows."""
    shown: int = Field(20, ge=0, le=10_000)
    """Shown latents of each SAE that are active on a prompt, the most active first."""
    positions: int = Field(8, ge=0, le=1024)
    """Positions at which a latent is ablated by itself, those where it is most active."""
    latents: tuple[str, ...] = ()
    """Further latents, as `sae.latent`, on every prompt."""

    @field_validator("clamp")
    @classmethod
    def _finite(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(not math.isfinite(one) or abs(one) > STRONGEST for one in value):
            raise ValueError(f"multiples lie between -{STRONGEST:,.0f} and {STRONGEST:,.0f}")
        if len(set(value)) > MOST_CLAMPS:
            raise ValueError(f"there are more than {MOST_CLAMPS} multiples")
        return tuple(sorted({one for one in value if one}))

    @field_validator("latents", mode="before")
    @classmethod
    def _named_latents(cls, value: Any) -> Any:
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        return [str(item) if isinstance(item, int) else item for item in values]


class InterventionSettings(Section):
    """What is ablated and clamped."""

    interventions: InterventionsConfig = InterventionsConfig()
    """Which latents are ablated and clamped on prompts with answers."""


def parse_latents(asked: Sequence[str], widths: Mapping[str, int | None]) -> dict[str, list[int]]:
    """Latents that are named as `sae.latent` (or `sae:latent`), by SAE.

    Args:
        asked: The names; the latent alone where there is one SAE.
        widths: Number of latents of each SAE of the report; None where that is not known yet.

    Returns:
        SAE to ascending latents, only SAEs that have some.

    Raises:
        UsageError: One is not a latent of an SAE of the report.
    """
    found: dict[str, set[int]] = {}
    for words in asked:
        match = re.fullmatch(r"\s*(?:(.*?)\s*[.:])?\s*([0-9]{1,9})\s*", words, re.ASCII | re.DOTALL)
        slug = (match[1] or next(iter(widths))) if match else ""
        if match is None or (not match[1] and len(widths) != 1):
            raise UsageError(
                f"'{shortened(words)}' in interventions.latents is not a latent of an SAE.",
                "Write the SAE and the latent, such as 'resid-l10.47'.",
            )
        if slug not in widths:
            raise UsageError(
                f"There is no SAE '{shortened(slug)}' for '{shortened(words)}' in "
                "interventions.latents.",
                did_you_mean(slug, widths) or f"The report has {', '.join(widths)}.",
            )
        width = widths[slug]
        if width is not None and int(match[2]) >= width:
            raise UsageError(
                f"'{shortened(words)}' in interventions.latents is out of range: {slug} has "
                f"{width:,} latents, 0 to {width - 1}."
            )
        found.setdefault(slug, set()).add(int(match[2]))
    return {slug: sorted(found[slug]) for slug in widths if slug in found}
