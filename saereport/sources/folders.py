"""What can be told of SAEs and models without loading them, and without torch.

A folder is looked into as far as its listing, its JSON and the header of its weights go; SAELens's
directory of releases and TransformerLens's list of names are read as the files that they are.
"""

from __future__ import annotations

import ast
import os
from codecs import BOM_UTF8
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from saereport.sources.hooks import HookPoint, parse_hook
from saereport.sources.saes.architectures import stored_as
from saereport.sources.saes.config import LIMITS, check_config, is_path
from saereport.sources.saes.directory import directory_text, no_such_release, release_entry
from saereport.sources.saes.foreign import Foreign, foreign_folder, saes_inside
from saereport.sources.saes.headers import tensor_shapes
from saereport.sources.saes.sets import (
    SET_CONFIG,
    in_folder,
    is_set,
    look_at_layer,
    read_set,
    require_layer,
)
from saereport.sources.saes.shapes import check_tensors
from saereport.util.errors import SaereportError, did_you_mean, shortened
from saereport.util.packages import package_file
from saereport.util.untrusted import content, parse_json

CONFIG, WEIGHTS = "cfg.json", "sae_weights.safetensors"

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tekken.json",
    "*.tiktoken",
)
"""What a folder with a tokeniser holds one of."""


@dataclass(frozen=True)
class SaeFacts:
    """What is known of an SAE; None where it is not known yet.

    Attributes:
        slug: Its name in the run.
        d_sae: Number of latents.
        d_in: Width of what it reads.
        d_out: Width of its decoder rows.
        hook_in: Where it reads.
        hook_out: Where a transcoder writes; of several points the first.
        is_transcoder: Whether it writes elsewhere than it reads.
        model_name: The model that its metadata names.
    """

    slug: str
    d_sae: int | None = None
    hook_in: HookPoint | None = None
    hook_out: HookPoint | None = None
    is_transcoder: bool | None = None
    model_name: str | None = None
    d_in: int | None = None
    d_out: int | None = None


def look_at_sae(path: Path, slug: str, sae_id: str | None = None) -> SaeFacts:
    """What the files of an SAE's folder say, without its weights.

    Args:
        path: The folder.
        slug: The SAE's name in the run.
        sae_id: Which of the transcoders in it, if it is the folder of a set.

    Raises:
        SaereportError: There is no such folder, it holds no SAE, or its files are damaged.
    """
    if is_set(path):
        return _look_at_layer(path, slug, require_layer(path, sae_id))
    if sae_id is not None and path.is_dir():
        raise SaereportError(
            f"The directory {path.resolve().name} holds one SAE or none, and no '{sae_id}'.",
            "Name an SAE in SAELens's format by its folder alone.",
        )
    if (foreign := foreign_folder(path)) is not None:
        return _foreign_facts(foreign, slug)
    cfg, shapes = read_sae_folder(path)
    metadata = cfg.get("metadata")
    said = {**cfg, **(metadata if isinstance(metadata, dict) else {})}
    weight = shapes.get("W_dec", shapes.get("W_enc", [])[::-1])
    d_sae = weight[0] if len(weight) == 2 else None
    stored = stored_as(cfg.get("architecture", "standard"))
    hook_out, name = _hook(said.get("hook_name_out")), said.get("model_name")
    return SaeFacts(
        slug=slug,
        d_sae=d_sae * stored.sides if d_sae is not None and stored is not None else d_sae,
        hook_in=_hook(said.get("hook_name", said.get("hook_point"))),
        hook_out=hook_out,
        is_transcoder=stored is not None and stored.elsewhere,
        # A place on its author's disk is not followed.
        model_name=name if isinstance(name, str) and not is_path(name) else None,
        d_in=_last(shapes.get("W_enc", [])[::-1]),
        d_out=_last(shapes.get("W_dec", [])),
    )


def _last(shape: list[int]) -> int | None:
    """The width of a matrix; None for what is none."""
    return shape[1] if len(shape) == 2 else None


def _foreign_facts(found: Foreign, slug: str) -> SaeFacts:
    return SaeFacts(
        slug=slug,
        d_sae=found.d_sae * (2 if found.signed else 1),
        hook_in=_hook(found.hook_name),
        is_transcoder=False,
        model_name=found.model_name,
        d_in=found.d_in,
        d_out=found.d_in,
    )


def _look_at_layer(path: Path, slug: str, number: int) -> SaeFacts:
    """What the files of one layer of a set of transcoders say."""
    find = in_folder(path)
    whole = read_set(find(SET_CONFIG), path.resolve().name)
    layer = look_at_layer(whole, number, find, tensor_shapes)
    return SaeFacts(
        slug=slug,
        d_sae=layer.d_sae,
        hook_in=parse_hook(layer.hook_in),
        hook_out=parse_hook(layer.hooks_out[0]),
        is_transcoder=True,
        model_name=layer.of.model_name,
    )


def read_sae_folder(path: Path) -> tuple[dict[str, Any], dict[str, list[int]]]:
    """An SAE's configuration and the shapes of its tensors, checked against each other.

    Args:
        path: The folder.

    Raises:
        SaereportError: It holds no SAE, a file is damaged, or the two do not go together.
    """
    require_sae_folder(path)
    raw = content(path / CONFIG, LIMITS)
    cfg = parse_json(raw, f"{path.name}/{CONFIG}", LIMITS)
    if raw.startswith(BOM_UTF8):
        raise SaereportError(
            f"{path.name}/{CONFIG} begins with a byte order mark, which SAELens does not read.",
            "Save it as UTF-8 without one.",
        )
    if not isinstance(cfg, dict):
        raise SaereportError(f"{path.name}/{CONFIG} is not a JSON object.")
    # Whether there is a factor, and whether it does anything, the weights say.
    check_config({**cfg, "finetuning_scaling_factor": False}, path.name)
    shapes = tensor_shapes(path / WEIGHTS)
    stored = shapes.get("W_dec", shapes.get("W_enc", [])[::-1])
    named = cfg.get("d_sae")
    if len(stored) == 2 and isinstance(named, int) and named != stored[0]:
        raise SaereportError(
            f"{path.name}/{CONFIG} says that the SAE has {named:,} latents, and {WEIGHTS} holds "
            f"{stored[0]:,}.",
            "The two files do not belong together.",
        )
    check_tensors(cfg, shapes, path.name)
    return cfg, shapes


def require_sae_folder(path: Path) -> None:
    """Check that a folder holds the files of an SAE.

    Raises:
        SaereportError: It does not, or is not there; says what is near.
    """
    if not path.is_dir():
        if path.is_file() and path.name in (CONFIG, WEIGHTS):
            raise SaereportError(f"'{path}' is a file of an SAE.", "Name the folder it lies in.")
        near = [p.name for p in path.parent.iterdir() if p.is_dir()] if path.parent.is_dir() else []
        raise SaereportError(f"There is no SAE directory at {path}.", did_you_mean(path.name, near))
    for file in (CONFIG, WEIGHTS):
        if not (path / file).is_file():
            inside = saes_inside(path)
            shown = ", ".join(inside[:5]) + (f" and {len(inside) - 5} more" if inside[5:] else "")
            raise SaereportError(
                f"The directory {path.resolve().name} holds no SAE in SAELens's format: {file} is "
                "missing.",
                f"There are SAEs inside it: {shown}." if inside else "",
            )


def _hook(name: Any) -> HookPoint | None:
    """A hook point by its name; None where loading will have more to say about it."""
    try:
        return parse_hook(name) if isinstance(name, str) else None
    except SaereportError:
        return None


# SAELens's directory.


def look_at_release(release: str, sae_id: str, slug: str) -> SaeFacts:
    """What SAELens's directory of releases says of an SAE.

    Raises:
        SaereportError: It knows no such release or id, or the hub may not be asked and the SAE is
            not in the cache.
    """
    text = directory_text()
    if text is None:
        return SaeFacts(slug)
    found = release_entry(text, release)
    if found is None:
        if "/" not in release:
            raise no_such_release(release, text)
        return SaeFacts(slug)
    ids = [entry.get("id") for entry in found.get("saes", ()) if isinstance(entry, dict)]
    known = [name for name in ids if isinstance(name, str)]
    if known and sae_id not in known:
        raise SaereportError(
            f"The release '{release}' has no SAE '{shortened(sae_id)}'.",
            did_you_mean(sae_id, known)
            or f"It has {len(known)}, such as {', '.join(repr(i) for i in known[:3])}.",
        )
    repo = found.get("repo_id")
    if isinstance(repo, str) and _forbids_network() and not _in_cache(repo):
        raise SaereportError(
            f"The SAE {release} / {sae_id} is not in the Hugging Face cache, and HF_HUB_OFFLINE "
            "forbids the network.",
            f"Fetch it where there is a network with `hf download {repo}`.",
        )
    return SaeFacts(slug)


# Models.


def check_model(name: str) -> None:
    """Check that a model that is named by a path is there, and a name's files where they must be.

    Raises:
        SaereportError: It is not, or the hub may not be asked and it is not in the cache.
    """
    if name == "demo":
        return
    path = Path(name).expanduser()
    if path.is_dir():
        known = _model_names()
        if not (path / "config.json").is_file() and name not in known:
            raise SaereportError(
                f"The directory {path.resolve().name} holds no Hugging Face model: config.json is "
                "missing."
            )
        if (path / "config.json").is_file():
            _check_model_folder(path)
        return
    if path.is_file():
        if path.suffix != ".gguf":
            raise SaereportError(
                f"'{name}' is no model.", "Name a folder with a config.json, or a .gguf file."
            )
        return
    if path.suffix == ".gguf" or name.startswith((".", "/", "~")) or name.count("/") > 1:
        near = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise SaereportError(f"There is no model at {name}.", did_you_mean(path.name, near))
    _check_name(name)


def check_chat_template(name: str, text: str) -> None:
    """Check that a model in a folder has a chat template; of others nothing is known yet.

    Args:
        name: The model.
        text: What has to be written out with it, for messages.

    Raises:
        SaereportError: It has none.
    """
    path = Path(name).expanduser()
    if not path.is_dir() or any(path.glob("chat_template*")) or any(path.glob("*_chat_template*")):
        return
    file = path / "tokenizer_config.json"
    if file.is_file():
        found = parse_json(content(file, LIMITS), f"{path.name}/{file.name}", LIMITS)
        if isinstance(found, dict) and found.get("chat_template"):
            return
    raise SaereportError(
        f"{text} holds conversations, and the tokeniser of the model {path.resolve().name} has no "
        "chat template to write them out with.",
        "Give a model that has one (its version for chat), or write the conversations as text.",
    )


def _check_model_folder(path: Path) -> None:
    where = f"{path.name}/config.json"
    if not isinstance(parse_json(content(path / "config.json", LIMITS), where, LIMITS), dict):
        raise SaereportError(f"{where} is not a JSON object.")
    check_tokenizer_files(path)
    names = {p.name for p in path.iterdir()}
    index = path / "model.safetensors.index.json"
    if index.is_file():
        found = parse_json(content(index, LIMITS), f"{path.name}/{index.name}", LIMITS)
        shards = found.get("weight_map") if isinstance(found, dict) else None
        wanted = set(map(str, shards.values())) if isinstance(shards, dict) else set()
        if missing := sorted(wanted - names):
            raise SaereportError(
                f"The model folder {path.name} lacks {missing[0]}"
                f"{f' and {len(missing) - 1} more' if len(missing) > 1 else ''}.",
                "Download it whole.",
            )
    if (path / "model.safetensors").is_file():
        tensor_shapes(path / "model.safetensors")


def check_tokenizer_files(folder: Path) -> None:
    """Check that a folder holds a tokeniser, before its weights are loaded.

    Transformers makes an empty one where it finds none, for some families.

    Raises:
        SaereportError: It holds none.
    """
    if not any(any(folder.glob(pattern)) for pattern in TOKENIZER_FILES):
        raise no_tokenizer(folder.resolve().name)


def no_tokenizer(name: str) -> SaereportError:
    """The error that says that a model has no tokeniser."""
    return SaereportError(
        f"The model '{name}' comes without a tokeniser.",
        "Put the tokeniser's files (tokenizer.json, tokenizer_config.json) beside its weights.",
    )


def _check_name(name: str) -> None:
    """Where the network is forbidden, a name must be in the cache."""
    if not _forbids_network():
        return
    names = _model_names()
    official = names.get(name) or names.get(name.lower())
    if _in_cache(official or name) or _in_cache(name):
        return
    raise SaereportError(
        f"The model '{shortened(name)}' is not in the Hugging Face cache, and HF_HUB_OFFLINE "
        "forbids the network.",
        ("" if official else did_you_mean(name, names))
        or f"Fetch it where there is a network with `hf download {shortened(official or name)}`.",
    )


@lru_cache(maxsize=1)
def _model_names() -> dict[str, str]:
    """Names that TransformerLens knows, with the official one for each; read, not imported."""
    text = package_file("transformer_lens", "supported_models.py")
    lists: dict[str, Any] = {}
    try:
        for node in ast.parse(text or "").body:
            target = getattr(node, "target", None) or next(iter(getattr(node, "targets", [])), None)
            if isinstance(target, ast.Name) and target.id in (
                "OFFICIAL_MODEL_NAMES",
                "MODEL_ALIASES",
            ):
                lists[target.id] = ast.literal_eval(getattr(node, "value", None) or ast.List([]))
    except (SyntaxError, ValueError):
        return {}
    aliases = lists.get("MODEL_ALIASES", {})
    official = lists.get("OFFICIAL_MODEL_NAMES", [])
    return {alias: name for name, several in aliases.items() for alias in several} | {
        name: name for name in official
    }


def _forbids_network() -> bool:
    said = (os.environ.get("HF_HUB_OFFLINE"), os.environ.get("TRANSFORMERS_OFFLINE"))
    return any((value or "").upper() in ("1", "ON", "YES", "TRUE") for value in said)


def _in_cache(repo: str) -> bool:
    """Whether anything of a repository is in the Hugging Face cache."""
    home = os.environ.get("HF_HOME")
    if not home:
        home = str(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
    hub = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    place = Path(hub or Path(home) / "hub").expanduser()
    return (place / f"models--{repo.replace('/', '--')}").is_dir()
