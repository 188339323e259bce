"""TopK SAEs: the k largest pre-activations of a token, above zero, are the active latents.

Gao et al. 2024, https://arxiv.org/abs/2406.04093.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from saereport.sources.saes.architectures.decoders import BothSides, beside
from saereport.sources.saes.architectures.encoders import Encoder
from saereport.sources.saes.architectures.registry import Architecture
from saereport.sources.saes.architectures.relu import Relu

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class TopK(Encoder):
    """Latents compete, so a slice of the encoder would let more of them through.

    SAEs that were trained with `rescale_acts_by_decoder_norm` choose among pre-activations times
    the norms of the decoder's rows, and their latents f are in that unit.
    """

    tensors = Relu.tensors
    settings: ClassVar[tuple[str, ...]] = ("k",)

    def encode(self, a: Tensor, latents: Tensor | None = None) -> Tensor:
        """As `Encoder.encode`: all are encoded by SAELens, whichever are asked for."""
        f: Tensor = self.loaded.encode(a)
        f = f.to_dense() if f.is_sparse else f
        return f if latents is None else f.index_select(-1, latents.to(f.device))

    def reads(self, latents: Tensor, dtype: torch.dtype) -> Tensor:
        """As `Encoder.reads`."""
        weight = self.loaded.W_enc.detach()
        read: Tensor = weight[:, latents.to(weight.device)].T.to(dtype)
        scale = self._norms(latents, dtype)
        return read if scale is None else read * scale[:, None]

    def biases(self, latents: Tensor, dtype: torch.dtype) -> Tensor:
        """As `Encoder.biases`."""
        bias = self.loaded.b_enc.detach()
        chosen: Tensor = bias[latents.to(bias.device)].to(dtype)
        scale = self._norms(latents, dtype)
        return chosen if scale is None else chosen * scale

    @property
    def W_enc(self) -> Tensor:
        """As `Encoder.W_enc`, in units of f."""
        scale = self.decoder_scale
        return super().W_enc if scale is None else super().W_enc * scale

    @property
    def decoder_scale(self) -> Tensor | None:
        """The norms of the decoder's rows, where they scale the latents."""
        return self._norms(None, self.loaded.W_enc.dtype)

    def _norms(self, latents: Tensor | None, dtype: torch.dtype) -> Tensor | None:
        if not self.loaded.cfg.rescale_acts_by_decoder_norm:
            return None
        rows = self.loaded.W_dec.detach()
        rows = rows if latents is None else rows[latents.to(rows.device)]
        # A row without length writes nothing, and must not be divided by its norm.
        norms: Tensor = rows.to(dtype).norm(dim=-1).clamp(min=1e-8)
        return norms


class AbsTopK(TopK):
    """The k largest pre-activations by size, with their signs, as two latents for each one.

    Latent i of SAELens's n is latent i here where it is positive, and latent n + i where it is
    negative, with all its directions turned round. An activation has one sign at a time, so this
    is the same SAE: a TopK over `z` and `-z` side by side. Everything that is said of activations
    above zero holds of each side, and the two are told apart as they mean different things.

    "AbsTopK: Rethinking Sparse Autoencoders For Bidirectional Features", https://arxiv.org/abs/2510.00404.
    """

    sides: ClassVar[int] = 2

    def encode(self, a: Tensor, latents: Tensor | None = None) -> Tensor:
        """As `TopK.encode`, the positive sides and then the negative ones."""
        f = super().encode(a)
        f = beside([f.clamp(min=0), (-f).clamp(min=0)])
        return f if latents is None else f.index_select(-1, latents.to(f.device))

    @property
    def sizes(self) -> tuple[int, int]:
        """As `Encoder.sizes`, both sides counted."""
        d_in, d_sae = super().sizes
        return d_in, self.sides * d_sae

    @property
    def W_enc(self) -> Tensor:
        """As `Encoder.W_enc`, `[d_in, 2 n]`."""
        weight = super().W_enc
        return beside([weight, -weight])

    def reads(self, latents: Tensor, dtype: torch.dtype) -> Tensor:
        """As `Encoder.reads`."""
        base, sign = self._sides_of(latents)
        return super().reads(base, dtype) * sign.to(dtype)[:, None]

    def biases(self, latents: Tensor, dtype: torch.dtype) -> Tensor:
        """As `Encoder.biases`."""
        base, sign = self._sides_of(latents)
        return super().biases(base, dtype) * sign.to(dtype)

    @property
    def decoder_scale(self) -> Tensor | None:
        """As `TopK.decoder_scale`, for both sides."""
        scale = super().decoder_scale
        return None if scale is None else beside([scale, scale])

    def _sides_of(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """SAELens's indices of latents, and the sign that each is here."""
        latents = latents.to(self.loaded.W_enc.device)
        n = self.loaded.W_enc.shape[1]
        return latents % n, 1 - 2 * (latents >= n).int()


ARCHITECTURES = (Architecture("topk", TopK), Architecture("abstopk", AbsTopK, BothSides))
