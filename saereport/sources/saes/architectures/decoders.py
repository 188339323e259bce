"""What a decoder is to the rest of the program: what latents write, and what is added to that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from saereport.sources.saes.architectures.encoders import Dims

if TYPE_CHECKING:
    from torch import Tensor


def beside(parts: list[Tensor], dim: int = -1) -> Tensor:
    """Tensors side by side; torch is only loaded where it is used."""
    import torch

    return torch.cat(parts, dim=dim)


class Decoder:
    """From latents to a reconstruction: a linear map and a bias.

    Attributes:
        tensors: The parameters that the decoder has in a weights file, each with its shape.
        elsewhere: Whether it writes elsewhere than the encoder reads.
        why_not_alone: Why what it makes is not by itself what stands at its write points, a
            clause; empty where it is, so that it can stand in for the activations there.
        loaded: SAELens's object, which has the parameters by name.
    """

    tensors: ClassVar[Mapping[str, Dims]] = {"W_dec": ("d_sae", "d_out"), "b_dec": ("d_out",)}
    elsewhere: ClassVar[bool] = False
    why_not_alone: ClassVar[str] = ""

    def __init__(self, loaded: Any) -> None:
        self.loaded = loaded

    @property
    def hooks_out(self) -> tuple[str, ...]:
        """Where it writes, by name and in the order of a pass; empty if where it reads."""
        return ()

    def rows(self, place: int, latents: Tensor | None = None) -> Tensor:
        """What is stored as the decoder's rows, `[n, d_out]`.

        Args:
            place: At which of the hook points that it writes to.
            latents: Indices of latents, on any device; all where None.
        """
        weight: Tensor = self.loaded.W_dec.detach()
        return weight if latents is None else weight[latents.to(weight.device)]

    def decode(self, f: Tensor, a: Tensor, place: int = 0) -> Tensor:
        """What latents and bias make at a write point, `[..., d_out]`; without a skip connection.

        Args:
            f: Latent activations `[..., d_sae]`.
            a: What was read, `[..., d_in]`.
            place: At which of the hook points that it writes to.
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

    def decode(self, f: Tensor, a: Tensor, place: int = 0) -> Tensor:
        """As `Decoder.decode`, in the units of `a`."""
        # SAELens undoes on decoding the normalisation of what it processed last.
        self.loaded.process_sae_in(a)
        return super().decode(f, a, place)

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

    @property
    def hooks_out(self) -> tuple[str, ...]:
        """The one point that the metadata name, if they do."""
        name = self.loaded.cfg.metadata.hook_name_out
        return (name,) if name else ()


class SkipTranscoder(Transcoder):
    """A transcoder that also multiplies its input with a matrix, past the latents."""

    tensors: ClassVar[Mapping[str, Dims]] = {**Decoder.tensors, "W_skip": ("d_out", "d_in")}

    @property
    def skip(self) -> Tensor | None:
        """The matrix."""
        weight: Tensor = self.loaded.W_skip.detach()
        return weight


class CrossLayer(Transcoder):
    """One layer of a cross-layer transcoder: writes to its own layer's MLP and to later ones'.

    What the transcoder makes of an MLP's output is the sum over its layers up to that MLP's. The
    decoder is not held in memory: `loaded.written` reads the rows that are asked for.
    """

    tensors: ClassVar[Mapping[str, Dims]] = {}
    why_not_alone = (
        "it is one layer of a cross-layer transcoder, and what that makes of an MLP's output is "
        "the sum over all its layers up to that MLP's"
    )

    @property
    def hooks_out(self) -> tuple[str, ...]:
        """Its own layer's MLP, and each later one."""
        names: tuple[str, ...] = self.loaded.written.hooks
        return names

    def rows(self, place: int, latents: Tensor | None = None) -> Tensor:
        """As `Decoder.rows`, read from the file."""
        found: Tensor = self.loaded.written.rows(place, latents)
        return found

    def decode(self, f: Tensor, a: Tensor, place: int = 0) -> Tensor:
        """As `Decoder.decode`: its part of the sum; an MLP's bias is its own layer's."""
        active = f.flatten(0, -2).any(dim=0).nonzero()[:, 0]
        made: Tensor = f[..., active] @ self.rows(place, active).to(f.dtype)
        return made + self.loaded.b_dec.detach() if place == 0 else made


class CrossLayerSkip(CrossLayer):
    """One that also multiplies its input with a matrix, past the latents, for its own MLP."""

    @property
    def skip(self) -> Tensor | None:
        """The matrix."""
        weight: Tensor = self.loaded.W_skip.detach()
        return weight


class BothSides(Autoencoder):
    """The decoder of latents that are two here for each of SAELens's, see `topk.AbsTopK`."""

    def rows(self, place: int, latents: Tensor | None = None) -> Tensor:
        """As `Decoder.rows`; of a negative side, turned round."""
        weight: Tensor = self.loaded.W_dec.detach()
        n = len(weight)
        if latents is None:
            return beside([weight, -weight], dim=0)
        latents = latents.to(weight.device)
        return weight[latents % n] * (1 - 2 * (latents >= n).to(weight.dtype))[:, None]

    def decode(self, f: Tensor, a: Tensor, place: int = 0) -> Tensor:
        """As `Autoencoder.decode`."""
        positive, negative = f.chunk(2, dim=-1)
        return super().decode(positive - negative, a, place)


class Novel(Autoencoder):
    """The decoder of a temporal SAE's novel codes; what it predicts is no part of this.

    Activations are multiplied with a factor before they are encoded, which decoding undoes.
    """

    def rows(self, place: int, latents: Tensor | None = None) -> Tensor:
        """As `Decoder.rows`, in the units of what is read."""
        return super().rows(place, latents) / self._factor

    def decode(self, f: Tensor, a: Tensor, place: int = 0) -> Tensor:
        """As `Decoder.decode`: what the novel codes and the bias make."""
        made = f @ self.rows(place)
        cfg = self.loaded.cfg
        # As SAELens has it: with tied weights the bias is only put back if it was taken off.
        if cfg.tied_weights and not cfg.apply_b_dec_to_input:
            return made
        bias: Tensor = self.loaded.b_dec.detach()
        return made + bias / self._factor

    @property
    def _factor(self) -> float:
        cfg = self.loaded.cfg
        scaled = cfg.normalize_activations == "constant_scalar_rescale"
        return float(cfg.activation_normalization_factor) if scaled else 1.0
