"""`f = relu(x @ W_enc + b_enc)`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from saereport.sources.saes.architectures.decoders import SkipTranscoder, Transcoder
from saereport.sources.saes.architectures.encoders import Dims, LatentByLatent
from saereport.sources.saes.architectures.registry import Architecture

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Relu(LatentByLatent):
    """An affine map and a ReLU: SAELens's "standard" SAE."""

    tensors: ClassVar[Mapping[str, Dims]] = {"W_enc": ("d_in", "d_sae"), "b_enc": ("d_sae",)}

    def weights(self) -> dict[str, Tensor]:
        """`W_enc` `[d_in, d_sae]` and `b_enc` `[d_sae]`."""
        return {"W_enc": self.loaded.W_enc.detach(), "b_enc": self.loaded.b_enc.detach()}

    def activations(self, x: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """As `LatentByLatent.activations`."""
        return self.affine(x, weights).relu_()

    def affine(self, x: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """`x @ W_enc + b_enc`, `[..., n]`."""
        # In this order, as in SAELens, so that no activation sits on the other side of a threshold.
        found = x @ weights["W_enc"]
        found += weights["b_enc"]
        return found

    def reads(self, latents: Tensor, dtype: torch.dtype) -> Tensor:
        """As `Encoder.reads`: columns of `W_enc`."""
        weight = self.loaded.W_enc.detach()
        read: Tensor = weight[:, latents.to(weight.device)].T.to(dtype)
        return read

    def biases(self, latents: Tensor, dtype: torch.dtype) -> Tensor:
        """As `Encoder.biases`: of `b_enc`."""
        bias = self.loaded.b_enc.detach()
        chosen: Tensor = bias[latents.to(bias.device)].to(dtype)
        return chosen


ARCHITECTURES = (
    Architecture("standard", Relu),
    Architecture("transcoder", Relu, Transcoder),
    Architecture("skip_transcoder", Relu, SkipTranscoder),
)
