"""Weights of other trainers' folders, as SAELens's objects.

dictionary_learning's are converted by SAELens's own loader, given the folder in place of the hub.
sparsify's are converted here: SAELens's converter transposes the decoder that sparsify saves the
right way round, and takes the decoder's bias off the input only where the decoder's rows are not
of unit length, while sparsify always does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from safetensors.torch import load_file

from saereport.sources.saes.foreign import Foreign

_FORCE, _FORBID = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


@contextmanager
def weights_only() -> Iterator[None]:
    """Inside this, `torch.load` runs no code, whatever the environment or a library says."""
    kept = {name: os.environ.pop(name, None) for name in (_FORCE, _FORBID)}
    os.environ[_FORCE] = "1"
    try:
        yield
    finally:
        del os.environ[_FORCE]
        os.environ.update({name: value for name, value in kept.items() if value is not None})


def converted(
    found: Foreign, device: str, overrides: dict[str, Any] | None
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """An SAE of another trainer as SAELens's loaders give one: a configuration and weights.

    Args:
        found: What its files say.
        device: Where to put it.
        overrides: What SAELens is to take in place of what the configuration says.
    """
    convert = _sparsify if found.trainer == "sparsify" else _dictionary_learning
    return convert(found, device, {**(overrides or {}), "model_name": found.model_name})


def _dictionary_learning(
    found: Foreign, device: str, overrides: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    from sae_lens.loading import pretrained_sae_loaders as loaders

    def local(*_: Any, filename: str, **__: Any) -> str:
        return str(found.path / Path(filename).name)

    # Its loader knows the hub alone; the formats are the same.
    with patch.object(loaders, "hf_hub_download", local), weights_only():
        cfg, weights, _ = loaders.dictionary_learning_sae_huggingface_loader_1(
            "", "", device, False, overrides
        )
    return cfg, weights


def _sparsify(
    found: Foreign, device: str, overrides: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    raw = load_file(found.path / "sae.safetensors", device=device)
    zeros = raw["W_dec"].new_zeros
    cfg = {
        "architecture": "abstopk" if found.signed else "topk",
        "d_in": found.d_in,
        "d_sae": found.d_sae,
        "k": found.cfg["k"],
        "dtype": "float32",
        "device": device,
        "hook_name": found.hook_name,
        **({} if found.signed else {"activation_fn": "topk"}),
        "activation_fn_kwargs": {} if found.signed else {"k": found.cfg["k"]},
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "prepend_bos": True,
        **overrides,
    }
    weights = {
        "W_enc": raw["encoder.weight"].T.contiguous(),
        "b_enc": raw.get("encoder.bias", zeros(found.d_sae)),
        "W_dec": raw["W_dec"],
        "b_dec": raw.get("b_dec", zeros(found.d_in)),
    }
    return cfg, weights
