"""Loading language models: by a name, from a directory, from a `.gguf` file, or the demo's.

Names that TransformerLens's `HookedTransformer` knows are loaded as one, everything else as a
`TransformerBridge`. Either way the weights come as they are, but for the processing that an SAE's
metadata asks for, and what the libraries say when it fails becomes one sentence.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from saereport.errors import SaereportError, UsageError, did_you_mean
from saereport.sources.hub import hub_access, is_offline
from saereport.sources.models import BridgeModel, HookedModel, LanguageModel
from saereport.sources.quiet import quietly
from saereport.sources.remote_code import remote_code, untrusted
from saereport.sources.sae_config import HEEDED

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

    Raises:
        UsageError: There is no such wrapper, or it cannot load a model of this kind.
        SaereportError: There is no such model, or it cannot be loaded from here.
    """
    kwargs = dict(kwargs or {})
    for key in kwargs:
        if key not in HEEDED:
            raise UsageError(f"A model is not loaded with '{key}' here.", did_you_mean(key, HEEDED))
    with remote_code(allowed=trust_remote_code, name=Path(name_or_dir).name):
        return _load(name_or_dir, torch.device(device), dtype, kwargs, wrapper, trust_remote_code)


def _load(
    name_or_dir: str | Path,
    device: torch.device,
    dtype: torch.dtype,
    kwargs: dict[str, Any],
    wrapper: str,
    trusted: bool,
) -> LanguageModel:
    """`load_model`, behind the door that is closed to code of a repository unless `trusted`."""
    wrapper = "TransformerBridge" if wrapper == "AutoModelForCausalLM" else wrapper
    if wrapper not in ("auto", "HookedTransformer", "TransformerBridge"):
        raise UsageError(
            f"'{wrapper}' is not a model wrapper that can be used here.",
            did_you_mean(wrapper, ["auto", "HookedTransformer", "TransformerBridge"]),
        )
    if str(name_or_dir) == "demo":
        from saereport.sources.demo import DEMO_MODEL_NAME, demo_model_dir

        model = _load_local(Path(demo_model_dir()), device, dtype, kwargs)
        model.name = DEMO_MODEL_NAME.rpartition("/")[2]
        return model
    path = Path(name_or_dir).expanduser()
    if (path / "config.json").is_file() or (path.suffix == ".gguf" and path.is_file()):
        if wrapper == "HookedTransformer":
            raise UsageError(
                f"A model from disk ({path.name}) is loaded as a TransformerBridge, not as a "
                f"HookedTransformer.",
                "Leave the wrapper to 'auto'.",
            )
        return _load_local(path, device, dtype, kwargs, trusted)
    name = str(name_or_dir)
    if path.is_dir() and _official_name(name) is None:
        raise SaereportError(
            f"The directory {path.name} holds no Hugging Face model: config.json is missing."
        )
    if path.suffix == ".gguf" or path.is_absolute() or name.startswith((".", "~")):
        raise SaereportError(f"There is no model at {name}.")
    official = _official_name(name)
    if wrapper == "HookedTransformer" and official is None:
        raise SaereportError(
            f"TransformerLens's HookedTransformer does not know a model '{name}'.",
            did_you_mean(name, known_model_names())
            or "Any Hugging Face model can be loaded with the wrapper TransformerBridge.",
        )
    if official is not None and wrapper != "TransformerBridge":
        return _load_hooked(name, official, device, dtype, kwargs, trusted)
    return _load_bridge(official or name, name, device, dtype, kwargs, trusted)


def _trust(trusted: bool) -> dict[str, bool]:
    return {"trust_remote_code": True} if trusted else {}


def _load_hooked(
    name: str,
    official: str,
    device: torch.device,
    dtype: torch.dtype,
    kwargs: dict[str, Any],
    trusted: bool,
) -> LanguageModel:
    from transformer_lens import HookedTransformer

    with _loading(name), hub_access(), quietly():
        model = HookedTransformer.from_pretrained_no_processing(
            official, **{"device": device, "dtype": dtype, **_trust(trusted), **kwargs}
        )
        model.eval()
    return HookedModel(
        model, name=name, device=device, dtype=dtype, kwargs=kwargs, revision=_revision(official)
    )


def _load_bridge(
    source: str,
    name: str,
    device: torch.device,
    dtype: torch.dtype,
    kwargs: dict[str, Any],
    trusted: bool,
) -> LanguageModel:
    from transformer_lens.model_bridge import TransformerBridge

    processing = {key: kwargs[key] for key in PROCESSING if kwargs.get(key)}
    rest = {key: value for key, value in kwargs.items() if key not in PROCESSING}
    with _loading(name), hub_access(), quietly():
        model = TransformerBridge.boot_transformers(
            source, **{"device": device, "dtype": dtype, **_trust(trusted), **rest}
        )
        _process(model, processing)
    config = getattr(model.original_model, "config", None)
    revision = getattr(config, "_commit_hash", None) or rest.get("revision")
    return BridgeModel(
        model, name=name, device=device, dtype=dtype, kwargs=kwargs, revision=revision
    )


def _load_local(
    path: Path,
    device: torch.device,
    dtype: torch.dtype,
    kwargs: dict[str, Any],
    trusted: bool = False,
) -> LanguageModel:
    from transformer_lens.model_bridge import TransformerBridge

    processing = {key: kwargs[key] for key in PROCESSING if kwargs.get(key)}
    with _loading(path.name), quietly():
        if path.suffix == ".gguf":
            hf_model, tokenizer = _read_gguf(path, dtype)
            model = TransformerBridge.boot_transformers(
                path.stem, hf_model=hf_model.to(device), tokenizer=tokenizer, dtype=dtype
            )
        else:
            model = TransformerBridge.boot_transformers(
                str(path), device=device, dtype=dtype, **_trust(trusted)
            )
        _process(model, processing)
    name = path.stem if path.suffix == ".gguf" else path.resolve().name
    return BridgeModel(model, name=name, device=device, dtype=dtype, kwargs=kwargs)


def _process(model: Any, processing: dict[str, Any]) -> None:
    """Fold and centre a Bridge's weights, if anything of the kind is asked for."""
    if processing:
        wanted = {key: bool(processing.get(key, False)) for key in PROCESSING}
        model.enable_compatibility_mode(disable_warnings=True, **wanted)
    model.eval()


def _read_gguf(path: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where, file = str(path.parent), path.name
    model = AutoModelForCausalLM.from_pretrained(
        where, gguf_file=file, dtype=dtype, attn_implementation="eager"
    )
    # The weights are plain tensors by now; nothing about them is quantised any more.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    return model.eval(), AutoTokenizer.from_pretrained(where, gguf_file=file)


def _revision(repo: str) -> str | None:
    """The commit of a hub model that is in the cache, read from the cache's own layout."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, "config.json")
    if not isinstance(found, str):
        return None
    commit = Path(found).parent.name
    return commit if re.fullmatch(r"[0-9a-f]{40}", commit) else None


@contextlib.contextmanager
def _loading(name: str) -> Iterator[None]:
    """Turn the libraries' many ways to fail at loading into one sentence."""
    try:
        yield
    except (SaereportError, KeyboardInterrupt, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise _explain(name, error) from error


def _explain(name: str, error: Exception) -> SaereportError:
    chain: list[BaseException] = [error]
    while (previous := chain[-1].__cause__ or chain[-1].__context__) and len(chain) < 12:
        chain.append(previous)
    for link in chain:
        if isinstance(link, SaereportError):
            return link
    kinds = {type(link).__name__ for link in chain}
    text = " ".join(str(link) for link in chain)
    short = " ".join(str(error).split())[:200]
    if "trust_remote_code" in text:
        return untrusted(name)
    if "GatedRepoError" in kinds or "gated repo" in text:
        return SaereportError(
            f"The model '{name}' is gated on the Hugging Face hub.",
            "Accept its licence there, then log in with `hf auth login` or set HF_TOKEN.",
        )
    if "RepositoryNotFoundError" in kinds or "is not a local folder and is not a valid" in text:
        return SaereportError(
            f"There is no model '{name}' on the Hugging Face hub, or it is private.",
            did_you_mean(name, known_model_names()),
        )
    if is_offline(error):
        guess = "" if _official_name(name) else did_you_mean(name, known_model_names())
        return SaereportError(
            f"The model '{name}' is not in the Hugging Face cache, and the hub cannot be reached.",
            f"{guess} Fetch it where there is a network with `hf download "
            f"{_official_name(name) or name}` (HF_HOME says where the cache is, HF_HUB_OFFLINE=1 "
            f"forbids the network), or name a directory that holds it.",
        )
    if "not supported" in text.lower() or "Unsupported" in text or "Unrecognized" in text:
        return SaereportError(f"TransformerLens cannot wrap the model '{name}': {short}")
    return SaereportError(
        f"The model '{name}' cannot be loaded: {type(error).__name__}: {short}",
        "The files may be incomplete; with --debug the full traceback is shown.",
    )
