"""An architecture that neither SAELens nor this package has, as another package would add it.

`f = gain * relu(x @ W_enc + b_enc)`, a gain above zero for each latent. With every gain a power of
two it is, to the last bit, a ReLU SAE whose encoder is multiplied with the gains.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from saereport.sources.saes.architectures import Architecture, Relu, Transcoder

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Gain(Relu):
    """A ReLU times a gain."""

    tensors: ClassVar[Mapping[str, tuple[str, ...]]] = {**Relu.tensors, "gain": ("d_sae",)}

    def weights(self) -> dict[str, Tensor]:
        return {**super().weights(), "gain": self.loaded.gain.detach()}

    def activations(self, x: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        return super().activations(x, weights).mul_(weights["gain"])

    def reads(self, latents: Tensor, dtype: torch.dtype) -> Tensor:
        return super().reads(latents, dtype) * self._gain(latents, dtype)[:, None]

    def biases(self, latents: Tensor, dtype: torch.dtype) -> Tensor:
        return super().biases(latents, dtype) * self._gain(latents, dtype)

    @property
    def W_enc(self) -> Tensor:
        return super().W_enc * self.loaded.gain.detach()

    def _gain(self, latents: Tensor, dtype: torch.dtype) -> Tensor:
        gain: Tensor = self.loaded.gain.detach()[latents].to(dtype)
        return gain


def _in_saelens(name: str, base: str) -> tuple[type[Any], type[Any]]:
    """SAELens's class of `base` and its configuration, with a gain."""
    import torch
    from sae_lens.registry import SAE_CLASS_REGISTRY

    sae_class, config_class = SAE_CLASS_REGISTRY[base]

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
            return name

    return GainSAE, GainConfig


GAIN = Architecture("gain", Gain, saelens=lambda: _in_saelens("gain", "standard"))
GAIN_TRANSCODER = Architecture(
    "gain_transcoder",
    Gain,
    Transcoder,
    saelens=lambda: _in_saelens("gain_transcoder", "transcoder"),
)


def save_pair(folder: Path, name: str, architecture: str, **options: Any) -> None:
    """Save an SAE with gains in `folder/gains`, and the ReLU SAE that it is in `folder/plain`.

    Args:
        folder: Where.
        name: The name of both folders.
        architecture: `standard` or `transcoder`.
        options: For `make_sae`.
    """
    import json

    import torch
    from safetensors.torch import load_file, save_file

    from tests.factories import save_sae

    plain = save_sae(folder / "plain" / name, architecture, **options)
    gains = save_sae(folder / "gains" / name, architecture, **options)
    file = gains / "sae_weights.safetensors"
    weights = load_file(file)
    exponents = torch.arange(len(weights["b_enc"])) % 5 - 2
    gain = 2.0**exponents
    save_file({**weights, "gain": gain}, file)
    cfg = json.loads((gains / "cfg.json").read_text())
    cfg["architecture"] = {"standard": "gain", "transcoder": "gain_transcoder"}[architecture]
    (gains / "cfg.json").write_text(json.dumps(cfg))
    multiplied = {"W_enc": weights["W_enc"] * gain, "b_enc": weights["b_enc"] * gain}
    save_file({**weights, **multiplied}, plain / "sae_weights.safetensors")
