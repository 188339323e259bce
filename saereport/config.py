"""What a build is asked to do: one frozen, validated object.

The same fields can be written in YAML, given on the command line (which overrides the YAML), or
passed from Python. Nothing here imports torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from saereport.errors import UsageError, did_you_mean, shortened
from saereport.quantities import read_bytes, read_count, read_length, split_list
from saereport.selection import parse_selection
from saereport.yaml_files import exists, read_yaml, require_readable

DTYPES = ("float32", "float16", "bfloat16")
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

DEVICE_PATTERN = r"^(auto|cpu|mps|cuda(:\d+)?)$"


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


class SaeConfig(Asked):
    """One SAE: a SAELens release and id, or a folder on disk.

    Attributes:
        release: SAELens release, with `sae_id`.
        sae_id: Id in the release.
        path: Folder in SAELens's format, in place of release and id.
        latents: Which latents to show; the build's `latents` where absent.
        explanations: File with labels for this SAE's latents.
    """

    release: str | None = None
    sae_id: str | None = None
    path: Path | None = None
    latents: str | None = None
    explanations: Path | None = None

    @field_validator("latents", mode="before")
    @classmethod
    def _latents_as_words(cls, value: Any) -> Any:
        return _latent_words(value)

    def checked(self) -> SaeConfig:
        """Itself, if it names exactly one SAE.

        Raises:
            UsageError: It names none or two, or its `latents` mean nothing.
        """
        if self.path is not None and (self.release or self.sae_id):
            raise UsageError(
                f"An SAE is named both by path '{self.path}' and by release.", "Give one of them."
            )
        if self.path is None and not (self.release and self.sae_id):
            raise UsageError(
                f"An SAE needs both a release and an id (got release {self.release!r}, id "
                f"{self.sae_id!r}), or a path.",
                "Give --release and --sae-id, or --sae-path.",
            )
        if self.latents is not None:
            parse_selection(self.latents)
        return self


class ExamplesConfig(Asked):
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


class PromptConfig(Asked):
    """One prompt that circuits are computed on: text, token ids, or repeated random tokens.

    Attributes:
        name: Heading; made from the prompt where absent.
        text: The prompt; `text => answer` gives the answer too.
        tokens: Token ids, in place of text; used as they are, so BOS is the user's to give.
        repeat_random: Number of random tokens to draw and repeat, in place of text.
        seed: Seed of the random tokens.
        answer: The next token to follow, as text.
        saes: SAEs of the report to use, by name; those of `pairs`, or all, where absent.
        pairs: Pairs of SAEs (earlier, later) to take gradients between; all where absent.
        graph: Whether to make an attribution graph.
    """

    name: str | None = None
    text: str | None = None
    tokens: tuple[int, ...] | None = None
    repeat_random: int | None = Field(None, ge=1, le=100_000)
    seed: int = Field(0, ge=0, le=2**63 - 1)
    answer: str | None = None
    saes: tuple[str, ...] | None = None
    pairs: tuple[tuple[str, str], ...] | None = None
    graph: bool = False

    def checked(self) -> PromptConfig:
        """Itself, if it is exactly one kind of prompt.

        Raises:
            UsageError: It is none or two.
        """
        kinds = [self.text is not None, self.tokens is not None, self.repeat_random is not None]
        if sum(kinds) != 1:
            raise UsageError(
                f"The prompt '{self.name or self.text or ''}' needs one of text, tokens and "
                f"repeat_random, and has {sum(kinds)}.",
                "See 'saereport init' for examples.",
            )
        return self


class GraphConfig(Asked):
    """How attribution graphs are made.

    Attributes:
        saes: SAEs of the report that take part, by name; its MLP transcoders where absent.
        max_latents: Active latents whose inputs are computed, the most influential first.
        max_logits: Logits at most.
        logit_share: Share of the probability that the logits are to hold.
        node_threshold: Cumulative influence that the kept nodes hold.
        edge_threshold: Cumulative influence that the kept links hold.
        checks: Links checked by intervention.
    """

    saes: tuple[str, ...] | None = None
    max_latents: int = Field(4096, ge=1)
    max_logits: int = Field(10, ge=1)
    logit_share: float = Field(0.95, gt=0, le=1)
    node_threshold: float = Field(0.8, gt=0, le=1)
    edge_threshold: float = Field(0.98, gt=0, le=1)
    checks: int = Field(20, ge=0)


class CircuitsConfig(Asked):
    """How circuits are computed on prompts and examples.

    Attributes:
        include_bos: Treat BOS like any other token.
        max_prompt: Tokens of the longest prompt; attention patterns take memory with its square.
        top_logits: Logits that latents are traced to.
        pairs_kept: Gradients stored for each pair of places, the largest first.
        max_inputs: Active latents used as inputs, those with the largest activations first.
        max_outputs: Active latents used as outputs, likewise.
        checks: Pairs checked by intervention, for each pair of places.
        attributed: Active latents of each SAE on a prompt that are decomposed.
        influences: Influences listed for each of them.
        examples: Top examples of each chosen latent that are decomposed; 0 for none.
        example_latents: Chosen latents of an SAE up to which that is done.
        memory: Bytes that batched derivatives may take, or `auto`.
        graph: How attribution graphs are made.
    """

    include_bos: bool = False
    max_prompt: int = Field(1024, ge=2)
    top_logits: int = Field(10, ge=1)
    pairs_kept: int = Field(2000, ge=1)
    max_inputs: int = Field(4096, ge=1)
    max_outputs: int = Field(1024, ge=1)
    checks: int = Field(24, ge=0)
    attributed: int = Field(8, ge=0)
    influences: int = Field(12, ge=1)
    examples: int = Field(4, ge=0)
    example_latents: int = Field(256, ge=0)
    memory: int | Literal["auto"] = "auto"
    graph: GraphConfig = GraphConfig()

    @field_validator("memory", mode="before")
    @classmethod
    def _bytes_or_auto(cls, value: Any) -> Any:
        if isinstance(value, str) and value != "auto":
            try:
                value = read_bytes(value)
            except UsageError as error:
                raise ValueError("it is 'auto' or a number of bytes, such as 8GB") from error
        if value == "auto" or (isinstance(value, int) and value >= 1):
            return value
        raise ValueError("it is 'auto' or a whole number of bytes, at least 1")


class BuildConfig(Asked):
    """Everything that `saereport build` is asked.

    Attributes:
        title: Heading of the report; made from the SAEs where absent.
        model: Model name, folder or GGUF file; the SAE's own where absent. `demo` is the model
            that comes with saereport.
        saes: The SAEs, at least one.
        latents: Which latents to show, for SAEs that do not say it themselves.
        dataset: Hugging Face dataset, local file or folder, or `demo`; the SAE's own training
            text where absent.
        dataset_config: Configuration name of a Hugging Face dataset.
        dataset_split: Its split.
        text_column: Column that holds the text.
        tokens: How many tokens to read, rounded up to whole sequences.
        context_size: Tokens in a sequence; what the SAEs were trained with where absent.
        include_special: Count BOS and other special tokens too.
        evaluation_tokens: Counted tokens, the first of the text, on which each SAE as a whole is
            evaluated; 0 for none.
        device: `auto`, `cpu`, `mps`, `cuda` or `cuda:N`.
        dtype: Number type of model and SAEs.
        batch_size: Sequences in a forward pass, or `auto`.
        seed: Seed of everything random.
        examples: Numbers of examples and list entries.
        skip: Statistics to leave out, by name.
        map: How the map of latents is made.
        explanations: File with labels, when there is one SAE.
        prompts: Prompts that circuits are computed on.
        prompts_file: File of prompts, one a line (or JSON lines with `text`), over which the
            gradients between SAEs are averaged.
        circuits: How circuits are computed.
        blind: Latents, as `sae:latent`, that the reader is to meet blind.
        with_reveal: Whether a blind report holds what the reader may reveal.
        neuronpedia_embed: Offer Neuronpedia's own page of a latent in a frame, on a click.
        profile_memory: Record the largest tensors and the peak of each stage.
        strict: Make an error of what the sanity checks warn of.
        trust_remote_code: Let Python code of the model's repository run; only where it is trusted.
    """

    title: str | None = None
    model: str | None = None
    saes: tuple[SaeConfig, ...] = ()
    latents: str = "random:50"
    dataset: str | None = None
    dataset_config: str | None = None
    dataset_split: str = "train"
    text_column: str | None = None
    tokens: int = Field(1_000_000, ge=1)
    context_size: int | None = Field(None, ge=2, le=1_048_576)
    include_special: bool = False
    evaluation_tokens: int = Field(8192, ge=0)
    device: str = "auto"
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    batch_size: int | str = "auto"
    seed: int = Field(0, ge=0, le=2**63 - 1)
    examples: ExamplesConfig = ExamplesConfig()
    skip: tuple[str, ...] = ()
    map: Literal["pca", "umap"] = "pca"
    explanations: Path | None = None
    prompts: tuple[PromptConfig, ...] = ()
    prompts_file: Path | None = None
    circuits: CircuitsConfig = CircuitsConfig()
    blind: tuple[str, ...] = ()
    with_reveal: bool = False
    neuronpedia_embed: bool = False
    profile_memory: bool = False
    strict: bool = False
    trust_remote_code: bool = False

    @field_validator("latents", mode="before")
    @classmethod
    def _latents_as_words(cls, value: Any) -> Any:
        return _latent_words(value)

    @field_validator("batch_size", mode="before")
    @classmethod
    def _size_or_auto(cls, value: Any) -> int | str:
        size: int | str = value
        if isinstance(value, str) and value != "auto":
            try:
                size = read_count(value)
            except UsageError:
                size = 0
        if size == "auto" or (isinstance(size, int) and size >= 1):
            return size
        raise ValueError("it is 'auto' or a whole number of sequences, at least 1")

    @field_validator("skip", "blind", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any, info: ValidationInfo) -> Any:
        if info.field_name == "blind":
            values = list(value) if isinstance(value, (list, tuple)) else [value]
            return [str(item) if isinstance(item, int) else item for item in values]
        return [part for part in split_list(value) if part] if isinstance(value, str) else value

    @field_validator("device")
    @classmethod
    def _a_device(cls, value: str) -> str:
        if re.fullmatch(DEVICE_PATTERN, value) is None:
            raise ValueError("it is auto, cpu, mps, cuda or cuda:N")
        return value

    def checked(self) -> BuildConfig:
        """Itself, if it can be built as far as can be told without opening anything.

        Raises:
            UsageError: It names no SAE, or a part of it means nothing.
        """
        if not self.saes:
            raise UsageError(
                "No SAE is named.",
                "Give --release and --sae-id, --sae-path, or a YAML file with 'saes'.",
            )
        for sae in self.saes:
            sae.checked()
        for prompt in self.prompts:
            prompt.checked()
        parse_selection(self.latents)
        if self.explanations is not None and len(self.saes) > 1:
            raise UsageError(
                f"One file of explanations was given for {len(self.saes)} SAEs.",
                "Name it in the YAML file beside its SAE.",
            )
        return self


_PARTS: dict[tuple[str, ...], type[Asked]] = {
    ("saes",): SaeConfig,
    ("examples",): ExamplesConfig,
    ("prompts",): PromptConfig,
    ("circuits",): CircuitsConfig,
    ("circuits", "graph"): GraphConfig,
}
"""The settings that lie inside another one."""


def _latent_words(value: Any) -> Any:
    """YAML reads `7` and `[1, 2]` as numbers; both are selections."""
    if isinstance(value, (list, tuple)):
        if not value:
            raise ValueError("it names no latent")
        for item in value:
            if isinstance(item, bool) or not isinstance(item, (int, str)):
                raise ValueError(f"{shortened(item, 40)!r} in it is neither a latent nor a range")
        return ",".join(str(item) for item in value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


def make_config(values: Mapping[str, Any], *, origin: str = "the configuration") -> BuildConfig:
    """A configuration from plain values.

    Args:
        values: Fields of `BuildConfig`, as YAML or keyword arguments would give them.
        origin: Where they come from, for messages.

    Raises:
        UsageError: A field is unknown or its value is not allowed; says which.
    """
    require_readable(values, origin)
    try:
        return BuildConfig.model_validate(dict(values))
    except ValidationError as error:
        raise _explained(error, origin) from error


def _explained(error: ValidationError, origin: str) -> UsageError:
    first = error.errors(include_url=False)[0]
    where = shortened(".".join(str(part) for part in first["loc"]))
    if first["type"] == "extra_forbidden":
        *outer, last = (part for part in first["loc"] if isinstance(part, str))
        known = _PARTS.get(tuple(outer), BuildConfig).model_fields
        return UsageError(f"'{where}' in {origin} is not a setting.", did_you_mean(last, known))
    reason = re.sub(r"^(Value error, |Input )", "", first["msg"])
    given = f"'{shortened(i)}'" if isinstance(i := first["input"], str) else shortened(i)
    return UsageError(f"'{where}' in {origin} cannot be {given}: {shortened(reason, 200)}.")


def read_config(path: Path) -> dict[str, Any]:
    """The settings in a YAML file; relative input paths are taken from the file's folder.

    Args:
        path: The file that `saereport init` wrote or one like it.

    Raises:
        SaereportError: There is no such file, or it cannot be read.
        UsageError: It is not YAML or not a mapping of settings.
    """
    values = read_yaml(path)
    if values is None:
        values = {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise UsageError(f"'{path}' does not hold settings.", "'saereport init' writes an example.")
    return _with_paths_from(values, path.parent)


def _with_paths_from(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Input paths that exist beside the YAML file, made to work from any working directory."""

    def moved(value: Any) -> Any:
        if value == "demo":
            return value
        if (
            isinstance(value, str)
            and value.strip()
            and not Path(value).is_absolute()
            and exists(folder / value)
        ):
            return str(folder / value)
        return value

    result = dict(values)
    for key in ("dataset", "model", "explanations", "prompts_file"):
        if key in result:
            result[key] = moved(result[key])
    if isinstance(result.get("saes"), list):
        result["saes"] = [
            {k: moved(v) if k in ("path", "explanations") else v for k, v in sae.items()}
            if isinstance(sae, dict)
            else sae
            for sae in result["saes"]
        ]
    return result
