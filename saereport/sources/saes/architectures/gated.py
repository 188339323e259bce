"""Gated SAEs: one half says whether a latent is active, the other how active it is.

`f = relu(x @ W_mag + b_mag) * (x @ W_enc + b_gate > 0)` with `W_mag = W_enc * exp(r_mag)`:
Rajamanoharan et al. 2024, https://arxiv.org/abs/2404.16014.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from saereport.sources.saes.architectures.encoders import Dims, LatentByLatent
from saereport.sources.saes.architectures.registry import Architecture

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Gated(LatentByLatent):
    """A gate and a magnitude in the same direction.

    The gate is a step, so what is linear once it is open is the magnitude, and what the latent
    reads is the magnitude's: the gate's direction, of another length.
    """

    tensors: ClassVar[Mapping[str, Dims]] = {
        "W_enc": ("d_in", "d_sae"),
        "b_gate": ("d_sae",),
        "b_mag": ("d_sae",),
        "r_mag": ("d_sae",),
    }

    def weights(self) -> dict[str, Tensor]:
        """`W_enc` and `W_mag` `[d_in, d_sae]`, `b_gate` and `b_mag` `[d_sae]`."""
        W_enc = self.loaded.W_enc.detach()
        return {
            "W_enc": W_enc,
            "W_mag": W_enc * self.loaded.r_mag.detach().exp(),
            "b_gate": self.loaded.b_gate.detach(),
            "b_mag": self.loaded.b_mag.detach(),
        }

    def activations(self, x: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """As `LatentByLatent.activations`."""
        gate = x @ weights["W_enc"]
        gate += weights["b_gate"]
        magnitude = x @ weights["W_mag"]
        magnitude += weights["b_mag"]
        return magnitude.relu_().mul_(gate > 0)

    @property
    def W_enc(self) -> Tensor:
        """As `Encoder.W_enc`: of the magnitude."""
        return self.weights()["W_mag"]

    def reads(self, latents: Tensor, dtype: torch.dtype) -> Tensor:
        """As `Encoder.reads`: of the magnitude."""
        weight, stretch = self.loaded.W_enc.detach(), self.loaded.r_mag.detach()
        index = latents.to(weight.device)
        read: Tensor = weight[:, index].T.to(dtype) * stretch[index].to(dtype).exp()[:, None]
        return read

    def biases(self, latents: Tensor, dtype: torch.dtype) -> Tensor:
        """As `Encoder.biases`: of the magnitude."""
        bias = self.loaded.b_mag.detach()
        chosen: Tensor = bias[latents.to(bias.device)].to(dtype)
        return chosen


ARCHITECTURES = (Architecture("gated", Gated),)
