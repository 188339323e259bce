"""Sets of transcoders, one a layer, in the format of circuit-tracer: what their files say.

A set is a folder, or a repository on the hub, with a `config.yaml` that names the model and the
hook points, and files of weights by layer. In a *cross-layer* set a layer's latents write to the
MLP of their own layer and of every later one; the set is one transcoder, and what it makes of an
MLP's output is the sum over the layers up to that MLP's. In a *per-layer* set each is a transcoder
of its own. No torch in this module: of weights only the headers are read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saereport.config.yaml_files import parse_yaml
from saereport.sources.saes.config import is_path
from saereport.util.errors import SaereportError, UsageError, did_you_mean, shortened
from saereport.util.inside import is_relative
from saereport.util.untrusted import MIB, Limits, content

SET_CONFIG = "config.yaml"
LIMITS = Limits(file_bytes=MIB, text_bytes=MIB)

CROSS_LAYER, PER_LAYER = "cross_layer_transcoder", "transcoder_set"
"""`model_kind` in a set's configuration."""

FindFile = Callable[[str], Path]
"""Where a file of a set lies, by its name; raises `SaereportError` where it is not."""

Shapes = Mapping[str, Sequence[int]]

_ID = re.compile(r"(?:layer[_-]?)?(\d{1,4})")
_FILES = {
    CROSS_LAYER: re.compile(r"W_enc_(\d{1,4})\.safetensors"),
    PER_LAYER: re.compile(r"layer_(\d{1,4})\.safetensors"),
}


_AS_IN_CIRCUIT_TRACER = {
    **{name: name for name in ("W_enc", "b_enc", "b_dec", "W_dec", "W_skip")},
    "threshold": "activation_function.threshold",
}
_AS_IN_GEMMA_SCOPE = {
    **{name: name.lower() for name in ("W_enc", "b_enc", "b_dec", "W_dec")},
    "threshold": "threshold",
    "W_skip": "affine_skip_connection",
}
"""How a layer's tensors are called where one file holds them all."""

FROM_HUB = "hf://"
"""How the name of a file of another repository begins."""


@dataclass(frozen=True)
class TranscoderSet:
    """What a set's configuration says.

    Attributes:
        label: The set, for messages.
        kind: `CROSS_LAYER` or `PER_LAYER`.
        model_name: The model; None where it names none, or one by a path.
        reads: Where the latents of a layer read, without the layer: `hook_resid_mid`.
        writes: Where they write, likewise.
        files: The file of each layer, where the set names them: beside its configuration, or
            `hf://owner/name/path`. Empty where they are called as circuit-tracer calls them.
    """

    label: str
    kind: str
    model_name: str | None
    reads: str
    writes: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor of a layer lies: its file, its name there, and whether it is transposed."""

    file: str
    name: str
    transposed: bool = False


@dataclass(frozen=True)
class TranscoderLayer:
    """One layer of a set.

    Attributes:
        of: The set.
        number: The layer.
        tensors: Where its tensors lie, by SAELens's names.
        d_in: Width of what it reads.
        d_sae: Its latents.
        d_out: Width of what it writes.
        n_writes: To how many MLPs it writes, its own first; 1 in a per-layer set.
        first: Which of the decoder's places is its own layer's.
    """

    of: TranscoderSet
    number: int
    tensors: Mapping[str, StoredTensor]
    d_in: int
    d_sae: int
    d_out: int
    n_writes: int
    first: int

    @property
    def architecture(self) -> str:
        """SAELens's name for how it encodes, and whether it has a skip connection."""
        jump = "jumprelu_" if "threshold" in self.tensors else ""
        return f"{jump}{'skip_' if 'W_skip' in self.tensors else ''}transcoder"

    @property
    def hook_in(self) -> str:
        """Where it reads."""
        return f"blocks.{self.number}.{self.of.reads}"

    @property
    def hooks_out(self) -> tuple[str, ...]:
        """Where it writes, its own layer first."""
        layers = range(self.number, self.number + self.n_writes)
        return tuple(f"blocks.{layer}.{self.of.writes}" for layer in layers)


@dataclass(frozen=True)
class Whole:
    """The cross-layer transcoder that a layer is of.

    Attributes:
        place: The folder or the repository; equal for the layers of one.
        n_layers: How many layers it has, numbered from 0.
    """

    place: str
    n_layers: int


def is_set(folder: Path) -> bool:
    """Whether a folder is a set's, not one of an SAE in SAELens's format."""
    return (folder / SET_CONFIG).is_file() and not (folder / "cfg.json").is_file()


def in_folder(folder: Path) -> FindFile:
    """Finds files of a set in a folder."""

    def find(name: str) -> Path:
        path = folder / name
        if name.startswith(FROM_HUB):
            raise SaereportError(
                f"The transcoders in {folder.resolve().name} are files on the hub ({name}).",
                "Name the repository that has this config.yaml with --release.",
            )
        if not path.is_file():
            raise SaereportError(
                f"The transcoders in {folder.resolve().name} lack the file {name}.",
                "Copy or download all of the layer's files.",
            )
        return path

    return find


def read_set(path: Path, label: str, kind: str = "") -> TranscoderSet:
    """What the `config.yaml` of a set says.

    Args:
        path: The file.
        label: The set, for messages.
        kind: What it is where it does not say so itself; else told from the files beside it.

    Raises:
        SaereportError: It is damaged, or says something that is not known here.
    """
    where = f"{label}/{SET_CONFIG}"
    try:
        text = content(path, LIMITS).decode("utf-8-sig")
        found = parse_yaml(text, where)
    except (UnicodeDecodeError, UsageError) as error:
        raise SaereportError(f"{where} is not YAML.", "Copy or download it again.") from error
    if not isinstance(found, dict):
        raise SaereportError(f"{where} holds no settings.")
    kind = _text(found, "model_kind", where) or kind or _kind_of(path.parent)
    if kind not in _FILES:
        raise SaereportError(
            f"{where} says model_kind {shortened(repr(kind), 60)}, which is not known here.",
            did_you_mean(kind, _FILES) or f"Known are {' and '.join(_FILES)}.",
        )
    name = _text(found, "model_name", where)
    return TranscoderSet(
        label=label,
        kind=kind,
        # A place on its author's disk is not followed.
        model_name=name if name and not is_path(name) else None,
        reads=_site(found, "feature_input_hook", where),
        writes=_site(found, "feature_output_hook", where),
        files=_files(found.get("transcoders"), where),
    )


def _kind_of(folder: Path) -> str:
    return CROSS_LAYER if layers_of(folder, CROSS_LAYER) else PER_LAYER


def _files(value: Any, where: str) -> tuple[str, ...]:
    """The files that a set names, one for each layer."""
    if value is None:
        return ()
    names = value if isinstance(value, list) else [value]
    if odd := [name for name in names if not _is_file_name(name)]:
        raise SaereportError(
            f"{where} names the file {shortened(repr(odd[0]), 60)} for a layer (transcoders), "
            f"which is no safetensors file beside it or on the hub.",
            "Name the release that holds it, as SAELens lists it.",
        )
    return tuple(names)


def _is_file_name(name: Any) -> bool:
    if not isinstance(name, str) or not name.partition("?")[0].endswith(".safetensors"):
        return False
    return name.count("/") >= 4 if name.startswith(FROM_HUB) else is_relative(name)


def _text(found: Mapping[Any, Any], name: str, where: str) -> str | None:
    value = found.get(name)
    if value is not None and not isinstance(value, str):
        raise SaereportError(f"{where} says {name} {shortened(repr(value), 60)}, which is no text.")
    return value


def _site(found: Mapping[Any, Any], name: str, where: str) -> str:
    value = _text(found, name, where)
    if not value:
        raise SaereportError(
            f"{where} does not say {name}, the hook point of a layer.",
            "Add it, such as hook_resid_mid or hook_mlp_out.",
        )
    return value


def layer_of(sae_id: str) -> int | None:
    """The layer that an id such as `layer_12` or `12` names; None where it names none."""
    match = _ID.fullmatch(sae_id)
    return int(match[1]) if match else None


def layers_of(folder: Path, kind: str) -> list[int]:
    """The layers whose files are in a folder, ascending."""
    found = (_FILES[kind].fullmatch(path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in found if match)


def require_layer(folder: Path, sae_id: str | None) -> int:
    """The layer of a set in a folder that an id names.

    Raises:
        SaereportError: It names none, or one that the folder does not have.
    """
    found = read_set(folder / SET_CONFIG, folder.resolve().name)
    layers = [*range(len(found.files))] if found.files else layers_of(folder, found.kind)
    number = layer_of(sae_id or "")
    if number is None or number not in layers:
        asked = f"no layer '{shortened(sae_id, 40)}'" if sae_id else "one transcoder for each layer"
        ids = f"layer_{layers[0]} to layer_{layers[-1]}" if layers else "none"
        raise SaereportError(
            f"The folder {found.label} holds {asked}.",
            f"Say which layer with --sae-id; it has {ids}.",
        )
    return number


def look_at_layer(
    of: TranscoderSet, number: int, find: FindFile, shapes_of: Callable[[Path], Shapes]
) -> TranscoderLayer:
    """One layer of a set, its tensors' shapes checked against each other.

    Args:
        of: The set.
        number: The layer.
        find: Where its files lie.
        shapes_of: The shapes that the header of a file names.

    Raises:
        SaereportError: A file or a tensor is not there, or is of a shape that does not fit.
    """
    if of.files and number >= len(of.files):
        raise SaereportError(
            f"The set {of.label} has no layer {number:,}.",
            f"Its {SET_CONFIG} names files of layer_0 to layer_{len(of.files) - 1}.",
        )
    wanted, held = _layout(of, number, find, shapes_of)
    _check_names(of, wanted, held)
    shapes = {name: list(held[one.file][one.name]) for name, one in wanted.items()}
    return _checked_shapes(of, number, wanted, shapes)


def _layout(
    of: TranscoderSet, number: int, find: FindFile, shapes_of: Callable[[Path], Shapes]
) -> tuple[dict[str, StoredTensor], dict[str, Shapes]]:
    """Where the tensors of a layer should lie, and the shapes that its files hold."""
    cross = of.kind == CROSS_LAYER
    if cross and not of.files:
        encoder, decoder = f"W_enc_{number}.safetensors", f"W_dec_{number}.safetensors"
        held = {file: shapes_of(find(file)) for file in (encoder, decoder)}
        wanted = {
            "W_enc": StoredTensor(encoder, f"W_enc_{number}", transposed=True),
            "b_enc": StoredTensor(encoder, f"b_enc_{number}"),
            "b_dec": StoredTensor(encoder, f"b_dec_{number}"),
            "W_dec": StoredTensor(decoder, f"W_dec_{number}"),
        }
        optional = {"threshold": StoredTensor(encoder, f"threshold_{number}")}
    else:
        file = of.files[number] if of.files else f"layer_{number}.safetensors"
        held = {file: shapes_of(find(file))}
        gemma = "w_enc" in held[file]
        spelled = _AS_IN_GEMMA_SCOPE if gemma else _AS_IN_CIRCUIT_TRACER
        stored = {
            name: StoredTensor(file, spelled[name], transposed=(name == turned))
            for turned in ("W_skip" if gemma else "W_enc",)
            for name in spelled
        }
        optional = {name: stored.pop(name) for name in ("threshold", "W_skip")}
        wanted = stored
    found = {name: one for name, one in optional.items() if one.name in held[one.file]}
    return {**wanted, **found}, held


def _check_names(
    of: TranscoderSet, wanted: Mapping[str, StoredTensor], held: Mapping[str, Shapes]
) -> None:
    """Check that each tensor is there, and that no file holds one that is not understood."""
    for one in wanted.values():
        if one.name not in held[one.file]:
            raise SaereportError(
                f"{of.label}/{one.file} lacks the tensor {one.name}.",
                "Is it a file of this set of transcoders?",
            )
    known = {one.name for one in wanted.values()}
    for file, shapes in held.items():
        if odd := sorted(set(shapes) - known):
            raise SaereportError(
                f"{of.label}/{file} holds a tensor '{shortened(odd[0], 60)}', which is not known "
                f"here, so its layer may compute something else than would be reported."
            )


def _checked_shapes(
    of: TranscoderSet,
    number: int,
    tensors: Mapping[str, StoredTensor],
    shapes: Mapping[str, list[int]],
) -> TranscoderLayer:
    cross = of.kind == CROSS_LAYER
    encoder, decoder, bias = shapes["W_enc"], shapes["W_dec"], shapes["b_dec"]
    # Gemma Scope 2 stores both the other way round.
    gemma = not tensors["W_enc"].transposed
    encoder = encoder[::-1] if gemma else encoder
    d_sae, d_in = encoder if len(encoder) == 2 else (0, 0)
    d_out = bias[0] if len(bias) == 1 else 0
    places = decoder[1] if cross and len(decoder) == 3 else 1
    # Where one file holds all, the decoder has a place for the layers before its own too.
    first = number if cross and of.files else 0
    if cross and of.files and places != len(of.files):
        one = tensors["W_dec"]
        raise SaereportError(
            f"{of.label}/{one.file}: {one.name} has shape {decoder}, and the set has "
            f"{len(of.files):,} layers, so it is not known which layers it writes to.",
            "The decoder has a place for each layer of the set, as Gemma Scope 2's do.",
        )
    expected = {
        "W_enc": [d_in, d_sae] if gemma else [d_sae, d_in],
        "b_enc": [d_sae],
        "b_dec": [d_out],
        "W_dec": [d_sae, places, d_out] if cross else [d_sae, d_out],
        "threshold": [d_sae],
        "W_skip": [d_in, d_out] if gemma else [d_out, d_in],
    }
    for name, shape in shapes.items():
        if shape != expected[name] or 0 in shape:
            one = tensors[name]
            raise SaereportError(
                f"{of.label}/{one.file}: {one.name} has shape {shape}, which does not go with the "
                f"layer's other tensors ({d_sae:,} latents, {d_in:,} inputs, {d_out:,} outputs).",
                "The files do not belong together, or a tensor is transposed.",
            )
    return TranscoderLayer(of, number, tensors, d_in, d_sae, d_out, places - first, first)
