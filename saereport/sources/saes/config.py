"""What an SAE's configuration says, checked before anything is built from it.

A `cfg.json` is a stranger's file. SAELens drops the fields that it does not know, and reads others
in its own way: an activation function it no longer has becomes ReLU, a normalisation it does not
know is left out. Here every field that decides what an SAE computes is looked at first, and what is
not understood is refused. What an SAE's author may ask of the *model's* loading is a short list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from saereport.sources.quiet import Said
from saereport.sources.saes.architectures import stored_as
from saereport.util.errors import SaereportError, did_you_mean
from saereport.util.untrusted import Limits
from saereport.util.visible import visible_text

LIMITS = Limits(file_bytes=64 * 2**20, text_bytes=64 * 2**20, depth=500, values=1_000_000)
"""What is read of a `cfg.json`."""

DTYPES = ("float32", "bfloat16", "float16", "float64")
"""Number formats that weights can be in; the names of `devices.DTYPES`, without torch."""

NORMALIZATIONS = (
    "none",
    "expected_average_only_in",
    "constant_norm_rescale",
    "layer_norm",
    "covariance_whitening",
)
"""What SAELens can do to activations before they are encoded."""

_READ_WITH_TOPK = ("standard", "topk")
"""Architectures that may name the activation function "topk": before its version 6, SAELens had no
architecture of that name."""

DEEPEST, LONGEST, MOST = 8, 20_000, 10_000
"""How deep metadata are kept, how many characters of a text, how many entries of a list."""

Check = Callable[[Any], bool]


def _whole(least: int, most: int) -> Check:
    return lambda v: isinstance(v, int) and not isinstance(v, bool) and least <= v <= most


def _is(*kinds: type) -> Check:
    return lambda v: isinstance(v, kinds) and (bool in kinds or not isinstance(v, bool))


def _optional(check: Check) -> Check:
    return lambda v: v is None or check(v)


_TEXT = (_optional(_is(str)), "a text")
_FLAG = (_optional(_is(bool)), "true or false")
_WIDTH = (_optional(_whole(1, 10**8)), "a whole number above zero")

_FIELDS: dict[str, tuple[Check, str]] = {
    "architecture": (_is(str), "a text"),
    "d_in": _WIDTH,
    "d_sae": _WIDTH,
    "d_out": _WIDTH,
    "k": (_optional(lambda v: _is(int, float)(v) and 0 < v < 10**8), "a number above zero"),
    "context_size": (_optional(_whole(1, 10**8)), "a whole number above zero"),
    "prepend_bos": _FLAG,
    "apply_b_dec_to_input": (_is(bool), "true or false"),
    "rescale_acts_by_decoder_norm": (_is(bool), "true or false"),
    "finetuning_scaling_factor": _FLAG,
    "is_transcoder": _FLAG,
    "dtype": (
        lambda v: isinstance(v, str) and v.removeprefix("torch.") in DTYPES,
        f"one of {', '.join(DTYPES)}",
    ),
    "hook_head_index": (_optional(_whole(0, 10**6)), "a whole number"),
    "activation_fn_kwargs": (_optional(_is(dict)), "an object"),
    "model_from_pretrained_kwargs": (_optional(_is(dict)), "an object"),
    "sequence_separator_token": (_optional(_is(str, int)), "a text or a token's number"),
    **dict.fromkeys(
        (
            "model_name",
            "model_class_name",
            "hook_name",
            "hook_point",
            "hook_name_out",
            "out_hook_point",
            "hf_hook_name",
            "hf_hook_name_out",
            "dataset_path",
            "neuronpedia_id",
            "sae_lens_version",
            "activation_fn",
            "activation_fn_str",
        ),
        _TEXT,
    ),
}


def check_config(cfg: Any, label: str) -> None:
    """Check a configuration as SAELens's loaders give it, flat (before version 6) or nested.

    Args:
        cfg: The object of a `cfg.json`, or what a loader made of a release.
        label: The SAE, for messages.

    Raises:
        SaereportError: A field is of another type than it must be, or says something that this
            program or SAELens would compute in another way.
    """
    metadata = cfg.get("metadata", {}) if isinstance(cfg, dict) else None
    if not isinstance(metadata, dict):
        raise SaereportError(f"The configuration of the SAE {label} is not a JSON object.")
    for part in (cfg, metadata):
        for name, (check, words) in _FIELDS.items():
            if name in part and not check(part[name]):
                raise _odd(label, name, part[name], f"not {words}")
    architecture = cfg.get("architecture", "standard")
    _check_normalisation(cfg, architecture, label)
    _check_activation(cfg, architecture, label)
    said = {**cfg, **metadata}
    hook = said.get("hook_name") or said.get("hook_point")
    if cfg.get("reshape_activations") == "hook_z" and hook and not hook.endswith("_z"):
        what = f"not possible at '{visible_text(hook)[:80]}', which has no heads"
        raise _odd(label, "reshape_activations", "hook_z", what)
    _check_outputs(said, architecture, label)


def _check_normalisation(cfg: Mapping[str, Any], architecture: str, label: str) -> None:
    value = cfg.get("normalize_activations")
    stored = stored_as(architecture)
    known = (*NORMALIZATIONS, *(stored.normalizations if stored else ()))
    if not (value is None or isinstance(value, bool) or value in known):
        hint = did_you_mean(str(value), known)
        raise _odd(label, "normalize_activations", value, "not a way to normalise known here", hint)
    value = cfg.get("reshape_activations")
    if value not in (None, "none", "hook_z"):
        raise _odd(label, "reshape_activations", value, "not a way to reshape known here")
    if cfg.get("finetuning_scaling_factor"):
        raise _odd(
            label,
            "finetuning_scaling_factor",
            True,
            "a factor on each latent that SAELens applies no more",
            "Multiply the rows of W_dec with it, and save the SAE without it.",
        )


def _check_activation(cfg: Mapping[str, Any], architecture: str, label: str) -> None:
    """SAELens knows ReLU, and TopK where `k` is given; all else it reads as ReLU."""
    stored = stored_as(architecture)
    has_k = stored is not None and "k" in stored.settings
    arguments = cfg.get("activation_fn_kwargs") or {}
    k = arguments.get("k", cfg.get("k"))
    for name in ("activation_fn", "activation_fn_str"):
        value = cfg.get(name)
        if value in (None, "relu"):
            continue
        if value != "topk":
            raise _odd(label, name, value, "not an activation function known here (relu, topk)")
        if k is None:
            raise _odd(label, name, value, "without a k, and would be read as ReLU")
        if "k" in arguments and not _FIELDS["k"][0](k):
            raise _odd(label, "k", k, "not a number above zero")
        if arguments.get("signed"):
            raise _odd(label, f"{name} signed", True, "a TopK by size, whose latents are negative")
        if arguments.get("postact_fn", "relu") not in (None, "relu", "ReLU"):
            raise _odd(label, "postact_fn", arguments["postact_fn"], "read as ReLU by SAELens")
        if architecture not in _READ_WITH_TOPK:
            raise _odd(label, name, value, f"not what the architecture '{architecture}' has")
        if cfg.get("metadata") and not has_k:
            raise _odd(label, name, value, "not what SAELens reads for 'standard', which is ReLU")
    if cfg.get("rescale_acts_by_decoder_norm") and not has_k:
        raise _odd(
            label,
            "rescale_acts_by_decoder_norm",
            True,
            f"not something that SAELens does for '{architecture}'",
        )


def _check_outputs(said: Mapping[str, Any], architecture: str, label: str) -> None:
    """An SAE that writes elsewhere is a transcoder, whatever its author called it."""
    stored = stored_as(architecture)
    if stored is not None and stored.elsewhere:
        if said.get("apply_b_dec_to_input"):
            raise _odd(label, "apply_b_dec_to_input", True, "not possible for a transcoder")
        return
    reads = said.get("hook_name") or said.get("hook_point")
    writes = said.get("hook_name_out") or said.get("out_hook_point")
    elsewhere = writes not in (None, "", reads)
    if said.get("is_transcoder") or elsewhere or said.get("d_out") not in (None, said.get("d_in")):
        raise SaereportError(
            f"The configuration of the SAE {label} describes a transcoder (it writes elsewhere "
            f"than it reads), but its architecture is '{architecture}'.",
            "Save it with SAELens's architecture 'transcoder'.",
        )


def config_doubts(cfg: Mapping[str, Any]) -> list[Said]:
    """Where a configuration contradicts itself in what SAELens no longer reads: the layer."""
    metadata = cfg.get("metadata")
    said = {**cfg, **(metadata if isinstance(metadata, dict) else {})}
    found = []
    for hook, layer in (("hook_name", "hook_layer"), ("hook_point", "hook_point_layer")):
        named = re.match(r"blocks\.(\d+)\.", str(said.get(hook)))
        number = said.get(layer)
        if named and _whole(0, 10**6)(number) and number != int(named[1]):
            text = f"Its configuration names layer {number} ({layer}), but {hook} '{said[hook]}'."
            found.append(Said(text, sanity=True))
    return found


def _odd(label: str, name: str, value: Any, what: str, hint: str = "") -> SaereportError:
    shown = visible_text(repr(value))
    shown = shown if len(shown) <= 60 else f"{shown[:59]}…"
    return SaereportError(
        f"The configuration of the SAE {label} says {name} {shown}, which is {what}.", hint
    )


def nested_as_version_6(cfg: dict[str, Any]) -> dict[str, Any]:
    """Keep metadata that are nested as SAELens 6 nests them, though no version says so.

    Without a version SAELens reads a configuration as an older, flat one, and drops them.
    """
    metadata = cfg.get("metadata")
    said = cfg.get("sae_lens_version") or (metadata or {}).get("sae_lens_version")
    if said or not metadata:
        return cfg
    flat = {name: cfg[name] for name in _FIELDS if name in cfg and name not in metadata}
    return {
        "architecture": "standard",
        **cfg,
        "metadata": {**flat, **metadata},
        "sae_lens_version": "6.0.0",
    }


# What an SAE's author may ask for when the model is loaded.

_REVISION = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")
_ALLOWED: dict[str, tuple[Check, str]] = {
    "fold_ln": (_is(bool), "true or false"),
    "center_writing_weights": (_is(bool), "true or false"),
    "center_unembed": (_is(bool), "true or false"),
    "fold_value_biases": (_is(bool), "true or false"),
    # A HookedTransformer makes a table of n_ctx by n_ctx.
    "n_ctx": (_whole(1, 2**17), "a whole number from 1 to 131,072"),
    "revision": (lambda v: isinstance(v, str) and bool(_REVISION.fullmatch(v)), "a revision"),
    "checkpoint_index": (_whole(0, 10**6), "a whole number"),
    "checkpoint_value": (_whole(0, 10**9), "a whole number"),
}
"""Keyword arguments of the model's loading that are heeded, each with its check."""

HEEDED = tuple(_ALLOWED)

_WITHOUT_EFFECT = frozenset(
    {
        "default_prepend_bos",
        "default_padding_side",
        "device",
        "local_files_only",
        "low_cpu_mem_usage",
        "move_to_device",
        "n_devices",
        "attn_implementation",
    }
)
"""Those that change nothing here: this program decides them, and no number depends on them."""


def model_arguments(asked: Any, label: str, dtype: str) -> tuple[dict[str, Any], list[Said]]:
    """Of what an SAE's metadata ask the model to be loaded with, what is heeded.

    Args:
        asked: `model_from_pretrained_kwargs`.
        label: The SAE, for messages.
        dtype: The number format that the user chose, which wins.

    Returns:
        The keyword arguments, and what a reader must know of the others.

    Raises:
        SaereportError: A value is not of the kind that it must be.
    """
    kept: dict[str, Any] = {}
    said: list[Said] = []
    for name, value in (asked or {}).items():
        if name in _ALLOWED:
            check, words = _ALLOWED[name]
            if not check(value):
                raise _odd(label, f"model_from_pretrained_kwargs.{name}", value, f"not {words}")
            kept[name] = value
        elif name in ("dtype", "torch_dtype"):
            format_ = str(value).removeprefix("torch.")
            if format_ not in DTYPES:
                raise _odd(label, f"model_from_pretrained_kwargs.{name}", value, "no number format")
            if format_ != dtype:
                said.append(Said(f"Its metadata ask for the model in {format_}; it is in {dtype}."))
        elif name == "trust_remote_code":
            if value:
                said.append(
                    Said(
                        "Its metadata ask for code of the model's repository to be run "
                        "(trust_remote_code); that is for the user to allow, and was ignored."
                    )
                )
        elif name not in _WITHOUT_EFFECT and value is not None and value is not False:
            shown = visible_text(str(name))[:60]
            said.append(
                Said(f"Its metadata ask for the model to be loaded with '{shown}': ignored.")
            )
    return kept, said


def plain_metadata(value: Any, depth: int = 0) -> Any:
    """Metadata as JSON that a run may hold: no paths, nothing endless, only Unicode.

    Directories are cut off paths, since where things lay is nobody's business.
    """
    if isinstance(value, (dict, list, tuple)) and depth >= DEEPEST:
        return "(nested deeper than is kept)"
    if isinstance(value, dict):
        items = list(value.items())[:MOST]
        return {_plain_text(str(k)): plain_metadata(v, depth + 1) for k, v in items}
    if isinstance(value, (list, tuple)):
        return [plain_metadata(item, depth + 1) for item in value[:MOST]]
    if isinstance(value, str):
        for flavour in (PurePosixPath(value), PureWindowsPath(value)):
            if flavour.is_absolute():
                return _plain_text(flavour.name)
        return _plain_text(value)
    if isinstance(value, float) and not abs(value) <= 1e300:
        return str(value)  # JSON has no NaN and no infinity
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**63:
        return f"{value:.6g}" if abs(value) < 10**300 else "(a number too large)"
    return value if isinstance(value, (int, float, bool, type(None))) else _plain_text(str(value))


def _plain_text(text: str) -> str:
    text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return text.encode("utf-8", "replace").decode("utf-8")


def is_path(name: str) -> bool:
    """Whether a name in metadata is a place on a disk rather than a name on the hub."""
    return (
        name.startswith((".", "~", "/", "\\"))
        or "\\" in name
        or PureWindowsPath(name).is_absolute()
        or name.endswith(".gguf")
        or name.count("/") > 1
    )
