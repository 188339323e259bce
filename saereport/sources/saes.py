"""Sparse autoencoders and transcoders: what one is, once it is loaded.

`Sae` is what the rest of the program sees: where it reads, where it writes, how wide it
is, and how to encode. The weights are SAELens's own, and so are the activations: where the
encoder of an architecture acts on each latent alone (standard, gated, JumpReLU and their
transcoders), the same arithmetic is done here with fewer passes over memory and only for the
latents that were chosen, which tests compare with `sae.encode`; every other architecture (TopK
first of all, where a slice of the encoder would give other activations) is encoded whole by
SAELens and then sliced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from saereport.errors import SaereportError
from saereport.names import slug_of, unique_slugs
from saereport.sources.devices import dtype_name
from saereport.sources.hooks import HookPoint
from saereport.sources.locating import locate
from saereport.sources.quiet import Said
from saereport.sources.training import TrainingTokens

if TYPE_CHECKING:
    from saereport.sources.models import LanguageModel

# Architectures whose latents do not depend on one another: the encoder may be sliced.
SLICEABLE = frozenset(
    {
        "standard",
        "gated",
        "jumprelu",
        "transcoder",
        "skip_transcoder",
        "jumprelu_transcoder",
        "jumprelu_skip_transcoder",
    }
)

# SAELens knows more: `abstopk`, whose latents can be negative, and `temporal` and
# `matching_pursuit`, whose latents have no read direction of their own. What reports say about
# latents does not hold for these.
SUPPORTED = SLICEABLE | {"topk"}


@dataclass(frozen=True)
class SaeSource:
    """Which SAE: what the user named.

    Either a release and an id of SAELens's directory (or a Hugging Face repository and a folder
    in it), or a directory on disk in SAELens's format.
    """

    release: str | None = None
    sae_id: str | None = None
    path: str | None = None

    def __post_init__(self) -> None:
        if (self.path is None) == (self.release is None or self.sae_id is None):
            raise SaereportError(
                "An SAE is named by a release and an id, or by a directory.",
                "Give --release together with --sae-id, or --sae-path.",
            )

    @property
    def label(self) -> str:
        """A short name for messages."""
        return Path(self.path).name if self.path is not None else f"{self.release} / {self.sae_id}"

    @property
    def slug(self) -> str:
        """Its folder's name in a run and a report, where no other SAE has the same."""
        return slug_of(self.name)

    @property
    def name(self) -> str:
        """What slugs are made of: the folder's name, or release and id."""
        return Path(self.path).resolve().name if self.path else f"{self.release}-{self.sae_id}"


def source_slugs(sources: Sequence[SaeSource]) -> list[str]:
    """A slug for each SAE, no two the same: later ones of equal name get a number."""
    return unique_slugs(source.name for source in sources)


@dataclass(frozen=True, eq=False)
class Sae:
    """An SAE or a transcoder, loaded.

    Attributes:
        slug: File-safe name, unique within a run.
        release: The release, where it came from one.
        sae_id: The id in the release.
        architecture: SAELens's name for the architecture.
        hook_in: Where it reads.
        hook_out: Where a transcoder writes; None for an SAE, which writes where it reads.
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
        sae: SAELens's object.
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
    """

    slug: str
    release: str | None
    sae_id: str | None
    architecture: str
    hook_in: HookPoint
    hook_out: HookPoint | None
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
    sae: Any = field(repr=False)
    device: torch.device
    dtype: torch.dtype
    normalizes: str | None
    why_no_decoder: str = ""
    model_doubt: str = ""
    stated: Mapping[str, float] = field(default_factory=dict)
    said: tuple[Said, ...] = ()
    trained: TrainingTokens = field(default_factory=TrainingTokens)
    _slices: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def sliceable(self) -> bool:
        """Whether chosen latents can be encoded without the others."""
        return self.architecture in SLICEABLE

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
        return self.hook_out is not None

    def encode(self, a: Tensor) -> Tensor:
        """Latent activations `[..., d_sae]` of activations `a` `[..., d_in]`, without gradients.

        Heads are flat in `a`, for `hook_z` too.
        """
        with torch.no_grad():
            if self.sliceable:
                return self._encode_sliced(a, None)
            f: Tensor = self.sae.encode(a)
            return f.to_dense() if f.is_sparse else f

    def encode_chosen(self, a: Tensor, latents: Tensor) -> Tensor:
        """Activations `[..., len(latents)]` of the chosen latents, without gradients.

        Args:
            a: Activations `[..., d_in]`, heads flat.
            latents: Indices of latents, on any device.
        """
        with torch.no_grad():
            if self.sliceable:
                return self._encode_sliced(a, latents)
            return self.encode(a).index_select(-1, latents.to(self.device))

    def _encode_sliced(self, a: Tensor, latents: Tensor | None) -> Tensor:
        weights = self._chosen_weights(latents)
        x = self.sae.process_sae_in(a)
        if self.architecture == "gated":
            gate = x @ weights["W_enc"]
            gate += weights["b_gate"]
            magnitude = x @ weights["W_mag"]
            magnitude += weights["b_mag"]
            f: Tensor = magnitude.relu_().mul_(gate > 0)
            return f
        # As SAELens, `x @ W + b` in this order, so that no activation sits on the other side of
        # a threshold; then one comparison in place of ReLU, mask and product.
        f = x @ weights["W_enc"]
        f += weights["b_enc"]
        if "threshold" not in weights:
            return f.relu_()
        return f.mul_(f > weights["threshold"])

    def _chosen_weights(self, latents: Tensor | None) -> dict[str, Tensor]:
        """The encoder's weights for the chosen latents, kept while the choice stays the same."""
        if latents is not None and self._slices.get("of") is latents:
            chosen: dict[str, Tensor] = self._slices["weights"]
            return chosen
        if latents is None and "all" in self._slices:
            whole: dict[str, Tensor] = self._slices["all"]
            return whole
        sae = self.sae
        weights = {"W_enc": sae.W_enc.detach()}
        if self.architecture == "gated":
            weights["W_mag"] = weights["W_enc"] * sae.r_mag.detach().exp()
            weights["b_gate"], weights["b_mag"] = sae.b_gate.detach(), sae.b_mag.detach()
        else:
            weights["b_enc"] = sae.b_enc.detach()
        if hasattr(sae, "threshold"):
            weights["threshold"] = sae.threshold.detach().clamp(min=0)
        if latents is None:
            self._slices["all"] = weights
            return weights
        index = latents.to(self.device)
        weights = {name: w.index_select(-1, index) for name, w in weights.items()}
        self._slices["of"], self._slices["weights"] = latents, weights
        return weights

    @cached_property
    def _decoder_norms(self) -> Tensor | None:
        """Norms by which a TopK SAE scales its latents before it chooses among them, or None."""
        if not getattr(self.sae.cfg, "rescale_acts_by_decoder_norm", False):
            return None
        norms: Tensor = self.sae.W_dec.detach().norm(dim=-1).clamp(min=1e-8)
        return norms

    @property
    def W_enc(self) -> Tensor:
        """Read directions `[d_in, d_sae]`, one column a latent, in units of the activation `f`."""
        weight: Tensor = self.sae.W_enc.detach()
        return weight if self._decoder_norms is None else weight * self._decoder_norms

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

    def forget_decoder(self) -> None:
        """Give up decoder weights that mean nothing, so that nothing can be computed from them."""
        del self.sae.W_dec

    @property
    def W_dec(self) -> Tensor:
        """Write directions `[d_sae, d_out]`, one row a latent: what one unit of `f` adds.

        Raises:
            SaereportError: It has no decoder; see `why_no_decoder`.
        """
        self.require_decoder()
        weight: Tensor = self.sae.W_dec.detach()
        return weight if self._decoder_norms is None else weight / self._decoder_norms[:, None]

    @property
    def provenance(self) -> dict[str, Any]:
        """What a run says about its SAE: JSON, without paths."""
        return {
            "release": self.release,
            "sae_id": self.sae_id,
            "slug": self.slug,
            "architecture": self.architecture,
            "hook_in": self.hook_in.name,
            "hook_out": self.hook_out.name if self.hook_out else None,
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
    if any(hook.is_module for d in saes for hook in (d.hook_in, d.hook_out) if hook):
        return "TransformerBridge"  # the other one has no Hugging Face modules
    return "auto" if named else saes[0].wrapper


def check_fit(sae: Sae, model: LanguageModel) -> Sae:
    """An SAE with its hook points as they are in a model, checked before any text is read.

    Raises:
        SaereportError: The model lacks the hook point, what lies there is not what its name says,
            or the widths differ (both are named).
    """
    for hook, width, verb in (
        (sae.hook_in, sae.d_in, "reads"),
        (sae.hook_out, sae.d_out, "writes"),
    ):
        if hook is None:
            continue
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
    hook_out = sae.hook_out and locate(model, sae.hook_out)
    return replace(sae, hook_in=locate(model, sae.hook_in), hook_out=hook_out)
