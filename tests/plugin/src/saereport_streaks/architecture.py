"""JumpReLU times a gain for each latent: an architecture that SAELens does not have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from saereport.sources.saes.architectures import Architecture, JumpRelu

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class GainJumpRelu(JumpRelu):
    """`f = gain * jumprelu(x @ W_enc + b_enc)`."""

    tensors: ClassVar[Mapping[str, tuple[str, ...]]] = {**JumpRelu.tensors, "gain": ("d_sae",)}

    def weights(self) -> dict[str, Tensor]:
        """The encoder's weights by name, `[..., d_sae]`."""
        return {**super().weights(), "gain": self.loaded.gain.detach()}

    def activations(self, x: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """Activations of what is read."""
        return super().activations(x, weights).mul_(weights["gain"])

    def reads(self, latents: Tensor, dtype: torch.dtype) -> Tensor:
        """Read directions of some latents."""
        return super().reads(latents, dtype) * self._gain(latents, dtype)[:, None]

    def biases(self, latents: Tensor, dtype: torch.dtype) -> Tensor:
        """Biases of some latents."""
        return super().biases(latents, dtype) * self._gain(latents, dtype)

    @property
    def W_enc(self) -> Tensor:
        """Read directions of all latents."""
        return super().W_enc * self.loaded.gain.detach()

    def _gain(self, latents: Tensor, dtype: torch.dtype) -> Tensor:
        gain: Tensor = self.loaded.gain.detach()[latents].to(dtype)
        return gain


def classes() -> tuple[type[Any], type[Any]]:
    """SAELens's JumpReLU and its configuration, with a gain."""
    import torch
    from sae_lens.registry import SAE_CLASS_REGISTRY

    sae_class, config_class = SAE_CLASS_REGISTRY["jumprelu"]

    class GainSAE(sae_class):  # type: ignore[valid-type, misc]
        def initialize_weights(self) -> None:
            super().initialize_weights()
            ones = torch.ones(self.cfg.d_sae, dtype=self.dtype, device=self.device)
            self.gain = torch.nn.Parameter(ones)

        def encode(self, x: torch.Tensor) -> torch.Tensor:
            return super().encode(x) * self.gain  # type: ignore[no-any-return]

    class GainConfig(config_class):  # type: ignore[valid-type, misc]
        @classmethod
        def architecture(cls) -> str:
            return "gain_jumprelu"

    return GainSAE, GainConfig


ARCHITECTURE = Architecture("gain_jumprelu", GainJumpRelu, saelens=classes)
