"""Sparse autoencoders and transcoders, loaded by SAELens from the hub or from disk.

`Dictionary` is what the rest of the program sees: where it reads, where it writes, how wide it
is, and how to encode. The weights are SAELens's own, and so are the activations: where the
encoder of an architecture acts on each latent alone (standard, gated, JumpReLU and their
transcoders), the same arithmetic is done here with fewer passes over memory and only for the
latents that were chosen, which tests compare with `sae.encode`; every other architecture (TopK
first of all, where a slice of the encoder would give other activations) is encoded whole by
SAELens and then sliced.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from saereport.errors import SaereportError, did_you_mean
from saereport.sources.devices import dtype_name
from saereport.sources.hooks import HookPoint, parse_hook
from saereport.sources.hub import hub_access, is_offline
from saereport.sources.models import hash_tensors, quietly

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
        """A lower-case name that can be a file's or a URL's: letters, digits, `.`, `_`, `-`."""
        text = Path(self.path).resolve().name if self.path else f"{self.release}-{self.sae_id}"
        return re.sub(r"[^a-z0-9._]+", "-", text.lower()).strip("-._") or "sae"


def unique_slugs(sources: Sequence[SaeSource]) -> list[str]:
    """A slug for each SAE, no two the same: later ones of equal name get a number."""
    taken: set[str] = set()
    slugs = []
    for source in sources:
        slug, number = source.slug, 1
        while slug in taken:
            number += 1
            slug = f"{source.slug}-{number}"
        taken.add(slug)
        slugs.append(slug)
    return slugs


@dataclass(frozen=True, eq=False)
class Dictionary:
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

    @property
    def W_dec(self) -> Tensor:
        """Write directions `[d_sae, d_out]`, one row a latent: what one unit of `f` adds."""
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


def load_sae(
    source: SaeSource,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    slug: str | None = None,
) -> Dictionary:
    """Load an SAE or a transcoder as SAELens does.

    Args:
        source: Which one.
        device: Where to put it.
        dtype: The number format to compute in, whatever it is stored in.
        slug: Its name in the run, where `source.slug` would not be unique.

    Raises:
        SaereportError: There is no such SAE, it cannot be had from here, or its files are damaged.
    """
    device = torch.device(device)
    with quietly():
        if source.path is not None:
            sae = _from_disk(Path(source.path).expanduser(), device, dtype)
        else:
            sae = _from_hub(str(source.release), str(source.sae_id), device, dtype)
    return _describe(sae, source, slug or source.slug, device, dtype)


def _from_hub(release: str, sae_id: str, device: torch.device, dtype: torch.dtype) -> Any:
    from sae_lens import SAE
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    directory = get_pretrained_saes_directory()
    if release in directory:
        ids = directory[release].saes_map
        if sae_id not in ids:
            raise SaereportError(
                f"The release '{release}' has no SAE '{sae_id}'.",
                did_you_mean(sae_id, ids)
                or f"It has {len(ids)}, such as {', '.join(repr(i) for i in list(ids)[:3])}.",
            )
    elif "/" not in release:
        raise SaereportError(
            f"SAELens knows no release '{release}'.",
            did_you_mean(release, directory)
            or "Name a release of SAELens's directory, or a Hugging Face repository (owner/name).",
        )
    try:
        with hub_access():
            return SAE.from_pretrained(release, sae_id, device=str(device), dtype=dtype_name(dtype))
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise _explain(f"{release} / {sae_id}", error, directory, release) from error


def _explain(
    label: str, error: Exception, directory: dict[str, Any], release: str
) -> SaereportError:
    kinds, link = set(), error.__cause__ or error.__context__
    kinds.add(type(error).__name__)
    while link is not None and len(kinds) < 12:
        kinds.add(type(link).__name__)
        link = link.__cause__ or link.__context__
    repo = directory[release].repo_id if release in directory else release
    short = " ".join(str(error).split())[:200]
    if "GatedRepoError" in kinds:
        return SaereportError(
            f"The SAE {label} is gated on the Hugging Face hub ({repo}).",
            "Accept its licence there, then log in with `hf auth login` or set HF_TOKEN.",
        )
    if "RepositoryNotFoundError" in kinds:
        return SaereportError(
            f"There is no repository '{repo}' on the Hugging Face hub, or it is private.",
            did_you_mean(release, directory),
        )
    if is_offline(error):
        return SaereportError(
            f"The SAE {label} is not in the Hugging Face cache, and the hub cannot be reached.",
            f"Fetch it where there is a network with `hf download {repo}` (HF_HOME says where the "
            f"cache is, HF_HUB_OFFLINE=1 forbids the network), or name a directory with "
            f"--sae-path.",
        )
    if "EntryNotFoundError" in kinds or "RemoteEntryNotFoundError" in kinds:
        return SaereportError(f"The repository '{repo}' holds no SAE at the place of {label}.")
    return SaereportError(f"The SAE {label} cannot be loaded: {type(error).__name__}: {short}")


def _from_disk(path: Path, device: torch.device, dtype: torch.dtype) -> Any:
    from sae_lens import SAE
    from sae_lens.registry import SAE_CLASS_REGISTRY, SAE_TRAINING_CLASS_REGISTRY

    name = path.name
    if not path.is_dir():
        raise SaereportError(f"There is no SAE directory at {path}.")
    for file in ("cfg.json", "sae_weights.safetensors"):
        if not (path / file).is_file():
            inside = sorted(p.parent.name for p in path.glob(f"*/{file}"))
            raise SaereportError(
                f"The directory {name} holds no SAE in SAELens's format: {file} is missing.",
                f"There are SAEs inside it: {', '.join(inside[:5])}." if inside else "",
            )
    try:
        cfg = json.loads((path / "cfg.json").read_text(encoding="utf-8"))
        architecture = cfg.get("architecture", "standard")
    except (ValueError, AttributeError) as error:
        raise SaereportError(f"{name}/cfg.json is not a JSON object: {error}.") from error
    known = {*SAE_CLASS_REGISTRY, *SAE_TRAINING_CLASS_REGISTRY}
    if architecture not in known:
        raise SaereportError(
            f"{name}/cfg.json names an architecture that SAELens does not know: '{architecture}'.",
            did_you_mean(str(architecture), known),
        )
    try:
        if architecture in SAE_CLASS_REGISTRY:
            return SAE.load_from_disk(path, device=str(device), dtype=dtype_name(dtype))
        return _from_training_checkpoint(path, device, dtype)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        short = " ".join(str(error).split())[:300]
        raise SaereportError(
            f"The SAE in {name} cannot be loaded: {type(error).__name__}: {short}",
            "cfg.json and sae_weights.safetensors may not belong together, or be damaged.",
        ) from error


def _from_training_checkpoint(path: Path, device: torch.device, dtype: torch.dtype) -> Any:
    """BatchTopK and Matryoshka SAEs exist for training only; SAELens saves them as JumpReLU."""
    from sae_lens import SAE, TrainingSAE

    training = TrainingSAE.load_from_disk(path, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        training.save_inference_model(folder)
        return SAE.load_from_disk(folder, device=str(device), dtype=dtype_name(dtype))


def _describe(
    sae: Any,
    source: SaeSource,
    slug: str,
    device: torch.device,
    dtype: torch.dtype,
    *,
    weights_sha256: str | None = None,
) -> Dictionary:
    cfg, metadata = sae.cfg, sae.cfg.metadata
    architecture = cfg.architecture()
    if architecture not in SUPPORTED:
        raise SaereportError(
            f"The SAE {source.label} is of the architecture '{architecture}', which cannot be "
            f"reported on.",
            f"Supported are {', '.join(sorted(SUPPORTED))}.",
        )
    hook_name = metadata.hook_name
    if not hook_name:
        raise SaereportError(f"The metadata of the SAE {source.label} names no hook point.")
    if metadata.hook_head_index is not None:
        raise SaereportError(
            f"The SAE {source.label} reads one attention head only (hook_head_index "
            f"{metadata.hook_head_index}), which is not supported."
        )
    hook_name = _true_hook(hook_name, metadata.hf_hook_name)
    sae.turn_off_forward_pass_hook_z_reshaping()  # heads are flat throughout this program
    sae.eval().requires_grad_(False)
    d_in, d_sae = (int(n) for n in sae.W_enc.shape)
    d_out = int(sae.W_dec.shape[1])
    hook_out = None
    if "transcoder" in architecture:
        if not metadata.hook_name_out:
            raise SaereportError(
                f"The metadata of the transcoder {source.label} does not name the hook point that "
                f"it writes to (hook_name_out)."
            )
        hook_out = parse_hook(metadata.hook_name_out)
    normalizes = getattr(cfg, "normalize_activations", "none")
    return Dictionary(
        slug=slug,
        release=source.release,
        sae_id=source.sae_id,
        architecture=architecture,
        hook_in=parse_hook(hook_name),
        hook_out=hook_out,
        d_in=d_in,
        d_sae=d_sae,
        d_out=d_out,
        context_size=None if metadata.context_size is None else int(metadata.context_size),
        prepend_bos=True if metadata.prepend_bos is None else bool(metadata.prepend_bos),
        separator=(
            metadata.sequence_separator_token if "sequence_separator_token" in metadata else "bos"
        ),
        model_name=metadata.model_name,
        model_class=metadata.model_class_name,
        model_kwargs=dict(metadata.model_from_pretrained_kwargs or {}),
        neuronpedia_id=metadata.neuronpedia_id or _neuronpedia_id(source),
        metadata=_plain(metadata.to_dict()),
        weights_sha256=(
            hash_tensors(dict(sae.state_dict())) if weights_sha256 is None else weights_sha256
        ),
        sae=sae,
        device=device,
        dtype=dtype,
        # The others are folded into the weights on loading, or act in training only.
        normalizes=normalizes if normalizes in ("layer_norm", "constant_norm_rescale") else None,
    )


def _true_hook(name: str, huggingface: str | None) -> str:
    """Where an SAE really reads, when its metadata also says so in Hugging Face's terms.

    Gemma Scope 2's transcoders read the output of the norm before the MLP, and are listed under
    `hook_mlp_in`, which in TransformerLens is that norm's input.
    """
    if (
        name.endswith(".hook_mlp_in")
        and huggingface
        and re.search(r"\.(pre_feedforward_layernorm\.output|mlp\.input)$", huggingface)
    ):
        return name.removesuffix(".hook_mlp_in") + ".mlp.hook_in"
    return name


def _neuronpedia_id(source: SaeSource) -> str | None:
    if source.release is None:
        return None
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    release = get_pretrained_saes_directory().get(source.release)
    return release.neuronpedia_id.get(str(source.sae_id)) if release is not None else None


def _plain(value: Any) -> Any:
    """Metadata as JSON, with directories cut off paths: where things lay is nobody's business."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        for flavour in (PurePosixPath(value), PureWindowsPath(value)):
            if flavour.is_absolute():
                return flavour.name
        return value
    return value if isinstance(value, (int, float, bool, type(None))) else str(value)


def check_fit(dictionary: Dictionary, model: LanguageModel) -> None:
    """Check that an SAE belongs to a model, before any text is read.

    Raises:
        SaereportError: The model lacks the hook point, or the widths differ (both are named).
    """
    for hook, width, verb in (
        (dictionary.hook_in, dictionary.d_in, "reads"),
        (dictionary.hook_out, dictionary.d_out, "writes"),
    ):
        if hook is None:
            continue
        if not model.has_hook(hook.name):
            raise model.no_such_hook(hook)
        if model.width(hook) != width:
            raise SaereportError(
                f"The SAE {dictionary.slug} {verb} {width} numbers at '{hook.name}', but "
                f"{model.name} has {model.width(hook)} there.",
                f"It was trained on {dictionary.model_name}."
                if dictionary.model_name
                else "Was it trained on another model?",
            )
