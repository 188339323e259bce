"""Which tensors an SAE's weights file must hold, and their shapes: told from its header.

SAELens finds out when it fills an object with the weights, and says so in a page of its own names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from saereport.errors import SaereportError, did_you_mean
from saereport.visible import visible_text

_ENCODER = ("W_enc", "b_enc", "W_dec", "b_dec")
_TENSORS: dict[str, tuple[str, ...]] = {
    "standard": _ENCODER,
    "topk": _ENCODER,
    "jumprelu": (*_ENCODER, "threshold"),
    "gated": ("W_enc", "W_dec", "b_dec", "b_gate", "b_mag", "r_mag"),
    "batchtopk": (*_ENCODER, "topk_threshold"),
    "matryoshka_batchtopk": (*_ENCODER, "topk_threshold"),
    "transcoder": _ENCODER,
    "skip_transcoder": (*_ENCODER, "W_skip"),
    "jumprelu_transcoder": (*_ENCODER, "threshold"),
    "jumprelu_skip_transcoder": (*_ENCODER, "threshold", "W_skip"),
}
"""Parameters of SAELens's classes, by the architecture that a `cfg.json` names."""

_BESIDE = "scaling_factor"
"""A tensor that SAELens takes away again, or refuses with a reason; see `sae_config`."""

_SIZES = {"d_in": "inputs", "d_sae": "latents", "d_out": "outputs"}


def check_tensors(cfg: Mapping[str, Any], shapes: Mapping[str, Sequence[int]], label: str) -> None:
    """Check that a weights file holds what the configuration says, of an architecture known here.

    Args:
        cfg: The object of a `cfg.json`, whose fields have the right types.
        shapes: The shape of each tensor, from the file's header.
        label: The SAE, for messages.

    Raises:
        SaereportError: The configuration leaves out a size or the architecture, or a tensor is
            missing, is of another shape, or belongs to no SAE of this architecture.
    """
    if "architecture" not in cfg and _major_version(cfg) >= 6:
        raise SaereportError(
            f"{label}/cfg.json names no architecture.",
            'Add the one that it was trained as, such as "architecture": "standard".',
        )
    architecture = str(cfg.get("architecture", "standard"))
    if architecture not in _TENSORS:
        return
    sizes = ["d_in", "d_sae", *(["d_out"] if "transcoder" in architecture else [])]
    for size in sizes:
        if cfg.get(size) is None:
            raise SaereportError(
                f"{label}/cfg.json does not say {size}, the number of {_SIZES[size]}.", "Add it."
            )
    _check_k(cfg, architecture, label)
    _check_names(architecture, shapes, label)
    d_in, d_sae = cfg["d_in"], cfg["d_sae"]
    d_out = cfg["d_out"] if "transcoder" in architecture else d_in
    wanted: dict[str, tuple[list[int], str]] = {
        "W_enc": ([d_in, d_sae], f"{d_in:,} inputs and {d_sae:,} latents"),
        "W_dec": ([d_sae, d_out], f"{d_sae:,} latents and {d_out:,} outputs"),
        "W_skip": ([d_out, d_in], f"{d_in:,} inputs and {d_out:,} outputs"),
        "b_dec": ([d_out], f"{d_out:,} outputs"),
        "topk_threshold": ([], "one number"),
    }
    of_latents = ([d_sae], f"{d_sae:,} latents")
    for name, shape in sorted(shapes.items()):
        expected, words = wanted.get(name, of_latents)
        if name != _BESIDE and list(shape) != expected:
            raise SaereportError(
                f"{label}/sae_weights.safetensors: {name} has shape {list(shape)}, and "
                f"{expected} goes with cfg.json ({words}).",
                "The two files do not belong together, or a tensor is transposed.",
            )


def _check_k(cfg: Mapping[str, Any], architecture: str, label: str) -> None:
    """Without a k SAELens takes 100."""
    if "topk" not in architecture:
        return
    k = (cfg.get("activation_fn_kwargs") or {}).get("k", cfg.get("k"))
    if k is None:
        raise SaereportError(f"{label}/cfg.json does not say k, the active latents.", "Add it.")
    if isinstance(k, (int, float)) and k > cfg["d_sae"]:
        raise SaereportError(
            f"{label}/cfg.json says k {k:,}, more than its {cfg['d_sae']:,} latents.",
            "Correct it in cfg.json.",
        )


def _check_names(architecture: str, shapes: Mapping[str, Sequence[int]], label: str) -> None:
    """Check that each tensor of the architecture is there, and no other."""
    wanted = _TENSORS[architecture]
    held = {"threshold" if name == "log_threshold" else name for name in shapes}
    for name in wanted:
        if name not in held:
            raise SaereportError(
                f"{label}/sae_weights.safetensors lacks the tensor {name}, which an SAE of the "
                f"architecture '{architecture}' has.",
                "Is the architecture in cfg.json the right one?",
            )
    for name in sorted(held - {*wanted, _BESIDE}):
        shown = visible_text(name)[:60]
        raise SaereportError(
            f"{label}/sae_weights.safetensors holds a tensor '{shown}', which an SAE of the "
            f"architecture '{architecture}' does not have.",
            did_you_mean(name, wanted) or "Is the architecture in cfg.json the right one?",
        )


def _major_version(cfg: Mapping[str, Any]) -> int:
    """The first number of the SAELens that a configuration says it is of; 0 where it says none."""
    metadata = cfg.get("metadata")
    nested = metadata.get("sae_lens_version") if isinstance(metadata, dict) else None
    found = re.match(r"\d{1,6}", str(cfg.get("sae_lens_version") or nested or ""))
    return int(found[0]) if found else 0
