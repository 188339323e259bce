"""What saereport's own stages are asked: their keys stand at the top of a configuration.

What is asked of the stage `circuits` is in `config.circuits`; a stage of another package has its
settings with itself, under a key of its own name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from saereport.config.paths import LABELS
from saereport.config.quantities import read_budget, read_count, split_list
from saereport.config.section import Option, Section
from saereport.util.errors import UsageError


class ExamplesConfig(Section):
    """How many examples and list entries each latent gets."""

    top: int = Field(20, ge=1, le=1000)
    """Top examples."""
    before: int = Field(16, ge=0, le=4096)
    """Tokens of the window before the peak."""
    after: int = Field(8, ge=0, le=4096)
    """Tokens of the window after the peak."""
    intervals: int = Field(6, ge=0, le=32)
    """Equal intervals of (0, max] to sample from; 0 for none."""
    quantiles: tuple[float, ...] = (0.5, 0.9, 0.99)
    """Edges of the quantile groups, between 0 and 1."""
    per_group: int = Field(4, ge=1, le=100)
    """Examples sampled from each interval and quantile group."""
    listed: int = Field(15, ge=1, le=1000)
    """Entries of each list of tokens or latents."""

    @field_validator("quantiles")
    @classmethod
    def _rising(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if list(value) != sorted(set(value)) or any(not 0 < q < 1 for q in value):
            raise ValueError("quantiles must rise strictly and lie between 0 and 1")
        return value


class StatisticSettings(Section):
    """What is kept of the pass over the text."""

    examples: ExamplesConfig = ExamplesConfig()
    """Numbers of examples and list entries."""


class BlindSettings(Section):
    """Which latents are met blind."""

    blind: Annotated[tuple[str, ...], Option(metavar="[SAE:]LATENT")] = ()
    """Latents that the reader is to meet without the text that activates them, as `sae:latent`."""
    with_reveal: bool = False
    """Let the reader of a blind report reveal that text on a click; else it is in no file."""

    @field_validator("blind", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        return [str(item) if isinstance(item, int) else item for item in values]


class EvaluationSettings(Section):
    """On what whole SAEs are evaluated."""

    evaluate: Annotated[int | str, Option(metavar="BUDGET")] = 8192
    """How much each SAE as a whole is evaluated: on so many counted tokens, the first of the text
    (`200k`), or for so long (`60s`, which becomes a number of tokens before the work starts); 0 for
    none.
    """

    @field_validator("evaluate", mode="before")
    @classmethod
    def _tokens_or_seconds(cls, value: Any) -> int | str:
        try:
            budget = read_budget(value) if isinstance(value, str) else value
        except UsageError as error:
            raise ValueError(str(error).rstrip(".")) from error
        if isinstance(budget, int | str) and (isinstance(budget, str) or budget >= 0):
            return budget
        raise ValueError("it is a number of tokens such as 200k, a time such as 60s, or 0 for none")


class CapabilitySettings(Section):
    """By which prompts with answers SAEs are judged."""

    capability: Annotated[tuple[str, ...], Option(metavar="SET")] = ()
    """Capability tests: built-in sets of prompts with answers on which the model, the model with
    each SAE's reconstruction and zero ablation are compared: `indirect_objects`, `capitals`,
    `induction`, `agreement`, `greater_than`, or `all`.
    """
    capability_file: Path | None = None
    """File of prompts for capability tests, JSON lines with `prompt` and `answer`, and if wanted
    `wrong` (an answer that is wrong) and `set`.
    """

    @field_validator("capability", mode="before")
    @classmethod
    def _sets_as_a_list(cls, value: Any) -> Any:
        words = value if isinstance(value, (list, tuple)) else [value]
        # An item may be a list too: `--capability capitals,induction`.
        parts = [split_list(word) if isinstance(word, str) else [word] for word in words]
        names = [name for part in parts for name in part if name != ""]
        if words and not names:
            raise ValueError("it names no set; leave it out, or give [] for none")
        return names


class LensSettings(Section):
    """What is asked about the logit lens of whole dictionaries."""

    lens: Annotated[int | str, Option(metavar="N|all")] = 0
    """Logit lens of the whole dictionary: of how many latents of each SAE its moments over the
    vocabulary are taken, `all` or a number such as `4k` (those that are shown, and others evenly
    spaced); 0 for none.
    """
    enrichment: Literal["shown", "all", "none"] = "shown"
    """Which of these latents are tested for token sets (digits, names, scripts, ...) that they
    raise or lower as a whole.
    """
    token_sets: Path | None = None
    """File with token sets of your own, JSON or YAML: a name, and a list of words or token ids."""
    enrichment_permutations: int = Field(10_000, ge=99, le=10_000_000)
    """Random token sets of each size that p-values are taken from."""

    @field_validator("lens", mode="before")
    @classmethod
    def _all_or_some(cls, value: Any) -> int | str:
        size: Any = value
        if isinstance(value, str) and value != "all":
            try:
                size = read_count(value)
            except UsageError:
                size = -1
        if size == "all" or (isinstance(size, int) and size >= 0):
            return size  # type: ignore[no-any-return]
        raise ValueError("it is 'all' or a whole number of latents")


class ExplanationSettings(Section):
    """Where labels come from, for SAEs that do not say it themselves."""

    explanations: Annotated[Path | None, LABELS] = None
    """Labels of latents, where there is one SAE: Neuronpedia's JSON lines, CSV with index and
    description, or a folder of Neuronpedia's or Delphi's files; 'neuronpedia' fetches those that
    Neuronpedia has published of each SAE.
    """


class WeightSettings(Section):
    """How tables of weights are computed."""

    map: Literal["pca", "umap"] = "pca"
    """How the map of latents is made."""


class PromptsFileSettings(Section):
    """Over what gradients are averaged."""

    prompts_file: Path | None = None
    """File of prompts, one a line (or JSON lines with `text`), over which the gradients between
    SAEs are averaged.
    """
