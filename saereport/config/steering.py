"""What is steered, and how."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from saereport.config.directions import DirectionConfig
from saereport.config.section import Option, Section
from saereport.config.selection import parse_selection
from saereport.util.errors import UsageError, did_you_mean, shortened

STRENGTHS = (0.25, 0.5, 1.0, 1.5, 2.0, 4.0)
"""Multiples of a latent's own maximum that are tried unless others are asked for."""
STRONGEST = 1e6
"""Larger multiples are slips."""
MOST_STRENGTHS = 32
MOST_LATENTS = 64
"""Latents of a report that can be steered: each is some hundred texts."""
MOST_PROMPTS = 256

MOST_WORDS = 100
"""Words of one concept."""

Form = Literal["additive", "orthogonal", "projection_cap"]
Positions = Literal["all", "generated"] | tuple[int, int]


class SteeringConfig(Section):
    """How text is generated while latents are turned up."""

    form: Form = "additive"
    """`additive` adds to what is there; `orthogonal` replaces the component along the direction;
    `projection_cap` lowers that component where it is larger."""
    positions: Positions = "all"
    """Where it is done: at `all` positions, at those of `generated` tokens, or from one position up
    to another, such as `[5, 20]`: from 0, over the prompt as the model reads it and what follows;
    the second one is the first that is left alone."""
    strengths: tuple[float, ...] = STRENGTHS
    """Multiples of the latent's own maximum on the text; 0 is always among them."""
    neutral: bool = True
    """Whether the neutral prompts that are built in are used."""
    prompts: tuple[str, ...] = ()
    """Prompts besides."""
    chat: bool = False
    """Write each prompt as a user's turn in the tokeniser's chat template."""
    new_tokens: int = Field(32, ge=1, le=4096)
    """Tokens of each continuation, unless the model ends it before."""
    samples: int = Field(4, ge=1, le=256)
    """Continuations of each prompt at each strength, drawn with the same random numbers."""
    temperature: float = Field(0.7, ge=0, le=100, allow_inf_nan=False)
    """What logits are divided by before a token is drawn; 0 takes the most likely one."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Share of the probability within which tokens are drawn, the most likely first."""
    frequency_penalty: float = Field(0.0, ge=-100, le=100, allow_inf_nan=False)
    """What a token's logit loses for each time that it was drawn before."""
    directions: tuple[DirectionConfig, ...] = ()
    """Directions besides: sums of latents, vectors of files, differences of means."""
    concept: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Words of a latent's concept, by `sae.latent`: texts that hold one are counted. Of a latent
    without words, the top tokens of its logit lens are looked for."""
    top_tokens: int = Field(10, ge=1, le=1000)
    """Top tokens of the latent's logit lens that are looked for."""

    @field_validator("strengths")
    @classmethod
    def _finite(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(not math.isfinite(s) or abs(s) > STRONGEST for s in value):
            raise ValueError(f"strengths lie between -{STRONGEST:,.0f} and {STRONGEST:,.0f}")
        if not any(value):
            raise ValueError("there is no strength other than 0, at which nothing is steered")
        if len(set(value)) > MOST_STRENGTHS:
            raise ValueError(f"there are more than {MOST_STRENGTHS} strengths")
        return value

    @field_validator("positions", mode="before")
    @classmethod
    def _as_range(cls, value: Any) -> Any:
        if isinstance(value, str):
            if value not in ("all", "generated"):
                raise ValueError("positions are 'all', 'generated' or a range such as [5, 20]")
            return value
        ends = list(value) if isinstance(value, (list, tuple)) else []
        if len(ends) != 2 or not all(isinstance(end, int) and end >= 0 for end in ends):
            raise ValueError("positions are 'all', 'generated' or a range such as [5, 20]")
        if ends[0] >= ends[1]:
            raise ValueError(f"there is no position from {ends[0]} up to, but not, {ends[1]}")
        return tuple(ends)

    @field_validator("concept")
    @classmethod
    def _words(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for name, words in value.items():
            if not words or any(not word.strip() for word in words):
                raise ValueError(f"a concept of '{shortened(name)}' is empty: give some words")
            if len(words) > MOST_WORDS or any(len(word) > 200 for word in words):
                raise ValueError(
                    f"the concept of '{shortened(name)}' has more than {MOST_WORDS} words, or a "
                    "word of more than 200 characters"
                )
        return value

    @property
    def sweep(self) -> tuple[float, ...]:
        """The strengths, rising; 0 among them."""
        return tuple(sorted({0.0, *(s or 0.0 for s in self.strengths)}))


class SteeringSettings(Section):
    """Which latents are steered, and how."""

    steer: Annotated[tuple[str, ...], Option(metavar="[SAE.]LATENT")] = ()
    """Latents that are turned up while the model writes, as `sae.latent`."""
    steer_prompts: Path | None = None
    """File of prompts to steer on, one a line (or JSON lines with `text`)."""
    steering: SteeringConfig = SteeringConfig()
    """How text is generated while latents are turned up."""

    @property
    def steers(self) -> bool:
        """Whether anything is steered."""
        return bool(self.steer or self.steering.directions)

    @field_validator("steer", mode="before")
    @classmethod
    def _named_latents(cls, value: Any) -> Any:
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        return [str(item) if isinstance(item, int) else item for item in values]


def parse_steered(asked: Sequence[str], widths: Mapping[str, int | None]) -> dict[str, list[int]]:
    """The latents that are steered, by SAE.

    Args:
        asked: `sae.latent` (or `sae:latent`), or the latent alone where there is one SAE; several
            as in `sae.3,5-9`.
        widths: Number of latents of each SAE of the report; None where that is not known yet.

    Returns:
        SAE to ascending latents, in the order of the report; only SAEs that have some.

    Raises:
        UsageError: One is not a latent of an SAE of the report, or there are too many.
    """
    found: dict[str, set[int]] = {}
    for words in asked:
        match = re.fullmatch(r"\s*(?:(.*?)\s*[.:])?\s*([^.:]+)", words, re.DOTALL)
        if match is None:
            raise _means_nothing(words)
        slug, number = match[1] or "", match[2]
        if not slug:
            if len(widths) != 1:
                raise UsageError(
                    f"The latent to steer '{shortened(words)}' does not say of which SAE it is.",
                    f"Write it as 'SAE.{shortened(number)}'; the report has {', '.join(widths)}.",
                )
            (slug,) = widths
        if slug not in widths:
            raise UsageError(
                f"There is no SAE '{shortened(slug)}' for the latent to steer "
                f"'{shortened(words)}'.",
                did_you_mean(slug, widths) or f"The report has {', '.join(widths)}.",
            )
        chosen, width = _listed(number, words), widths[slug]
        if width is not None and chosen[-1] >= width:
            raise UsageError(
                f"The latent to steer {chosen[-1]} is out of range: {slug} has {width:,} latents, "
                f"0 to {width - 1}."
            )
        found.setdefault(slug, set()).update(chosen)
    if sum(map(len, found.values())) > MOST_LATENTS:
        raise UsageError(
            f"More than {MOST_LATENTS} latents are to be steered.", "Each takes minutes: name few."
        )
    return {slug: sorted(found[slug]) for slug in widths if slug in found}


def parse_sum(
    asked: DirectionConfig, widths: Mapping[str, int | None]
) -> dict[tuple[str, int], float]:
    """The latents of a sum with their weights; weights of one that is named twice are added.

    Args:
        asked: The direction.
        widths: Number of latents of each SAE of the report; None where that is not known yet.

    Raises:
        UsageError: One is not a latent of an SAE of the report, or every weight is zero.
    """
    found: dict[tuple[str, int], float] = {}
    for term in asked.latents:
        own = [
            (slug, n) for slug, all_ in parse_steered([term.latent], widths).items() for n in all_
        ]
        if len(own) != 1:
            raise UsageError(
                f"'{shortened(term.latent)}' in the direction '{asked.name}' is not one latent.",
                "Write one a line, such as {latent: resid-l10.47, weight: 0.5}.",
            )
        found[own[0]] = found.get(own[0], 0.0) + term.weight
    if not any(found.values()):
        raise UsageError(f"Every weight of the direction '{asked.name}' is zero.", "Give some.")
    return {key: weight for key, weight in found.items() if weight}


def parse_concepts(
    asked: Mapping[str, Sequence[str]],
    steered: Mapping[str, Sequence[int]],
    widths: Mapping[str, int | None],
    others: Collection[str] = (),
) -> dict[str, tuple[str, ...]]:
    """The words of the concepts, by what is steered: `sae.latent`, or a direction's name.

    Args:
        asked: Words by name.
        steered: The latents that are steered, by SAE.
        widths: Number of latents of each SAE of the report; None where that is not known yet.
        others: Names of directions that are steered.

    Raises:
        UsageError: A name is of nothing that is steered, or there are two lists of words for one.
    """
    names = [*others, *(f"{slug}.{latent}" for slug, own in steered.items() for latent in own)]
    found: dict[str, tuple[str, ...]] = {}
    for name, words in asked.items():
        meant = name
        if name not in names:
            try:
                ((slug, (latent,)),) = parse_steered([name], widths).items()
                meant = f"{slug}.{latent}"
            except (UsageError, ValueError):
                pass
        if meant not in names:
            raise UsageError(
                f"The concept of '{shortened(name)}' is of nothing that is steered.",
                did_you_mean(name, names)
                or f"What is steered: {', '.join(names[:10]) or 'nothing'}.",
            )
        if meant in found:
            raise UsageError(
                f"There are two concepts of '{shortened(meant)}'.", "Give one of them."
            )
        found[meant] = tuple(words)
    return found


def _listed(number: str, words: str) -> list[int]:
    """The latents of one entry, ascending; several are written as for `--latents`."""
    try:
        selection = parse_selection(number)
    except UsageError as error:
        raise _means_nothing(words) from error
    latents = {
        n for low, high in selection.ranges for n in range(low, min(high, low + MOST_LATENTS) + 1)
    }
    if not latents:
        raise _means_nothing(words)
    return sorted(latents)


def _means_nothing(words: str) -> UsageError:
    return UsageError(
        f"'{shortened(words)}' is not a latent to steer.",
        "Write the SAE and the latent, such as 'resid-l10.47'.",
    )
