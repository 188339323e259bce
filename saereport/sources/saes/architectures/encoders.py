"""What an encoder is to the rest of the program: activations, and what is linear in them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from saereport.util.errors import SaereportError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Dims = tuple[str, ...]
"""A tensor's shape in the terms `d_in`, `d_sae` and `d_out`; empty for one number."""


class Encoder(ABC):
    """From activations to latents.

    Once it is known which latents are active, an encoder is linear: the pre-activation of an
    active latent is `x @ read + bias`, where x is what `process_sae_in` makes of an activation,
    and in units of the latent's activation f. Gradients and attribution are built on that;
    thresholds and gates are steps, and only say which latents are active.

    Attributes:
        tensors: The parameters that the encoder has in a weights file, each with its shape.
        settings: Fields that its `cfg.json` must have besides the sizes.
        normalizations: Ways to normalise activations that it alone has, by SAELens's names.
        more: Whether its weights file holds tensors besides, as many as its settings say.
        sliceable: Whether chosen latents are encoded without the others, in less time.
        of_sequences: Whether it needs whole sequences, and not rows of activations alone.
        sides: Latents here for each one of SAELens's: two where a latent can be negative, see
            `topk.AbsTopK`.
        why_no_reads: Why its latents have no read directions, a clause such as "it is …"; then
            `reads` and `biases` are refused. Empty where they have some.
        signed: Whether latents can be negative, so that an active one is one that is not zero.
            Statistics are of activations above zero, so such an SAE is refused.
        loaded: SAELens's object, which has the parameters by name.
    """

    tensors: ClassVar[Mapping[str, Dims]]
    settings: ClassVar[tuple[str, ...]] = ()
    normalizations: ClassVar[tuple[str, ...]] = ()
    more: ClassVar[bool] = False
    sliceable: ClassVar[bool] = False
    of_sequences: ClassVar[bool] = False
    sides: ClassVar[int] = 1
    why_no_reads: ClassVar[str] = ""
    signed: ClassVar[bool] = False

    def __init__(self, loaded: Any) -> None:
        self.loaded = loaded

    @abstractmethod
    def encode(self, a: Tensor, latents: Tensor | None = None) -> Tensor:
        """Latent activations of activations `a` `[..., d_in]`.

        Args:
            a: Activations where the SAE reads, heads flat.
            latents: Which latents, indices `[n]` on any device; None for all.

        Returns:
            `[..., n]`, or `[..., d_sae]`; dense.
        """

    @abstractmethod
    def reads(self, latents: Tensor, dtype: torch.dtype) -> Tensor:
        """The derivative of some latents' pre-activations with respect to x, `[n, d_in]`.

        In units of f, and computed in `dtype`, to which the parameters are brought first.
        """

    @abstractmethod
    def biases(self, latents: Tensor, dtype: torch.dtype) -> Tensor:
        """What the pre-activations of some latents hold besides `x @ read`, `[n]`; as `reads`."""

    @property
    def sizes(self) -> tuple[int, int]:
        """The width of what is read, and the number of latents."""
        d_in, d_sae = self.loaded.W_enc.shape
        return int(d_in), int(d_sae)

    @property
    def W_enc(self) -> Tensor:
        """Read directions of all latents `[d_in, d_sae]`, one column a latent."""
        weight: Tensor = self.loaded.W_enc.detach()
        return weight

    @property
    def decoder_scale(self) -> Tensor | None:
        """What the decoder's rows are divided by to be what one unit of f writes, `[d_sae]`.

        None where that is what they are.
        """
        return None


class WithoutReads(Encoder):
    """An encoder whose latents are no linear functions of the activation, not even one by one.

    Activations can be had, and what latents write; what is built on read directions is refused.
    """

    def encode(self, a: Tensor, latents: Tensor | None = None) -> Tensor:
        """As `Encoder.encode`: all are encoded by SAELens, whichever are asked for."""
        f: Tensor = self.loaded.encode(a)
        return f if latents is None else f.index_select(-1, latents.to(f.device))

    def reads(self, latents: Tensor, dtype: torch.dtype) -> Tensor:
        """There are none."""
        raise self._refusal

    def biases(self, latents: Tensor, dtype: torch.dtype) -> Tensor:
        """There are none."""
        raise self._refusal

    @property
    def _refusal(self) -> SaereportError:
        return SaereportError(f"Nothing can be said of what latents read: {self.why_no_reads}.")


class LatentByLatent(Encoder):
    """An encoder that acts on each latent alone, so that a slice of it does the same.

    The arithmetic of SAELens's `encode` is done here in the same order, with fewer passes over
    memory and only for the latents that are asked for.
    """

    sliceable = True

    def __init__(self, loaded: Any) -> None:
        super().__init__(loaded)
        self._whole: dict[str, Tensor] = {}
        self._slice: dict[str, Tensor] = {}
        self._of: Tensor | None = None

    @abstractmethod
    def weights(self) -> dict[str, Tensor]:
        """The parameters that `activations` uses, latents along the last axis of each."""

    @abstractmethod
    def activations(self, x: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """Latent activations `[..., n]` of what `process_sae_in` gives, `[..., d_in]`.

        Args:
            x: What the encoder multiplies.
            weights: Of the latents that are asked for, as `weights` gives them.
        """

    def encode(self, a: Tensor, latents: Tensor | None = None) -> Tensor:
        """As `Encoder.encode`; weights are kept while `latents` stays the same object."""
        weights = self._weights_of(latents)
        return self.activations(self.loaded.process_sae_in(a), weights)

    def _weights_of(self, latents: Tensor | None) -> Mapping[str, Tensor]:
        if latents is None:
            self._whole = self._whole or self.weights()
            return self._whole
        if self._of is not latents:
            whole = self.weights()
            index = latents.to(whole["W_enc"].device)
            self._slice = {name: w.index_select(-1, index) for name, w in whole.items()}
            self._of = latents
        return self._slice
