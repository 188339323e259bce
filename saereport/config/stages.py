"""What saereport's own stages are asked: their keys stand at the top of a configuration.

What is asked of the stage `circuits` is in `config.circuits`; a stage of another package has its
settings with itself, under a key of its own name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from saereport.config.section import Section


class ExamplesConfig(Section):
    """How many examples and list entries each latent gets.

    Attributes:
        top: Top examples.
        before: Tokens of the window before the peak.
        after: Tokens of the window after the peak.
        intervals: Equal intervals of (0, max] to sample from; 0 for none.
        quantiles: Edges of the quantile groups, between 0 and 1.
        per_group: Examples sampled from each interval and quantile group.
        listed: Entries of each list of tokens or latents.
    """

    top: int = Field(20, ge=1, le=1000)
    before: int = Field(16, ge=0, le=4096)
    after: int = Field(8, ge=0, le=4096)
    intervals: int = Field(6, ge=0, le=32)
    quantiles: tuple[float, ...] = (0.5, 0.9, 0.99)
    per_group: int = Field(4, ge=1, le=100)
    listed: int = Field(15, ge=1, le=1000)

    @field_validator("quantiles")
    @classmethod
    def _rising(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if list(value) != sorted(set(value)) or any(not 0 < q < 1 for q in value):
            raise ValueError("quantiles must rise strictly and lie between 0 and 1")
        return value


class StatisticSettings(Section):
    """What is kept of the pass over the text.

    Attributes:
        examples: Numbers of examples and list entries.
    """

    examples: ExamplesConfig = ExamplesConfig()


class BlindSettings(Section):
    """Which latents are met blind.

    Attributes:
        blind: Latents, as `sae:latent`, that the reader is to meet blind.
        with_reveal: Whether a blind report holds what the reader may reveal.
    """

    blind: tuple[str, ...] = ()
    with_reveal: bool = False

    @field_validator("blind", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        return [str(item) if isinstance(item, int) else item for item in values]


class EvaluationSettings(Section):
    """On what whole SAEs are evaluated.

    Attributes:
        evaluation_tokens: Counted tokens, the first of the text, on which each SAE as a whole is
            evaluated; 0 for none.
    """

    evaluation_tokens: int = Field(8192, ge=0)


class ExplanationSettings(Section):
    """Where labels come from, for SAEs that do not say it themselves.

    Attributes:
        explanations: File with labels, when there is one SAE.
    """

    explanations: Path | None = None


class WeightSettings(Section):
    """How tables of weights are computed.

    Attributes:
        map: How the map of latents is made.
    """

    map: Literal["pca", "umap"] = "pca"


class PromptsFileSettings(Section):
    """Over what gradients are averaged.

    Attributes:
        prompts_file: File of prompts, one a line (or JSON lines with `text`), over which the
            gradients between SAEs are averaged.
    """

    prompts_file: Path | None = None
