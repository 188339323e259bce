"""Loading one layer of a set of transcoders, per-layer or cross-layer.

The layer becomes SAELens's object of the architecture that it encodes as. A cross-layer decoder
is left on the disk: for one layer it holds as many matrices as there are layers after it, and a
few of its rows at a time are all that is ever needed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from saereport.sources.devices import dtype_name
from saereport.sources.saes.architectures import (
    Architecture,
    CrossLayer,
    CrossLayerSkip,
    JumpRelu,
    Relu,
    architecture_of,
)
from saereport.sources.saes.asking import AskedLayer
from saereport.sources.saes.config import check_config
from saereport.sources.saes.headers import tensor_shapes
from saereport.sources.saes.sets import (
    CROSS_LAYER,
    SET_CONFIG,
    TranscoderLayer,
    look_at_layer,
    read_set,
)
from saereport.util.errors import SaereportError
from saereport.util.untrusted import MIB

CROSS_LAYERS = {
    "transcoder": Architecture("cross_layer_transcoder", Relu, CrossLayer),
    "jumprelu_transcoder": Architecture("jumprelu_cross_layer_transcoder", JumpRelu, CrossLayer),
    "skip_transcoder": Architecture("cross_layer_skip_transcoder", Relu, CrossLayerSkip),
    "jumprelu_skip_transcoder": Architecture(
        "jumprelu_cross_layer_skip_transcoder", JumpRelu, CrossLayerSkip
    ),
}
"""What one layer of a cross-layer transcoder is, by SAELens's name for its encoder."""


@dataclass(frozen=True)
class Written:
    """A cross-layer decoder on the disk, `[d_sae, places, d_out]`.

    Attributes:
        path: Its file.
        name: Its name there.
        hooks: The hook point of each place that is written to.
        first: Which of the decoder's places the first of them is.
        device: Where rows are put.
        dtype: The number format that they are given in.
    """

    path: Path
    name: str
    hooks: tuple[str, ...]
    first: int
    device: torch.device
    dtype: torch.dtype

    def rows(self, place: int, latents: Tensor | None = None) -> Tensor:
        """What latents write at a place, `[n, d_out]`; of all where none are named."""
        with safe_open(self.path, framework="pt") as file:
            stored = file.get_slice(self.name)
            if latents is None:
                return self._given(stored[:, self.first + place])
            if not len(latents):
                return self._given(torch.zeros(0, stored.get_shape()[2]))
            # Each row once, in the order in which they lie.
            wanted, where = torch.unique(latents.cpu(), return_inverse=True)
            return self._given(stored[wanted.tolist(), self.first + place][where])

    def sha256(self) -> str:
        """The hash of its file."""
        digest = hashlib.sha256()
        with self.path.open("rb") as stream:
            while part := stream.read(16 * MIB):
                digest.update(part)
        return digest.hexdigest()

    def _given(self, rows: Tensor) -> Tensor:
        return rows.to(device=self.device, dtype=self.dtype)


def load_layer(
    asked: AskedLayer, label: str, device: torch.device, dtype: torch.dtype
) -> tuple[Any, Architecture]:
    """One layer of a set.

    Args:
        asked: The layer.
        label: The layer, for messages.
        device: Where to put it.
        dtype: The number format to compute in.

    Returns:
        SAELens's object, and what it is; where it is of a cross-layer transcoder the object has
        `written` in place of `W_dec`.

    Raises:
        SaereportError: Its files are damaged, or say something that is not known here.
    """
    find = asked.find
    found = read_set(find(SET_CONFIG), label, asked.kind)
    layer = look_at_layer(found, asked.number, find, tensor_shapes)
    loaded = _object(layer, label, device, dtype)
    cross = found.kind == CROSS_LAYER
    state = {
        name: _tensor(find(one.file), one.name, one.transposed, device, dtype)
        for name, one in layer.tensors.items()
        if not (cross and name == "W_dec")
    }
    loaded.load_state_dict(state, assign=True, strict=not cross)
    loaded.device = device
    if not cross:
        architecture = architecture_of(layer.architecture)
        assert architecture is not None
        return loaded, architecture
    del loaded.W_dec
    stored = layer.tensors["W_dec"]
    place = find(stored.file)
    loaded.written = Written(place, stored.name, layer.hooks_out, layer.first, device, dtype)
    return loaded, CROSS_LAYERS[layer.architecture]


def _object(layer: TranscoderLayer, label: str, device: torch.device, dtype: torch.dtype) -> Any:
    """SAELens's object without weights."""
    from sae_lens.registry import SAE_CLASS_REGISTRY

    cfg = {
        "d_in": layer.d_in,
        "d_sae": layer.d_sae,
        "d_out": layer.d_out,
        "dtype": dtype_name(dtype),
        "device": "meta",
        "apply_b_dec_to_input": False,
        "normalize_activations": "none",
        "metadata": {
            "model_name": layer.of.model_name,
            "hook_name": layer.hook_in,
            "hook_name_out": layer.hooks_out[0],
            # As SAELens loads the model for sets of this format.
            "model_from_pretrained_kwargs": {"fold_ln": False},
        },
    }
    check_config({**cfg, "architecture": layer.architecture}, label)
    sae_class, config_class = SAE_CLASS_REGISTRY[layer.architecture]
    loaded = sae_class(config_class.from_dict(cfg))
    loaded.cfg.device = str(device)
    return loaded


def _tensor(
    path: Path, name: str, transposed: bool, device: torch.device, dtype: torch.dtype
) -> Tensor:
    try:
        with safe_open(path, framework="pt") as file:
            found: Tensor = file.get_tensor(name)
    except Exception as error:  # safetensors has an exception of its own for each damage
        raise SaereportError(f"{path.name} is damaged.", "Copy or download it again.") from error
    found = found.T.contiguous() if transposed else found
    return found.to(device=device, dtype=dtype)
