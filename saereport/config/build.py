"""What a build is asked to do: one frozen, validated object.

The same fields can be written in YAML, given on the command line (which overrides the YAML), or
passed from Python. What the stages of a build are asked is in `config.stages` and
`config.circuits`; a plug-in's stage has a key of its own name. Nothing here imports
torch.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
)

from saereport.config.circuits import PromptSettings
from saereport.config.engine import EngineSettings
from saereport.config.geometry import GeometrySettings
from saereport.config.interventions import InterventionSettings, OutputScoreSettings
from saereport.config.meta import MetaSettings
from saereport.config.paths import LABELS, NAME_OR_PATH, NameOrPath, with_paths
from saereport.config.probing import (
    AbsorptionSettings,
    BiasSettings,
    ProbingSettings,
    files_apart,
)
from saereport.config.quantities import read_bytes, read_count, split_list
from saereport.config.refusals import refusal
from saereport.config.section import SECTIONS, Option, Section
from saereport.config.selection import parse_selection
from saereport.config.stages import (
    BlindSettings,
    CapabilitySettings,
    EvaluationSettings,
    ExplanationSettings,
    LensSettings,
    PromptsFileSettings,
    StatisticSettings,
    WeightSettings,
)
from saereport.config.steering import SteeringSettings
from saereport.config.yaml_files import exists, read_yaml, require_readable
from saereport.util.errors import UsageError, shortened
from saereport.util.slugs import name_of_sae, unique_slugs

__all__ = [
    "DTYPES",
    "BuildConfig",
    "SaeConfig",
    "make_config",
    "read_config",
]

DTYPES = ("float32", "float16", "bfloat16")
DEVICE_MAPS = ("auto", "balanced", "balanced_low_0", "sequential")
"""Ways to spread a model over devices that accelerate knows by name."""

DEVICE_PATTERN = r"^(auto|cpu|mps|cuda(:\d+)?)$"


class SaeConfig(Section):
    """One SAE: a SAELens release and id, or a folder on disk."""

    release: str | None = None
    """SAELens release, with `sae_id`."""
    sae_id: str | None = None
    """Id in the release; in a folder that holds a set of transcoders the layer: `layer_12`."""
    path: Path | None = None
    """Folder in SAELens's format, or of a set of transcoders, in place of the release."""
    latents: str | None = None
    """Which latents to show; the build's `latents` where absent."""
    explanations: Annotated[Path | None, LABELS] = None
    """Labels of its latents: a file, a folder, or 'neuronpedia' for those published there."""

    @field_validator("latents", mode="before")
    @classmethod
    def _latents_as_words(cls, value: Any) -> Any:
        return _latent_words(value)

    def checked(self) -> SaeConfig:
        """Itself, if it names exactly one SAE.

        Raises:
            UsageError: It names none or two, or its `latents` mean nothing.
        """
        if self.path is not None and self.release:
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


class BuildConfig(
    ExplanationSettings,
    WeightSettings,
    OutputScoreSettings,
    InterventionSettings,
    SteeringSettings,
    PromptsFileSettings,
    PromptSettings,
    EvaluationSettings,
    CapabilitySettings,
    LensSettings,
    GeometrySettings,
    MetaSettings,
    ProbingSettings,
    BiasSettings,
    AbsorptionSettings,
    StatisticSettings,
    BlindSettings,
    EngineSettings,
):
    """Everything that `saereport build` is asked; the stages' own fields are with the stages."""

    title: str | None = None
    """Heading of the report; made from the SAEs where absent."""
    model: Annotated[str | None, NAME_OR_PATH] = None
    """Model name, folder or GGUF file; the SAE's own where absent; `demo` is built in."""
    saes: tuple[SaeConfig, ...] = ()
    """The SAEs, at least one."""
    latents: str = "random:50"
    """Which latents to show, for SAEs that do not say it themselves: `0-9,14057`, `3 5 8`, `all`,
    `random:50`, `top:50`, `live` (active on more than 1e-4 of the counted tokens), `live:1e-3` or
    `live:1e-3:200` (200 of these at random).
    """
    dataset: Annotated[str | None, NAME_OR_PATH] = None
    """Hugging Face dataset, file, folder, or `demo`; the SAE's own training text where absent."""
    dataset_config: str | None = None
    """Configuration of a Hugging Face dataset, where it has several."""
    dataset_split: str = "train"
    """Split of a Hugging Face dataset, or of a folder that `save_to_disk` wrote."""
    dataset_revision: str | None = None
    """Revision of a Hugging Face dataset: a branch, a tag or a commit; the newest where absent."""
    text_column: str | None = None
    """Column that holds the text: text, token ids, or the messages of conversations."""
    # Counts of a latent's tokens have 32 bits.
    tokens: int = Field(1_000_000, ge=1, le=2_000_000_000)
    """Tokens to read, such as `500k` or `10M`, rounded up to whole sequences."""
    context_size: int | None = Field(None, ge=2, le=1_048_576)
    """Tokens in a sequence; what the SAEs were trained with where absent."""
    include_special: bool = False
    """Count BOS and other special tokens too."""
    device: str = "auto"
    """Where to compute: `auto`, `cuda`, `cuda:1`, `mps` or `cpu`."""
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """Number type of the model, and of the SAEs where `sae_dtype` is absent."""
    sae_dtype: Literal["float32", "float16", "bfloat16"] | None = None
    """Number type of the SAEs."""
    device_map: Annotated[str | None, NameOrPath(DEVICE_MAPS)] = None
    """Spread the model over several CUDA devices: `auto`, `balanced`, `balanced_low_0`,
    `sequential`, or a YAML or JSON file with the device of each module.
    """
    quantize: Literal["nf4", "int8"] | None = None
    """Pack the model's weights into 4 or 8 bits with bitsandbytes, on a CUDA device."""
    batch_size: int | str = "auto"
    """Sequences in a forward pass, or `auto`."""
    activations_cache: Path | None = None
    """Folder that keeps the model's activations for other builds: a second SAE at the same hook
    point, or other latents, then cost no forward pass.
    """
    activations_cache_size: Annotated[int | str, Option(metavar="SIZE")] = Field(
        "50GB", validate_default=True
    )
    """Bytes that this folder may have, such as `50GB`; when they are used up no more is kept."""
    keep: Annotated[int | str, Option(metavar="SIZE")] = Field("2GB", validate_default=True)
    """Bytes of what was computed that stay beside the output, in `<out>.kept`, so that the next
    build of this name computes only what is missing; 0 for none.
    """
    seed: int = Field(0, ge=0, le=2**63 - 1)
    """Seed of everything random."""
    skip: tuple[str, ...] = ()
    """Stages, statistics and tables to leave out, by name."""
    neuronpedia_embed: bool = False
    """Offer Neuronpedia's page of a latent in a frame that loads on a click."""
    profile_memory: bool = False
    """Record the largest tensors and the peak of each stage."""
    strict: bool = False
    """Make an error of what the sanity checks warn of."""
    trust_remote_code: bool = False
    """Let Python code of the model's repository run on this machine; only where it is trusted."""

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

    @field_validator("activations_cache_size", "keep", mode="before")
    @classmethod
    def _as_bytes(cls, value: Any, info: ValidationInfo) -> int:
        size: Any = value
        if isinstance(value, str):
            try:
                size = read_bytes(value)
            except UsageError:
                size = -1
        if isinstance(size, int) and size >= (0 if info.field_name == "keep" else 1):
            return size
        raise ValueError("it is a number of bytes, such as 50GB")

    @field_validator("skip", mode="before")
    @classmethod
    def _names_as_a_list(cls, value: Any) -> Any:
        if not isinstance(value, (str, list, tuple)):
            return value
        words = [value] if isinstance(value, str) else value
        # An item may be a list too: `--skip a,b --skip c`.
        parts = [split_list(word) if isinstance(word, str) else [word] for word in words]
        return [name for part in parts for name in part if name != ""]

    @field_validator("device")
    @classmethod
    def _a_device(cls, value: str) -> str:
        if re.fullmatch(DEVICE_PATTERN, value) is None:
            raise ValueError("it is auto, cpu, mps, cuda or cuda:N")
        return value

    @property
    def slugs(self) -> list[str]:
        """The names that the SAEs have in the run."""
        return unique_slugs(name_of_sae(sae.release, sae.sae_id, sae.path) for sae in self.saes)

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
        parse_selection(self.latents)
        return self


def config_class() -> type[BuildConfig]:
    """`BuildConfig` with a field for each stage of a plug-in that has settings.

    Where its settings have no defaults, the field is None unless it is given.
    """
    fields: dict[str, Any] = {}
    for name, section in SECTIONS.items():
        if any(field.is_required() for field in section.model_fields.values()):
            fields[name] = (section | None, None)
        else:
            fields[name] = (section, Field(default_factory=section))
    return create_model("BuildConfig", __base__=BuildConfig, **fields) if fields else BuildConfig


def with_plugins(config: BuildConfig) -> BuildConfig:
    """A configuration that was made as a `BuildConfig`, with the settings of plug-ins' stages."""
    asked = config_class()
    if set(asked.model_fields) == set(type(config).model_fields):
        return config
    known = config.model_fields_set & set(asked.model_fields)
    return asked.model_validate({name: getattr(config, name) for name in known})


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


def make_config(
    values: Mapping[str, Any],
    *,
    origin: str = "the configuration",
    given: Collection[str] = (),
) -> BuildConfig:
    """A configuration from plain values.

    Args:
        values: Fields of `BuildConfig`, as YAML or keyword arguments would give them.
        origin: Where they come from, for messages.
        given: Places, with dots, of those that come from the command line in any case.

    Raises:
        UsageError: A field is unknown or its value is not allowed; says which.
    """
    require_readable(values, origin)
    asked = config_class()
    try:
        return asked.model_validate(dict(values))
    except ValidationError as error:
        raise refusal(error, origin, asked, given) from error


def read_config(path: Path) -> dict[str, Any]:
    """The settings in a YAML file; relative input paths are taken from the file's folder.

    Args:
        path: The file that `saereport init` wrote or one like it.

    Raises:
        SaereportError: There is no such file, or it cannot be read.
        UsageError: It is not YAML, not a mapping of settings, or holds too much.
    """
    values = read_yaml(path)
    if values is None:
        values = {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise UsageError(f"'{path}' does not hold settings.", "'saereport init' writes an example.")
    require_readable(values, f"'{path}'")
    if "probe" in values:
        values["probe"] = files_apart(values["probe"], path.parent)
    return _with_paths_from(values, path.parent)


def _with_paths_from(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Input paths that exist beside the YAML file, made to work from any working directory."""

    def beside(value: str, certain: bool) -> str:
        there = not Path(value).is_absolute() and exists(folder / value)
        return str(folder / value) if there else value

    return dict(with_paths(values, config_class(), beside))
