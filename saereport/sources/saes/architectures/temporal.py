"""Temporal SAEs: what attention over earlier tokens predicts is taken off before it is encoded.

"Priors in Time: Missing Inductive Biases for Language Model Interpretability",
https://arxiv.org/abs/2511.01836.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from saereport.sources.saes.architectures.decoders import Novel
from saereport.sources.saes.architectures.encoders import Dims, WithoutReads
from saereport.sources.saes.architectures.registry import Architecture

if TYPE_CHECKING:
    from torch import Tensor


class Temporal(WithoutReads):
    """The latents are the novel codes, which SAELens's `encode` gives; they are sparse.

    The predicted codes are dense, and are part of the reconstruction alone. Activations are those
    of whole sequences, `[..., pos, d_in]`.
    """

    tensors: ClassVar[Mapping[str, Dims]] = {}
    more = True
    settings = ("n_heads", "bottleneck_factor")
    normalizations = ("constant_scalar_rescale",)
    of_sequences = True
    why_no_reads = (
        "a temporal SAE encodes what attention over earlier tokens does not predict, so a latent "
        "has no read direction in the activation alone"
    )

    def encode(self, a: Tensor, latents: Tensor | None = None) -> Tensor:
        """As `Encoder.encode`, of one sequence `[pos, d_in]` or of several."""
        return super().encode(a, latents) if a.ndim > 2 else super().encode(a[None], latents)[0]

    @property
    def sizes(self) -> tuple[int, int]:
        """As `Encoder.sizes`; a tied encoder has no weights of its own."""
        d_sae, d_in = self.loaded.W_dec.shape
        return int(d_in), int(d_sae)

    @property
    def W_enc(self) -> Tensor:
        """What the encoder multiplies, `[d_in, d_sae]`."""
        cfg = self.loaded.cfg
        weight: Tensor = self.loaded.W_dec.T if cfg.tied_weights else self.loaded.W_enc
        return weight.detach()


ARCHITECTURES = (Architecture("temporal", Temporal, Novel),)
