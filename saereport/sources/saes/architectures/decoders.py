"""What a decoder is to the rest of the program: what latents write, and what is added to that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from saereport.sources.saes.architectures.encoders import Dims

if TYPE_CHECKING:
    from torch import Tensor


class Decoder:
    """From latents to a reconstruction: a linear map and a bias.

    Attributes:
        tensors: The parameters that the decoder has in a weights file, each with its shape.
        elsewhere: Whether it writes elsewhere than the encoder reads.
        loaded: SAELens's object, which has the parameters by name.
    """

    tensors: ClassVar[Mapping[str, Dims]] = {"W_dec": ("d_sae", "d_out"), "b_dec": ("d_out",)}
    elsewhere: ClassVar[bool] = False

    def __init__(self, loaded: Any) -> None:
        self.loaded = loaded

    def decode(self, f: Tensor, a: Tensor) -> Tensor:
        """What latents make at the write point, `[..., d_out]`; without a skip connection.

        Args:
            f: Latent activations `[..., d_sae]`.
            a: What was read, `[..., d_in]`.
        """
        decoded: Tensor = self.loaded.decode(f)
        return decoded

    @property
    def input_bias(self) -> Tensor | None:
        """What is taken off the input before it is encoded `[d_in]`; None where nothing is."""
        return None

    @property
    def skip(self) -> Tensor | None:
        """What the input is multiplied with and added, `[d_out, d_in]`; None where nothing is."""
        return None


class Autoencoder(Decoder):
    """Writes where it reads: undoes the input's normalisation, and may share its bias with it."""

    def decode(self, f: Tensor, a: Tensor) -> Tensor:
        """As `Decoder.decode`, in the units of `a`."""
        # SAELens undoes on decoding the normalisation of what it processed last.
        self.loaded.process_sae_in(a)
        return super().decode(f, a)

    @property
    def input_bias(self) -> Tensor | None:
        """The decoder's bias, where the configuration says that it is taken off the input."""
        if not self.loaded.cfg.apply_b_dec_to_input:
            return None
        bias: Tensor = self.loaded.b_dec.detach()
        return bias


class Transcoder(Decoder):
    """Writes elsewhere than it reads; a normalisation of the input is not undone."""

    elsewhere = True


class SkipTranscoder(Transcoder):
    """A transcoder that also multiplies its input with a matrix, past the latents."""

    tensors: ClassVar[Mapping[str, Dims]] = {**Decoder.tensors, "W_skip": ("d_out", "d_in")}

    @property
    def skip(self) -> Tensor | None:
        """The matrix."""
        weight: Tensor = self.loaded.W_skip.detach()
        return weight
