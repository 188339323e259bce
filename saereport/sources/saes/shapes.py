"""Which tensors an SAE's weights file must hold, and their shapes: told from its header.

SAELens finds out when it fills an object with the weights, and says so in a page of its own names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from saereport.sources.saes.architectures import Stored, stored_as
from saereport.util.errors import SaereportError, did_you_mean
from saereport.util.visible import visible_text

_BESIDE = "scaling_factor"
"""A tensor that SAELens takes away again, or refuses with a reason; see `config`."""

_AS_LOADED = {"log_threshold": "threshold"}
"""How SAELens's training JumpReLU SAEs were saved once, and what is made of it on loading."""

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
    stored = stored_as(architecture)
    if stored is None:
        return
    for size in ("d_in", "d_sae", *(["d_out"] if stored.elsewhere else [])):
        if cfg.get(size) is None:
            raise SaereportError(
                f"{label}/cfg.json does not say {size}, the number of {_SIZES[size]}.", "Add it."
            )
    for name in stored.settings:
        _check_setting(cfg, name, label)
    _check_names(architecture, stored, shapes, label)
    sizes = {**cfg, "d_out": cfg["d_out"] if stored.elsewhere else cfg["d_in"]}
    for name, shape in sorted(shapes.items()):
        if name == _BESIDE or (stored.more and name not in stored.tensors):
            continue
        dims = stored.tensors[_AS_LOADED.get(name, name)]
        expected = [sizes[dim] for dim in dims]
        if list(shape) != expected:
            words = [f"{sizes[dim]:,} {what}" for dim, what in _SIZES.items() if dim in dims]
            raise SaereportError(
                f"{label}/sae_weights.safetensors: {name} has shape {list(shape)}, and "
                f"{expected} goes with cfg.json ({' and '.join(words) or 'one number'}).",
                "The two files do not belong together, or a tensor is transposed.",
            )


def _check_setting(cfg: Mapping[str, Any], name: str, label: str) -> None:
    """Check that a field is there that the architecture needs; without a k SAELens takes 100."""
    value = (cfg.get("activation_fn_kwargs") or {}).get(name, cfg.get(name))
    if value is None:
        what = {"k": ", the active latents"}.get(name, "")
        raise SaereportError(f"{label}/cfg.json does not say {name}{what}.", "Add it.")
    if name == "k" and isinstance(value, (int, float)) and value > cfg["d_sae"]:
        raise SaereportError(
            f"{label}/cfg.json says k {value:,}, more than its {cfg['d_sae']:,} latents.",
            "Correct it in cfg.json.",
        )


def _check_names(
    architecture: str, stored: Stored, shapes: Mapping[str, Sequence[int]], label: str
) -> None:
    """Check that each tensor of the architecture is there, and no other."""
    wanted = tuple(stored.tensors)
    held = {_AS_LOADED.get(name, name) for name in shapes}
    for name in wanted:
        if name not in held:
            raise SaereportError(
                f"{label}/sae_weights.safetensors lacks the tensor {name}, which an SAE of the "
                f"architecture '{architecture}' has.",
                "Is the architecture in cfg.json the right one?",
            )
    for name in () if stored.more else sorted(held - {*wanted, _BESIDE}):
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
