"""Folders of other trainers: dictionary_learning's and sparsify's, checked before torch is loaded.

SAELens reads both kinds, but takes much for granted: classes of dictionary_learning that it does
not know become ReLU, every place becomes the residual stream, and what sparsify says of
transcoders is not looked at. What is not understood is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from saereport.sources.hooks import parse_module
from saereport.sources.saes.config import LIMITS, is_path
from saereport.sources.saes.headers import pickled_shapes, tensor_shapes
from saereport.util.errors import SaereportError, did_you_mean, shortened
from saereport.util.untrusted import content, parse_json

Trainer = Literal["dictionary_learning", "sparsify"]

FILES: Mapping[Trainer, tuple[str, str]] = {
    "dictionary_learning": ("config.json", "ae.pt"),
    "sparsify": ("cfg.json", "sae.safetensors"),
}
"""The configuration and the weights of each."""

DICTIONARY_LEARNING = (
    "AutoEncoder",
    "AutoEncoderTopK",
    "BatchTopKSAE",
    "GatedAutoEncoder",
    "JumpReluAutoEncoder",
    "MatryoshkaBatchTopKSAE",
)
"""Classes of the library dictionary_learning that SAELens's loader reads as what they are."""

DEEPEST = 4
"""Folders inside one another in which SAEs are looked for."""


@dataclass(frozen=True)
class Foreign:
    """An SAE of another trainer, as far as its files say without the weights.

    Attributes:
        path: Its folder.
        trainer: Whose format it is.
        d_in: Width of what it reads.
        d_sae: Number of latents.
        hook_name: Where it reads.
        model_name: The model that it was trained on; None where it is not said.
        cfg: Its configuration, as it lies there.
        shapes: The shape of each tensor; none where the file does not say them.
    """

    path: Path
    trainer: Trainer
    d_in: int
    d_sae: int
    hook_name: str
    model_name: str | None
    cfg: Mapping[str, Any]
    shapes: Mapping[str, list[int]]

    @property
    def signed(self) -> bool:
        """Whether latents have signs: each then is two here, see `architectures.topk.AbsTopK`."""
        return self.trainer == "sparsify" and bool(self.cfg.get("signed"))


def trainer_of(path: Path) -> Trainer | None:
    """Whose format a folder's files are in; None for SAELens's and for no SAE."""
    for trainer, names in FILES.items():
        if all((path / name).is_file() for name in names):
            return trainer
    return None


def foreign_folder(path: Path) -> Foreign | None:
    """An SAE of another trainer in a folder; None where there is none.

    Raises:
        SaereportError: A file is damaged, is of a kind that would be read as another, does not
            belong to the other, or asks for code to be run.
    """
    trainer = trainer_of(path)
    return None if trainer is None else _READERS[trainer](path)


def saes_inside(path: Path) -> list[str]:
    """The SAEs in a folder's folders, by where they lie, in the order of their numbers."""
    wanted = [("cfg.json", "sae_weights.safetensors"), *FILES.values()]
    found: list[str] = []
    folders = [(path, 0)]
    while folders:
        folder, depth = folders.pop()
        if any(all((folder / name).is_file() for name in names) for names in wanted):
            found.append(str(folder.relative_to(path)))
        elif depth < DEEPEST:
            folders += [(p, depth + 1) for p in folder.iterdir() if p.is_dir()]
    return sorted(found, key=_by_numbers)


def _by_numbers(name: str) -> list[tuple[int, str]]:
    return [(int(n or 0), text) for text, n in re.findall(r"(\D*)(\d{0,9})", name)]


def check_trainer(found: Any, label: str) -> Mapping[str, Any]:
    """What a `config.json` of dictionary_learning says of its training.

    Args:
        found: The object.
        label: The SAE, for messages.

    Raises:
        SaereportError: It is of a class that SAELens reads as another one, or was trained
            elsewhere than where SAELens reads it.
    """
    trainer = found.get("trainer") if isinstance(found, dict) else None
    if not isinstance(trainer, dict):
        raise SaereportError(f"config.json of {label} is not dictionary_learning's: no 'trainer'.")
    kind, site = trainer.get("dict_class"), str(trainer.get("submodule_name") or "resid_post")
    if kind not in DICTIONARY_LEARNING:
        raise SaereportError(
            f"The SAE {label} is of dictionary_learning's class '{shortened(kind, 60)}', which "
            f"SAELens reads as another one.",
            did_you_mean(str(kind), DICTIONARY_LEARNING)
            or f"Known are {', '.join(DICTIONARY_LEARNING)}.",
        )
    if not site.startswith("resid_post"):
        raise SaereportError(
            f"The SAE {label} was trained at '{shortened(site, 60)}', and SAELens reads it at the "
            f"residual stream."
        )
    if kind == "AutoEncoderTopK":
        _require_k(trainer, _number(trainer, "dict_size", label), label)
    return trainer


def _dictionary_learning(path: Path) -> Foreign:
    file = FILES["dictionary_learning"][0]
    label = path.resolve().name
    cfg = parse_json(content(path / file, LIMITS), f"{label}/{file}", LIMITS)
    trainer = check_trainer(cfg, label)
    d_in = _number(trainer, "activation_dim", label)
    d_sae = _number(trainer, "dict_size", label)
    layer = _number(trainer, "layer", label, least=0)
    context = cfg.get("buffer")
    if not isinstance(context, dict) or not isinstance(context.get("ctx_len"), int):
        raise SaereportError(
            f"{label}/{file} does not say how long its sequences were (buffer.ctx_len).", "Add it."
        )
    shapes = pickled_shapes(path / "ae.pt")
    matrix = next((shapes[n] for n in ("W_enc", "encoder.weight") if n in shapes), None)
    expected = {(d_in, d_sae), (d_sae, d_in)}
    if shapes and (matrix is None or tuple(matrix) not in expected):
        raise _apart(label, "ae.pt", matrix, d_in, d_sae)
    name = trainer.get("lm_name")
    if not isinstance(name, str):
        raise SaereportError(
            f"{label}/{file} does not say which model it was trained on (trainer.lm_name).",
            "Add it.",
        )
    hook = f"blocks.{layer}.hook_resid_post"
    model = name if name and not is_path(name) else None
    return Foreign(path, "dictionary_learning", d_in, d_sae, hook, model, cfg, shapes)


def _sparsify(path: Path) -> Foreign:
    file, label = FILES["sparsify"][0], path.resolve().name
    cfg = parse_json(content(path / file, LIMITS), f"{label}/{file}", LIMITS)
    if not isinstance(cfg, dict):
        raise SaereportError(f"{label}/{file} is not a JSON object.")
    _check_sparsify(cfg, label)
    d_in = _number(cfg, "d_in", label)
    # sparsify writes 0 where the factor says it.
    named = "num_latents" if cfg.get("num_latents") else "expansion_factor"
    d_sae = _number(cfg, named, label) * (1 if named == "num_latents" else d_in)
    _require_k(cfg, d_sae, label)
    shapes = tensor_shapes(path / "sae.safetensors")
    matrix = shapes.get("encoder.weight")
    if matrix != [d_sae, d_in]:
        raise _apart(label, "sae.safetensors", matrix, d_in, d_sae)
    if shapes.get("W_dec") != [d_sae, d_in]:
        raise SaereportError(
            f"{label}/sae.safetensors holds no decoder W_dec of {d_sae:,} rows.",
            "It may have been saved without one; it is needed.",
        )
    beside = path.resolve().parent / "config.json"
    trained: Any = {}
    if beside.is_file():
        trained = parse_json(content(beside, LIMITS), f"{label}/../config.json", LIMITS)
    name = trained.get("model") if isinstance(trained, dict) else None
    model = name if isinstance(name, str) and name and not is_path(name) else None
    hook = _sparsify_hook(label)
    return Foreign(path, "sparsify", d_in, d_sae, hook, model, cfg, shapes)


def _check_sparsify(cfg: Mapping[str, Any], label: str) -> None:
    """Refuse what is not a TopK SAE, which is what SAELens takes everything for."""
    other = {
        "transcode": "a TopK transcoder, which SAELens does not have",
        "skip_connection": "a TopK SAE with a skip connection, which SAELens does not have",
        "embed_skip": "an SAE with a skip from the embedding, which SAELens does not have",
        "gram_lookup": "an SAE of what a table of n-grams leaves, which SAELens does not have",
    }
    for name, what in other.items():
        if cfg.get(name):
            raise SaereportError(f"cfg.json of {label} says '{name}': it is {what}.")
    if cfg.get("activation", "topk") != "topk":
        raise SaereportError(
            f"cfg.json of {label} names the activation '{shortened(cfg['activation'], 40)}', which "
            f"would be read as TopK."
        )


def _sparsify_hook(folder: str) -> str:
    """The hook point that sparsify's name for it means; folders are called by it."""
    if folder == "embed_tokens":
        return "hook_embed"
    name = re.sub(r"^(layers|h|blocks)_(\d+)", r"\1.\2", folder)
    module = parse_module(name)
    if module is None:
        raise SaereportError(
            f"The folder '{shortened(folder)}' is not called by a hook point as sparsify calls it, "
            f"so it is not known where its SAE reads.",
            "Name it layers.N, or layers.N.mlp, or as the model's module is called.",
        )
    if module.site == "hook_resid_post":
        return f"blocks.{module.layer}.hook_resid_post"
    return name


def _number(cfg: Mapping[str, Any], name: str, label: str, least: int = 1) -> int:
    value = cfg.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= 10**8:
        raise SaereportError(
            f"The configuration of {label} says {name} {shortened(value, 40)}, which is not a "
            f"whole number from {least}."
        )
    return value


def _require_k(cfg: Mapping[str, Any], d_sae: int, label: str) -> None:
    k = _number(cfg, "k", label)
    if k > d_sae:
        raise SaereportError(
            f"The configuration of {label} says k {k:,}, more than its {d_sae:,} latents.",
            "It does not belong to these weights.",
        )


def _apart(
    label: str, file: str, matrix: list[int] | None, d_in: int, d_sae: int
) -> SaereportError:
    held = "no encoder" if matrix is None else f"an encoder of the shape {matrix}"
    return SaereportError(
        f"{label}/{file} holds {held}, and {d_sae:,} latents of {d_in:,} inputs go with its "
        f"configuration.",
        "The two files do not belong together.",
    )


_READERS: Mapping[Trainer, Callable[[Path], Foreign]] = {
    "dictionary_learning": _dictionary_learning,
    "sparsify": _sparsify,
}
