"""Loading language models: by a name, from a directory, from a `.gguf` file, or the demo's.

Names that TransformerLens's `HookedTransformer` knows are loaded as one, everything else as a
`TransformerBridge`. Either way the weights come as they are, but for the processing that an SAE's
metadata asks for, and what the libraries say when it fails becomes one sentence.
"""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from saereport.sources.folders import check_tokenizer_files
from saereport.sources.hub import hub_access
from saereport.sources.model_checks import (
    Watched,
    check_tokenizer,
    check_unpacked,
    no_processors,
)
from saereport.sources.model_faults import folder_in_the_way, loading
from saereport.sources.models import BridgeModel, HookedModel, LanguageModel
from saereport.sources.placement import ONE_DEVICE, Placement, packing_of, spreading
from saereport.sources.quiet import quietly
from saereport.sources.remote_code import remote_code
from saereport.sources.saes.config import HEEDED
from saereport.util.errors import SaereportError, UsageError, did_you_mean

PROCESSING = ("fold_ln", "center_writing_weights", "center_unembed", "fold_value_biases")
"""The keyword arguments with which TransformerLens changes weights on loading."""


def known_model_names() -> dict[str, str]:
    """Every name that TransformerLens's HookedTransformer knows, with the official one for it."""
    from transformer_lens.loading_from_pretrained import make_model_alias_map
    from transformer_lens.supported_models import OFFICIAL_MODEL_NAMES

    return {**make_model_alias_map(), **{name: name for name in OFFICIAL_MODEL_NAMES}}


def _official_name(name: str) -> str | None:
    names = known_model_names()
    return names.get(name) or names.get(name.lower())


def load_model(
    name_or_dir: str | Path,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    kwargs: dict[str, Any] | None = None,
    wrapper: str = "auto",
    trust_remote_code: bool = False,
    placement: Placement = ONE_DEVICE,
) -> LanguageModel:
    """Load a language model.

    Args:
        name_or_dir: A name on the Hugging Face hub or one of TransformerLens's names for it, a
            directory that holds a Hugging Face model, a `.gguf` file, or `demo`.
        device: Where to put it.
        dtype: The weights' number format.
        kwargs: The keyword arguments that an SAE's metadata asks for
            (`model_from_pretrained_kwargs`). As in SAELens, weights are loaded as they are, except
            for the processing that these ask for.
        wrapper: `auto` (a HookedTransformer for names that TransformerLens knows, else a
            TransformerBridge), `HookedTransformer` or `TransformerBridge`. SAELens's
            `AutoModelForCausalLM` means TransformerBridge.
        trust_remote_code: Whether Python code of the model's repository may run. It is the user's
            choice alone, never an SAE's.
        placement: How it comes into memory, as a TransformerBridge; `device` is then where its
            activations are brought.

    Raises:
        UsageError: There is no such wrapper, or it cannot load a model of this kind.
        SaereportError: There is no such model, or it cannot be loaded from here.
    """
    kwargs = dict(kwargs or {})
    for key in kwargs:
        if key not in HEEDED:
            raise UsageError(f"A model is not loaded with '{key}' here.", did_you_mean(key, HEEDED))
    with remote_code(allowed=trust_remote_code, name=Path(name_or_dir).name):
        how = _How(torch.device(device), dtype, kwargs, trust_remote_code, placement)
        return _load(name_or_dir, how, wrapper)


@dataclass(frozen=True, eq=False)
class _How:
    """How a model is loaded; see `load_model`."""

    device: torch.device
    dtype: torch.dtype
    kwargs: dict[str, Any]
    trusted: bool
    placement: Placement

    @property
    def trust(self) -> dict[str, bool]:
        """What the libraries are told of the repository's code."""
        return {"trust_remote_code": True} if self.trusted else {}


def _load(name_or_dir: str | Path, how: _How, wrapper: str) -> LanguageModel:
    """`load_model`, behind the door that is closed to code of a repository unless it is trusted."""
    wrapper = "TransformerBridge" if wrapper == "AutoModelForCausalLM" else wrapper
    how.placement.check_model(str(name_or_dir))
    if wrapper == "HookedTransformer" and how.placement:
        raise UsageError(
            "A model on several devices, or of packed weights, is loaded as a TransformerBridge.",
            "Leave the wrapper to 'auto'.",
        )
    if wrapper not in ("auto", "HookedTransformer", "TransformerBridge"):
        raise UsageError(
            f"'{wrapper}' is not a model wrapper that can be used here.",
            did_you_mean(wrapper, ["auto", "HookedTransformer", "TransformerBridge"]),
        )
    if str(name_or_dir) == "demo":
        from saereport.sources.demo import DEMO_MODEL_NAME, demo_model_dir

        model = _load_local(Path(demo_model_dir()), replace(how, trusted=False))
        model.name = DEMO_MODEL_NAME.rpartition("/")[2]
        return model
    path, name = Path(name_or_dir).expanduser(), str(name_or_dir)
    if is_local(name):
        if wrapper == "HookedTransformer":
            raise UsageError(
                f"A model from disk ({path.name}) is loaded as a TransformerBridge, not as a "
                f"HookedTransformer.",
                "Leave the wrapper to 'auto'.",
            )
        return _load_local(path, how)
    official = _official_name(name)
    if path.is_dir() and official is None:
        raise SaereportError(
            f"The directory {path.name} holds no Hugging Face model: config.json is missing.",
            "Name a directory that holds one, or a model on the hub.",
        )
    if path.suffix == ".gguf" or path.is_absolute() or name.startswith((".", "~")):
        raise SaereportError(f"There is no model at {name}.", "Check the path.")
    if wrapper == "HookedTransformer" and official is None:
        raise SaereportError(
            f"TransformerLens's HookedTransformer does not know a model '{name}'.",
            did_you_mean(name, known_model_names())
            or "Any Hugging Face model can be loaded with the wrapper TransformerBridge.",
        )
    if Path(official or name).exists():
        # The libraries prefer a folder of the working directory to the hub.
        raise folder_in_the_way(name, official or name)
    if official is not None and wrapper != "TransformerBridge" and not how.placement:
        return _load_hooked(name, official, how)
    return _load_bridge(official or name, name, how)


def is_local(name: str) -> bool:
    """Whether a model's name means a folder or a file here, which goes before the hub's models."""
    path = Path(name).expanduser()
    return (path / "config.json").is_file() or (path.suffix == ".gguf" and path.is_file())


def described(name: str) -> str:
    """Which model a name means, in words: a folder or a file here, or one on the hub."""
    if name == "demo" or not is_local(name):
        return name
    path = Path(name).expanduser()
    known = ", not the hub's model of this name" if _official_name(name) else ""
    return f"{path.name} from the {'file' if path.suffix == '.gguf' else 'folder'} here{known}"


def _load_hooked(name: str, official: str, how: _How) -> LanguageModel:
    from transformer_lens import HookedTransformer

    with loading(name, local=False, known=known_model_names), hub_access(), quietly():
        model = HookedTransformer.from_pretrained_no_processing(
            official, **{"device": how.device, "dtype": how.dtype, **how.trust, **how.kwargs}
        )
        model.eval()
    check_tokenizer(name, model.tokenizer)
    return HookedModel(
        model,
        name=name,
        device=how.device,
        dtype=how.dtype,
        kwargs=how.kwargs,
        revision=_revision(official),
    )


def _load_bridge(source: str, name: str, how: _How) -> LanguageModel:
    with loading(name, local=False, known=known_model_names), hub_access():
        model = _wrap(source, name, how, given=how.trust)
    config = getattr(model.model.original_model, "config", None)
    model.revision = getattr(config, "_commit_hash", None) or how.kwargs.get("revision")
    return model


def _load_local(path: Path, how: _How) -> LanguageModel:
    # Resolved, no path is one of the names that TransformerLens takes for a model on the hub.
    path = path.resolve()
    if path.suffix != ".gguf":
        check_tokenizer_files(path)
        with loading(path.name, local=True, known=dict, architecture=_architecture(path)):
            return _wrap(str(path), path.name, how, given=how.trust)
    with loading(path.name, local=True, known=dict):
        with quietly():
            hf_model, tokenizer = _read_gguf(path, how.dtype)
        given = {"hf_model": hf_model.to(how.device), "tokenizer": tokenizer}
        return _wrap(str(path), path.stem, how, given=given)


def _wrap(source: str, name: str, how: _How, *, given: dict[str, Any]) -> BridgeModel:
    """A `TransformerBridge`, checked against the model that it wraps.

    Args:
        source: What TransformerLens is to load: a path, or a name on the hub.
        name: What the model is called.
        how: How it is loaded.
        given: What TransformerLens is given besides: the model and the tokeniser where they are
            loaded already, trust in the repository's code.

    Raises:
        SaereportError: It does not fit onto the devices, or computes something else when wrapped.
    """
    from transformer_lens.model_bridge import TransformerBridge

    processing = {key: how.kwargs[key] for key in PROCESSING if how.kwargs.get(key)}
    rest = {key: value for key, value in how.kwargs.items() if key not in PROCESSING} | given
    how.placement.check_processing(name, processing)
    watched = Watched(how.device, how.placement.options(how.dtype))
    if "hf_model" in given:
        watched.watch(given["hf_model"])
    else:
        rest |= {"model_class": watched, **how.placement.places(how.device)}
    with quietly(), no_processors(), spreading(name):
        bridge = TransformerBridge.boot_transformers(source, **{"dtype": how.dtype, **rest})
        if processing:
            wanted = {key: bool(processing.get(key, False)) for key in PROCESSING}
            bridge.enable_compatibility_mode(disable_warnings=True, **wanted)
        bridge.eval()
    check_tokenizer(name, bridge.tokenizer)
    model = BridgeModel(bridge, name=name, device=how.device, dtype=how.dtype, kwargs=how.kwargs)
    model.quantization = how.placement.quantize or packing_of(bridge.original_model)
    watched.check(model)
    check_unpacked(model)
    return model


def _architecture(folder: Path) -> str:
    """The class that a folder's configuration names, for messages; empty where it names none."""
    try:
        named = json.loads((folder / "config.json").read_text(encoding="utf-8"))["architectures"][0]
    except (OSError, ValueError, LookupError, TypeError):
        return ""
    return str(named)[:60]


def _read_gguf(path: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with tempfile.TemporaryDirectory() as alone:
        # Beside other files, Transformers would take a tokeniser's settings from among them.
        (Path(alone) / "model.gguf").symlink_to(path)
        model = AutoModelForCausalLM.from_pretrained(
            alone, gguf_file="model.gguf", dtype=dtype, attn_implementation="eager"
        )
        tokenizer = AutoTokenizer.from_pretrained(alone, gguf_file="model.gguf")
    # The weights are plain tensors by now; nothing about them is quantised any more.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    # TransformerLens would load the tokeniser again, from whatever lies beside the file.
    tokenizer.init_kwargs |= {"name_or_path": str(path), "add_bos_token": True}
    # A GGUF file names its family only; TransformerLens goes by the class.
    model.config.architectures = [type(model).__name__]
    return model.eval(), tokenizer


def _revision(repo: str) -> str | None:
    """The commit of a hub model that is in the cache, read from the cache's own layout."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, "config.json")
    if not isinstance(found, str):
        return None
    commit = Path(found).parent.name
    return commit if re.fullmatch(r"[0-9a-f]{40}", commit) else None
