"""`f = z * (z > threshold)` of `z = x @ W_enc + b_enc`, each latent with its own threshold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from saereport.sources.saes.architectures.decoders import SkipTranscoder, Transcoder
from saereport.sources.saes.architectures.encoders import Dims
from saereport.sources.saes.architectures.registry import Architecture
from saereport.sources.saes.architectures.relu import Relu

if TYPE_CHECKING:
    from torch import Tensor


class JumpRelu(Relu):
    """A ReLU that begins at a threshold; BatchTopK SAEs are stored for use in this form."""

    tensors: ClassVar[Mapping[str, Dims]] = {**Relu.tensors, "threshold": ("d_sae",)}

    def weights(self) -> dict[str, Tensor]:
        """Those of `Relu`, and the thresholds `[d_sae]`, none below zero."""
        # Above zero the threshold decides, below it the ReLU: one comparison does both.
        return {**super().weights(), "threshold": self.loaded.threshold.detach().clamp(min=0)}

    def activations(self, x: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """As `LatentByLatent.activations`."""
        z = self.affine(x, weights)
        return z.mul_(z > weights["threshold"])


ARCHITECTURES = (
    Architecture("jumprelu", JumpRelu),
    Architecture("jumprelu_transcoder", JumpRelu, Transcoder),
    Architecture("jumprelu_skip_transcoder", JumpRelu, SkipTranscoder),
)
