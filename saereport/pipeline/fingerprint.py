"""What a run is of: the identity of everything that its numbers depend on.

Equal identities give equal numbers, so a finished run or a checkpoint of the same identity can be
used again. Paths and devices are left out, and so is what changes no number (batch size, title,
profiling). What differs between two identities can be said in words.
"""

from __future__ import annotations

import json
import math
import platform
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from saereport import plugins
from saereport.config.build import BuildConfig
from saereport.config.engine import EngineSettings
from saereport.config.paths import with_paths
from saereport.config.selection import parse_selection
from saereport.config.steering import SteeringSettings
from saereport.config.yaml_files import exists
from saereport.pipeline.stage import Stage, built_on, file_digest, stages
from saereport.run import TABLES
from saereport.sources.models import LanguageModel, hash_tensors
from saereport.sources.saes.sae import Sae
from saereport.sources.text.text import Text
from saereport.util.files import json_digest
from saereport.util.version import __version__

LIBRARIES = ("torch", "transformers", "tokenizers", "transformer-lens", "sae-lens", "numpy")
"""The libraries in which the numbers are made: another version may make others."""

OTHERS = ("pyarrow", "scipy")
"""Libraries that a run names as well."""

_PLACES = frozenset(
    {
        *("device", "devices", "n_devices", "device_map", "tokenizer"),
        *("_name_or_path", "name_or_path", "model_name", "tokenizer_name"),
    }
)
"""Parts of a library's configuration that say where something lies or runs; what it is called and
what is in it stand beside them."""


def identity_of(
    config: BuildConfig,
    saes: Sequence[Sae],
    model: LanguageModel,
    text: Text,
    context_size: int,
    *,
    added: Mapping[str, Sequence[int]],
) -> dict[str, Any]:
    """Everything that the numbers depend on.

    Args:
        config: What was asked for.
        saes: The SAEs.
        model: The language model.
        text: The text.
        context_size: Tokens in a sequence.
        added: By SAE, latents that are collected though they were not chosen.
    """
    record = config_record(config)
    asked = {key: value for key, value in record.items() if key not in ("device", "device_map")}
    steering = stages()["steering"].tables
    identity = {
        "saereport": __version__,
        "tables": {
            name: table.version
            for name, table in TABLES.items()
            if config.steers or name not in steering
        },
        # Without what says for which device a library was built (`+cu126`).
        "libraries": {k: v.partition("+")[0] for k, v in versions(LIBRARIES).items()},
        "config": asked,
        "saes": {d.slug: sae_record(d) for d in saes},
        "plugins": plugins.loaded(),
        "inputs": {
            stage.name: found
            for stage in stages().values()
            if stage.name not in config.skip and (found := stage.inputs(config))
        },
        "added": {slug: list(latents) for slug, latents in added.items()},
        "model": model_record(model),
        "tokenizer": tokenizer_record(model),
        "text": text.provenance,
        "context_size": context_size,
    }
    # As it will be read back, so that one can be compared with one that was kept.
    return dict(json.loads(json.dumps(plain(identity))))


def sae_record(sae: Sae) -> dict[str, Any]:
    """What an SAE's activations depend on: weights, configuration and metadata as they are used."""
    settings, named = sae.configuration, sae.provenance
    return {
        **{key: value for key, value in named.items() if key != "metadata"},
        "separator": sae.separator,
        "wrapper": sae.wrapper,
        "metadata": named["metadata"],
        "configuration": {
            key: value for key, value in settings.items() if key not in ("metadata", *_PLACES)
        },
    }


def model_record(model: LanguageModel) -> dict[str, Any]:
    """What a model's activations depend on: weights, buffers and configuration as it is used."""
    inner = getattr(model.model, "original_model", None)
    configurations = [getattr(inner, "config", None), getattr(model.model, "cfg", None)]
    settings: dict[str, Any] = {}
    for found in configurations:
        settings = {**_as_dict(found), **settings}
    return {
        **model.provenance,
        "buffers_sha256": _buffers_digest(inner),
        "attention": getattr(configurations[0], "_attn_implementation", None),
        "n_ctx": model.n_ctx,
        "configuration": {key: value for key, value in settings.items() if key not in _PLACES},
    }


def activations_identity(model: LanguageModel) -> dict[str, Any]:
    """What a model's activations depend on beside the tokens and the hook point.

    Narrower than that of a run, which is the same on every device: what is kept is to be what
    would be computed here, bit for bit.
    """
    made_in = versions(("torch", "transformers", "transformer-lens"))
    identity = {
        # How a hook point is found in a model is the package's own doing.
        "saereport": __version__,
        "model": model_record(model),
        "libraries": made_in,
        "device": model.device.type,
        "precision": torch.get_float32_matmul_precision(),
    }
    return dict(plain(identity))


def _as_dict(found: Any) -> dict[str, Any]:
    """A library's configuration object as its fields."""
    if found is None:
        return {}
    return dict(found.to_dict() if hasattr(found, "to_dict") else vars(found))


def _buffers_digest(module: Any) -> str:
    """SHA-256 of what is stored beside the parameters, such as a router's correction."""
    if module is None:
        return ""
    parameters = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    stored = {k: v for k, v in module.state_dict().items() if k not in parameters}
    return hash_tensors(stored)


def tokenizer_record(model: LanguageModel) -> dict[str, Any] | None:
    """What token ids depend on: the whole tokeniser, and which of its tokens are special."""
    tokenizer = model.tokenizer
    if tokenizer is None:
        return None
    return {
        "class": type(tokenizer).__name__,
        "content_sha256": _tokenizer_digest(tokenizer),
        "special_tokens": tokenizer.special_tokens_map,
        "added_tokens": _added_tokens(tokenizer),
        "add_bos_token": getattr(tokenizer, "add_bos_token", None),
        "add_eos_token": getattr(tokenizer, "add_eos_token", None),
        "bos_id": model.bos_id,
        "special_ids": sorted(model.special_ids),
    }


def _added_tokens(tokenizer: Any) -> dict[int, list[Any]]:
    """By id, the tokens that are found before the text is split, and whether they are special."""
    found = getattr(tokenizer, "added_tokens_decoder", {})
    return {int(i): [str(token), getattr(token, "special", None)] for i, token in found.items()}


def _tokenizer_digest(tokenizer: Any) -> str:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        whole = json.loads(backend.to_str())
        # The last call's, and set anew by every call.
        content = {k: v for k, v in whole.items() if k not in ("truncation", "padding")}
        return json_digest(content)
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_vocabulary(folder)
        files = {p.name: file_digest(p) for p in sorted(Path(folder).iterdir())}
    return json_digest({"files": files, "vocabulary": tokenizer.get_vocab()})


def installed_versions() -> dict[str, str]:
    """Python's version and those of the libraries, as a run names them."""
    return {"python": platform.python_version(), **versions((*LIBRARIES, *OTHERS))}


def inputs_of(identity: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """What stages read beside their settings, as a run names it: by stage, words and a digest.

    Args:
        identity: That of the whole run.
    """

    def files(held: Any) -> list[Any]:
        # An SAE more that has no file of labels is no other file.
        every = [one for item in held for one in files(item)] if isinstance(held, list) else [held]
        return [one for one in every if one]

    return {
        stage: {
            words: held if isinstance(held, str) else json_digest(files(held))
            for words, held in found.items()
            if files(held)
        }
        for stage, found in identity["inputs"].items()
    }


def versions(names: Sequence[str]) -> dict[str, str]:
    """The versions of those libraries that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def plain(value: Any) -> Any:
    """Any library's settings as JSON."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(str(item) for item in value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Path):
        return value.name
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    # Where an object lies in memory is no part of what it is.
    return str(value) if " at 0x" not in str(value) else type(value).__name__


def part_of(identity: Mapping[str, Any], stage: Stage, *, redacted: bool = False) -> dict[str, Any]:
    """What a stage's numbers depend on: not the settings that are other stages' alone.

    What it builds on counts as its own, and so does a setting that no stage claims.

    Args:
        identity: That of the whole run.
        stage: The stage.
        redacted: Whether also what is blinded, on which depends what is written of it.
    """
    every, own = stages(), built_on(stage) | ({"blind"} if redacted else set())
    mine = {key for name in own if name in every for key in every[name].settings}
    others = {key for one in every.values() for key in one.settings} - mine
    others |= set(stage.regardless_of)
    config = {key: value for key, value in identity["config"].items() if key not in others}
    for key in (key.removeprefix("saes.") for key in others if key.startswith("saes.")):
        config["saes"] = [{**sae, key: None} for sae in config["saes"]]
    names = {part for name in own if name in every for part in every[name].names}
    config["skip"] = [name for name in config["skip"] if name in names]
    inputs = {name: found for name, found in identity["inputs"].items() if name in own}
    none: dict[str, Any] = {"added": {}} if "latents" in stage.regardless_of else {}
    return {**identity, "config": config, "inputs": inputs, **none}


def parts_of(identity: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What each stage's numbers depend on, by the stage's name."""
    return {name: part_of(identity, stage) for name, stage in stages().items()}


_WORDS = {
    "saereport": "the version of saereport",
    "tables": "what is measured",
    "context_size": "the context size",
    "added": "the latents that are blinded or steered",
    "tracked": "the latents that are followed",
    "rules": "how sequences are made of the text",
    "tokenizer": "the tokeniser",
    "text": "the text",
}
_MOST_SAID = 4


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """In what two identities differ, in words for a sentence; empty where they do not.

    Args:
        before: The one that was kept.
        after: The one that is asked for.
    """
    found = list(dict.fromkeys(_in_words(path, before, after) for path in _paths(before, after)))
    more = len(found) - _MOST_SAID
    if more > 0:
        found = [*found[:_MOST_SAID], f"{more:,} more"]
    return " and ".join([", ".join(found[:-1]), found[-1]] if len(found) > 1 else found)


def _paths(before: Any, after: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The places at which two values differ."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            if (key in before) != (key in after):
                yield (*path, key)
            else:
                yield from _paths(before[key], after[key], (*path, key))
    elif before != after:
        yield path


def _in_words(path: tuple[str, ...], before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    first, *rest = path or ("",)
    if first == "libraries":
        return f"the version of {rest[0]}" if rest else "the versions of the libraries"
    if first == "inputs":
        return rest[1] if len(rest) > 1 else "what the stages read"
    if first == "plugins":
        return f"the plug-in {rest[0]}" if rest else "the plug-ins"
    if first == "config":
        return f"the setting '{'.'.join(rest)}'"
    if first == "model":
        return f"the model's {_part(rest)}"
    if first == "saes":
        if len(rest) < 2 or set(before.get("saes", {})) != set(after.get("saes", {})):
            return "the SAEs"
        return f"the {_part(rest[1:])} of the SAE {rest[0]}"
    return _WORDS.get(first, f"'{first}'")


def _part(rest: Sequence[str]) -> str:
    if rest[:1] == ["weights_sha256"] or rest[:1] == ["buffers_sha256"]:
        return "weights"
    return f"configuration ({rest[-1]})" if rest else "configuration"


def config_record(config: BuildConfig) -> dict[str, Any]:
    """The configuration as a run records it: no paths, and nothing that changes no number."""
    record = config.model_dump(
        mode="json",
        exclude={
            "batch_size": True,
            "profile_memory": True,
            "strict": True,
            "neuronpedia_embed": True,
            "title": True,
            "activations_cache": True,
            "activations_cache_size": True,
            **dict.fromkeys(EngineSettings.model_fields, True),
            "keep": True,
            "circuits": {"memory"},
        },
    )
    if not config.steers:
        # A report without steering is the same whatever would have been steered.
        record = {key: v for key, v in record.items() if key not in SteeringSettings.model_fields}
    for name, stage in stages().items():
        if name in record and not stage.at_top:
            # A path that its type does not tell, in a mapping of anything, is one by its class.
            found = getattr(config, name)
            record[name] = None if found is None else plain(found.model_dump())
    for sae in record["saes"]:
        sae["latents"] = parse_selection(sae["latents"]).words if sae["latents"] else None
    record["latents"] = parse_selection(record["latents"]).words
    return dict(with_paths(record, type(config), _name_of_file))


def _name_of_file(value: str, certain: bool) -> str:
    path = Path(value).expanduser()
    if certain and path.is_file():
        # A link to a file has its own name, by which tasks, labels and messages call it.
        return path.name
    return path.resolve().name if certain or exists(path) else value
