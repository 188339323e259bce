"""Which architectures there are, and what the folder of an SAE of each holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from saereport.sources.saes.architectures.decoders import Autoencoder, Decoder
from saereport.sources.saes.architectures.encoders import Dims, Encoder
from saereport.util.errors import SaereportError

ENTRY_POINTS = "saereport.architectures"
"""The group of entry points that name an `Architecture` each."""

NEGATIVE = "its latents can be negative, and statistics are of activations above zero"


@dataclass(frozen=True)
class Stored:
    """What the folder of an SAE holds.

    Attributes:
        tensors: The tensors in its weights file, each with its shape.
        settings: Fields that its `cfg.json` must have besides the sizes.
        elsewhere: Whether it writes elsewhere than it reads, and so says `d_out` too.
        normalizations: Ways to normalise activations that it alone has.
        more: Whether there are tensors besides, as many as the settings say.
        sides: Latents here for each one of the files.
    """

    tensors: Mapping[str, Dims]
    settings: tuple[str, ...] = ()
    elsewhere: bool = False
    normalizations: tuple[str, ...] = ()
    more: bool = False
    sides: int = 1


@dataclass(frozen=True)
class Architecture:
    """A way to encode together with a way to decode.

    Attributes:
        name: What a `cfg.json` and SAELens call it.
        encoder: From activations to latents.
        decoder: From latents to a reconstruction.
        saelens: For an architecture that SAELens does not have: gives its class of SAEs and the
            class of their configuration. Only called when such an SAE is loaded, so that torch
            and SAELens can be imported in it.
    """

    name: str
    encoder: type[Encoder]
    decoder: type[Decoder] = Autoencoder
    saelens: Callable[[], tuple[type[Any], type[Any]]] | None = None

    @property
    def stored(self) -> Stored:
        """What the folder of such an SAE holds."""
        encoder = self.encoder
        return Stored(
            tensors={**encoder.tensors, **self.decoder.tensors},
            settings=encoder.settings,
            elsewhere=self.decoder.elsewhere,
            normalizations=encoder.normalizations,
            more=encoder.more,
            sides=encoder.sides,
        )

    def introduce(self) -> None:
        """Make it known to SAELens, where SAELens does not have it.

        Raises:
            SaereportError: What gives its classes fails.
        """
        from sae_lens.registry import SAE_CLASS_REGISTRY, register_sae_class

        if self.saelens is None or self.name in SAE_CLASS_REGISTRY:
            return
        try:
            classes = self.saelens()
        except Exception as error:
            raise SaereportError(
                f"The architecture '{self.name}' cannot be used: {type(error).__name__}: {error}",
                "The package that adds it is to be corrected.",
            ) from error
        register_sae_class(self.name, *classes)


_ARCHITECTURES: dict[str, Architecture] = {}

_IN_TRAINING = {
    name: Stored(
        {
            "W_enc": ("d_in", "d_sae"),
            "b_enc": ("d_sae",),
            "W_dec": ("d_sae", "d_out"),
            "b_dec": ("d_out",),
            "topk_threshold": (),
        },
        settings=("k",),
    )
    for name in ("batchtopk", "matryoshka_batchtopk")
}
"""What exists in checkpoints of a training only: SAELens makes JumpReLU SAEs of them for use."""


def register(architecture: Architecture) -> None:
    """Add an architecture.

    Raises:
        ValueError: There is one of that name.
    """
    if architecture.name in {*_ARCHITECTURES, *_IN_TRAINING}:
        raise ValueError(f"there are two architectures of the name '{architecture.name}'")
    _ARCHITECTURES[architecture.name] = architecture


def architecture_of(name: str) -> Architecture | None:
    """The architecture of a name; None where reports are not made of such SAEs."""
    return _ARCHITECTURES.get(name)


def stored_as(name: str) -> Stored | None:
    """What a folder holds whose `cfg.json` names an architecture; None where it is not known."""
    found = architecture_of(name)
    return found.stored if found is not None else _IN_TRAINING.get(name)


def supported() -> list[str]:
    """The names of the architectures, sorted."""
    return sorted(name for name, one in _ARCHITECTURES.items() if not one.encoder.signed)


def require(name: str, label: str) -> Architecture:
    """The architecture of an SAE.

    Args:
        name: What SAELens calls it.
        label: The SAE, for messages.

    Raises:
        SaereportError: Reports are not made of SAEs of this kind; says why.
    """
    found = architecture_of(name)
    if found is not None and not found.encoder.signed:
        return found
    why = "" if found is None else NEGATIVE
    raise SaereportError(
        f"The SAE {label} is of the architecture '{name}', which cannot be reported on"
        f"{': ' if why else ''}{why}.",
        f"Supported are {', '.join(supported())}.",
    )
