"""Sparse autoencoders and transcoders: what one is, once it is loaded.

`Sae` is what the rest of the program sees: where it reads, where it writes, how wide it is, how it
encodes and decodes, and its directions. The weights are SAELens's own; how an architecture
computes with them is in `architectures`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from saereport.sources.devices import dtype_name
from saereport.sources.hooks import HookPoint
from saereport.sources.locating import locate
from saereport.sources.quiet import Said
from saereport.sources.saes.architectures import Decoder, Encoder
from saereport.sources.saes.normalizing import Normalization, read_before, written_after
from saereport.sources.saes.sets import Whole
from saereport.sources.text.training import TrainingTokens
from saereport.util.errors import SaereportError

if TYPE_CHECKING:
    from saereport.sources.models import LanguageModel


@dataclass(frozen=True, eq=False)
class Sae:
    """An SAE or a transcoder, loaded.

    Attributes:
        slug: File-safe name, unique within a run.
        release: The release, where it came from one.
        sae_id: The id in the release.
        architecture: SAELens's name for the architecture.
        hook_in: Where it reads.
        writes: Where it writes, in the order of a forward pass: for an SAE where it reads, for a
            transcoder elsewhere; a layer of a cross-layer transcoder writes to several MLPs.
        d_in: Width of what it reads.
        d_sae: Number of latents.
        d_out: Width of what it writes.
        context_size: Sequence length that it was trained on, where known.
        prepend_bos: Whether it was trained on sequences that start with BOS.
        separator: What SAELens put between documents: `bos`, `eos`, `sep`, an id, or None.
        model_name: The model that its metadata names, if any.
        model_class: The wrapper that its metadata asks for, if any.
        model_kwargs: Keyword arguments that its metadata asks the model to be loaded with.
        neuronpedia_id: `{model}/{source}` on Neuronpedia, where there is one.
        metadata: The rest of what its configuration says, as JSON without paths.
        weights_sha256: Hash of the weights as they are used here.
        loaded: SAELens's object.
        encoder: How it encodes.
        decoder: How it decodes.
        device: Where the weights are.
        dtype: The weights' number format.
        normalizes: How activations are normalised at run time before they are encoded, or None.
            Where it is not None, `W_enc` acts on normalised activations, not on raw ones.
        why_no_decoder: Why it has no decoder that means anything, a clause such as "it is …";
            empty where it has one. Its encoder and its activations are as they should be.
        model_doubt: Why `model_name` may be the wrong model, a sentence; empty where it is not
            doubted.
        stated: What is said of it elsewhere: `l0` and `explained_variance`, where known.
        said: What a reader must know of how it was loaded.
        trained: On which tokens it was trained, as far as its metadata says.
        part_of: The cross-layer transcoder that it is a layer of, if it is one.
    """

    slug: str
    release: str | None
    sae_id: str | None
    architecture: str
    hook_in: HookPoint
    writes: tuple[HookPoint, ...]
    d_in: int
    d_sae: int
    d_out: int
    context_size: int | None
    prepend_bos: bool
    separator: str | int | None
    model_name: str | None
    model_class: str | None
    model_kwargs: dict[str, Any]
    neuronpedia_id: str | None
    metadata: dict[str, Any]
    weights_sha256: str
    loaded: Any = field(repr=False)
    encoder: Encoder = field(repr=False)
    decoder: Decoder = field(repr=False)
    device: torch.device
    dtype: torch.dtype
    normalizes: Normalization | None
    why_no_decoder: str = ""
    model_doubt: str = ""
    stated: Mapping[str, float] = field(default_factory=dict)
    said: tuple[Said, ...] = ()
    trained: TrainingTokens = field(default_factory=TrainingTokens)
    part_of: Whole | None = None

    @property
    def wrapper(self) -> str:
        """Which wrapper `load_model` is to use for its model: what its metadata asks for.

        SAELens trains on `HookedTransformer` unless told otherwise, which is what `auto` chooses
        where TransformerLens knows the model.
        """
        asks_for_bridge = self.model_class in ("AutoModelForCausalLM", "TransformerBridge")
        return "TransformerBridge" if asks_for_bridge else "auto"

    @property
    def is_transcoder(self) -> bool:
        """Whether it writes elsewhere than it reads."""
        return self.decoder.elsewhere

    @property
    def write_point(self) -> HookPoint:
        """The one point that it writes to; for what stands there by itself (`why_not_alone`)."""
        (point,) = self.writes
        return point

    @property
    def why_not_alone(self) -> str:
        """Why its reconstruction cannot stand in for activations, a clause; empty where it can."""
        return self.why_no_decoder or self.decoder.why_not_alone

    def encode(self, a: Tensor) -> Tensor:
        """Latent activations `[..., d_sae]` of activations `a` `[..., d_in]`, without gradients.

        Heads are flat in `a`, for `hook_z` too.
        """
        with torch.no_grad():
            return self.encoder.encode(a)

    def encode_chosen(self, a: Tensor, latents: Tensor) -> Tensor:
        """Activations `[..., len(latents)]` of the chosen latents, without gradients.

        Args:
            a: Activations `[..., d_in]`, heads flat.
            latents: Indices of latents, on any device.
        """
        with torch.no_grad():
            return self.encoder.encode(a, latents)

    def encoder_input(self, a: Tensor) -> Tensor:
        """What the encoder multiplies, `[..., d_in]`; gradients go through.

        `a`, normalised where the SAE does that, and less the decoder's bias where it is taken off.
        """
        x: Tensor = self.loaded.process_sae_in(a)
        return x

    @property
    def exact(self) -> torch.dtype:
        """The number format of sums: float32, or the weights' own if that is finer."""
        return torch.promote_types(self.dtype, torch.float32)

    def pre_activations(self, a: Tensor, latents: Tensor) -> Tensor:
        """What the encoder computes before its nonlinearity, in units of f, `exact` `[n]`.

        Args:
            a: Activations where it reads, `[n, d_in]`.
            latents: One latent for each of them, `[n]`.
        """
        with torch.no_grad():
            x = self.encoder_input(a).to(self.exact)
            read = self.encoder.reads(latents, self.exact)
            return (x * read).sum(dim=1) + self.encoder.biases(latents, self.exact)

    def linear(self, a: Tensor, latents: Tensor) -> tuple[Tensor, Tensor]:
        """The same pre-activations as sums over what is read.

        Where activations are normalised, that scale is held fixed.

        Args:
            a: Activations where it reads, `[n, d_in]`.
            latents: One latent for each of them, `[n]`.

        Returns:
            Read directions at its hook point `[n, d_in]` and biases `[n]`, `exact`.
        """
        with torch.no_grad():
            read = self.encoder.reads(latents, self.exact)
            bias = self.encoder.biases(latents, self.exact)
            if (offset := self.decoder.input_bias) is not None:
                bias = bias - read @ offset.to(self.exact)
            return read_before(self.normalizes, a.to(self.exact), read), bias

    def read_biases(self) -> Tensor:
        """What the pre-activation of every latent holds besides its product, `exact` `[d_sae]`.

        Raises:
            SaereportError: Its latents have no read directions.
        """
        with torch.no_grad():
            return self.encoder.biases(torch.arange(self.d_sae, device=self.device), self.exact)

    def read_vectors(self, latents: Tensor) -> Tensor:
        """The derivative of active latents with respect to `encoder_input(a)`, `[n, d_in]`."""
        return self.encoder.reads(latents, self.dtype)

    def write_rows(self, latents: Tensor | None = None, place: int = 0) -> Tensor:
        """Write directions, `[n, d_out]`, one row a latent: what one unit of `f` adds.

        Args:
            latents: Indices of latents, on any device; all where None.
            place: At which of the points that it writes to.

        Raises:
            SaereportError: It has no decoder; see `why_no_decoder`.
        """
        self.require_decoder()
        rows = self.decoder.rows(place, latents)
        scale = self._decoder_scale
        if scale is None:
            return rows
        return rows / (scale if latents is None else scale[latents.to(scale.device)])[:, None]

    def write_vectors(self, a: Tensor, latents: Tensor, place: int = 0) -> Tensor:
        """What one unit of each latent adds at a write point, `[n, d_out]`.

        Where an SAE normalises activations at run time, its decoder undoes that by a factor that
        depends on the activation; the factor is held, as SAELens holds it.

        Args:
            a: Activations where it reads, `[n, d_in]`.
            latents: One latent for each of them, `[n]`.
            place: At which of the points that it writes to.
        """
        rows = self.write_rows(latents, place)
        # Transcoders write elsewhere than they read, so their normalisation is not undone.
        how = None if self.is_transcoder else self.normalizes
        return written_after(how, a.to(self.dtype), rows)

    def decode(self, f: Tensor, a: Tensor, place: int = 0) -> Tensor:
        """What latents make at a write point, without a skip connection and without gradients.

        Args:
            f: Latent activations `[..., d_sae]`.
            a: What was read, `[..., d_in]`.
            place: At which of the points that it writes to.

        Returns:
            `[..., d_out]`.
        """
        with torch.no_grad():
            return self.decoder.decode(f, a, place)

    def reconstruct(self, a: Tensor) -> Tensor:
        """What stands at the write point for what is read, `[..., d_out]`; skip included.

        Raises:
            SaereportError: What it makes cannot stand there by itself.
        """
        self.require_alone()
        with torch.no_grad():
            # A skip connection multiplies what it is given as it is.
            a = a.to(self.dtype)
            alone = self.encoder.of_sequences and a.ndim == 2
            reconstruction: Tensor = self.loaded(a[None])[0] if alone else self.loaded(a)
            return reconstruction

    @property
    def skip(self) -> Tensor | None:
        """What a skip transcoder multiplies its input with, `[d_out, d_in]`; else None."""
        return self.decoder.skip

    @property
    def W_enc(self) -> Tensor:
        """Read directions `[d_in, d_sae]`, one column a latent, in units of the activation `f`."""
        return self.encoder.W_enc

    @property
    def why_no_reads(self) -> str:
        """Why its latents have no read directions, a clause; empty where they have some."""
        return self.encoder.why_no_reads

    @cached_property
    def _decoder_scale(self) -> Tensor | None:
        return self.encoder.decoder_scale

    def require_decoder(self) -> None:
        """Refuse to go on where there is no decoder.

        Raises:
            SaereportError: There is none; says why.
        """
        if self.why_no_decoder:
            raise SaereportError(
                f"Nothing can be said of what the latents of {self.slug} write: "
                f"{self.why_no_decoder}."
            )

    def require_alone(self) -> None:
        """Refuse to go on where its reconstruction cannot stand in for activations.

        Raises:
            SaereportError: It cannot; says why.
        """
        self.require_decoder()
        if self.why_not_alone:
            raise SaereportError(
                f"The reconstruction of {self.slug} cannot be put in place of activations: "
                f"{self.why_not_alone}."
            )

    def require_reads(self) -> None:
        """Refuse to go on where latents have no read directions.

        Raises:
            SaereportError: They have none; says why.
        """
        if self.why_no_reads:
            raise SaereportError(
                f"Nothing can be said of what the latents of {self.slug} read: {self.why_no_reads}."
            )

    def forget_decoder(self) -> None:
        """Give up decoder weights that mean nothing, so that nothing can be computed from them."""
        del self.loaded.W_dec

    @property
    def W_dec(self) -> Tensor:
        """Write directions at the one point that it writes to, `[d_sae, d_out]`: `write_rows`.

        Raises:
            SaereportError: It has no decoder; see `why_no_decoder`.
        """
        if len(self.writes) != 1:
            raise ValueError(f"{self.slug} writes to {len(self.writes)} points: use write_rows")
        return self.write_rows()

    @property
    def configuration(self) -> dict[str, Any]:
        """SAELens's configuration, all that decides what is computed and more."""
        return dict(self.loaded.cfg.to_dict())

    @property
    def provenance(self) -> dict[str, Any]:
        """What a run says about its SAE: JSON, without paths."""
        return {
            "release": self.release,
            "sae_id": self.sae_id,
            "slug": self.slug,
            "architecture": self.architecture,
            "hook_in": self.hook_in.name,
            "hook_out": self.writes[0].name if self.is_transcoder else None,
            **({"hooks_out": [hook.name for hook in self.writes]} if len(self.writes) > 1 else {}),
            "d_in": self.d_in,
            "d_sae": self.d_sae,
            "d_out": self.d_out,
            "context_size": self.context_size,
            "prepend_bos": self.prepend_bos,
            "model_name": self.model_name,
            "model_kwargs": self.model_kwargs,
            "neuronpedia_id": self.neuronpedia_id,
            "normalizes": self.normalizes,
            "dtype": dtype_name(self.dtype),
            "weights_sha256": self.weights_sha256,
            "metadata": self.metadata,
        }


def wrapper_for(saes: Sequence[Sae], *, named: bool) -> str:
    """Which wrapper `load_model` is to use for the model of some SAEs.

    Args:
        saes: The SAEs, of one model.
        named: Whether the user names the model, so that what metadata ask for is another matter.
    """
    if any(hook.is_module for sae in saes for hook in (sae.hook_in, *sae.writes)):
        return "TransformerBridge"  # the other one has no Hugging Face modules
    return "auto" if named else saes[0].wrapper


def check_fit(sae: Sae, model: LanguageModel) -> Sae:
    """An SAE with its hook points as they are in a model, checked before any text is read.

    Raises:
        SaereportError: The model lacks the hook point, what lies there is not what its name says,
            or the widths differ (both are named).
    """
    ends = [(sae.hook_in, sae.d_in, "reads"), *((hook, sae.d_out, "writes") for hook in sae.writes)]
    for hook, width, verb in ends:
        if not model.has_hook(hook.name):
            raise model.no_such_hook(hook)
        if model.width(hook) != width:
            raise SaereportError(
                f"The SAE {sae.slug} {verb} {width} numbers at '{hook.name}', but "
                f"{model.name} has {model.width(hook)} there.",
                f"It was trained on {sae.model_name}."
                if sae.model_name
                else "Was it trained on another model?",
            )
    points = {hook: locate(model, hook) for hook in dict.fromkeys((sae.hook_in, *sae.writes))}
    writes = tuple(points[hook] for hook in sae.writes)
    return replace(sae, hook_in=points[sae.hook_in], writes=writes)
