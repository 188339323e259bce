"""Loading SAEs and transcoders: by SAELens, from the hub or from disk.

What SAELens's configuration and metadata say is read here once, checked, and put into the terms
of `Sae`; what the libraries say when loading fails becomes one sentence.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from saereport.sources.devices import dtype_name
from saereport.sources.folders import read_sae_folder
from saereport.sources.hooks import HookPoint, parse_hook
from saereport.sources.models import hash_tensors
from saereport.sources.quiet import Said, listening, quietly
from saereport.sources.saes.architectures import Decoder, Encoder
from saereport.sources.saes.architectures.registry import (
    Architecture,
    architecture_of,
    require,
    supported,
)
from saereport.sources.saes.asking import AskedLayer, layer_asked_for
from saereport.sources.saes.config import is_path, model_arguments, plain_metadata
from saereport.sources.saes.converting import converted
from saereport.sources.saes.foreign import FILES, Foreign, foreign_folder
from saereport.sources.saes.hub import checked, from_hub
from saereport.sources.saes.layers import load_layer
from saereport.sources.saes.names import AgreedNames, agreed_names, entry_of
from saereport.sources.saes.normalizing import AT_RUN_TIME
from saereport.sources.saes.sae import Sae
from saereport.sources.saes.scaling import fold, read_scaling
from saereport.sources.saes.sets import Whole
from saereport.sources.saes.source import SaeSource
from saereport.sources.text.training import TrainingTokens
from saereport.util.errors import SaereportError, did_you_mean, shortened
from saereport.util.visible import visible_text

MODEL_CLASSES = ("HookedTransformer", "AutoModelForCausalLM", "TransformerBridge")
"""What metadata may ask a model to be loaded as."""

SUMMED_DECODER = (
    "it is one layer of a cross-layer transcoder, whose latents write into many layers, and "
    "SAELens gives the sum of their decoders, which is not for reconstruction"
)
"""`why_no_decoder` of a layer of a cross-layer transcoder."""


def load_sae(
    source: SaeSource,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    slug: str | None = None,
    at: HookPoint | None = None,
) -> Sae:
    """Load an SAE or a transcoder as SAELens does.

    Args:
        source: Which one.
        device: Where to put it.
        dtype: The number format to compute in, whatever it is stored in.
        slug: Its name in the run, where `source.slug` would not be unique.
        at: Where its inputs and outputs live, in place of what its metadata say of a model: of an
            SAE that is trained on no activations, such as a meta-SAE.

    Raises:
        SaereportError: There is no such SAE, it cannot be had from here, its files are damaged, or
            it says something that would be computed in another way than its author meant.
    """
    device = torch.device(device)
    said: list[Said] = []
    with listening() as heard, quietly():
        if (layer := layer_asked_for(source)) is not None:
            found = _of_set(layer, source.label, device, dtype)
        elif source.path is not None:
            sae = _from_disk(Path(source.path).expanduser(), device, dtype, said)
            found = _Found(sae, require(sae.cfg.architecture(), source.label))
        else:
            sae = from_hub(str(source.release), str(source.sae_id), device, dtype, said)
            found = _Found(sae, require(sae.cfg.architecture(), source.label))
    _check_numbers(found.loaded, source.label)
    described = _describe(found, source, slug or source.slug, (device, dtype), at)
    return replace(described, said=(*heard, *said, *described.said))


@dataclass(frozen=True, eq=False)
class _Found:
    """What was loaded: SAELens's object, what it is, and what it is a layer of."""

    loaded: Any
    architecture: Architecture
    part_of: Whole | None = None

    @property
    def weights_sha256(self) -> str:
        """The hash of its weights; of a decoder that stays on the disk, that of the file."""
        held = hash_tensors(dict(self.loaded.state_dict()))
        if self.part_of is None:
            return held
        return hashlib.sha256(f"{held} {self.loaded.written.sha256()}".encode()).hexdigest()


def _of_set(layer: AskedLayer, label: str, device: torch.device, dtype: torch.dtype) -> _Found:
    """A layer of a set of transcoders."""
    loaded, architecture = load_layer(layer, label, device, dtype)
    hooks = getattr(loaded, "written", None)
    whole = Whole(layer.place, layer.number + len(hooks.hooks)) if hooks else None
    return _Found(loaded, architecture, whole)


def _from_disk(path: Path, device: torch.device, dtype: torch.dtype, said: list[Said]) -> Any:
    from sae_lens.registry import SAE_CLASS_REGISTRY, SAE_TRAINING_CLASS_REGISTRY

    name = path.name
    if (foreign := foreign_folder(path)) is not None:
        return _of_another_trainer(foreign, device, dtype, said)
    # Whether there is a factor that does anything, the weights say: see `checked`.
    cfg, shapes = read_sae_folder(path)
    if cfg.get("finetuning_scaling_factor") and "scaling_factor" not in shapes:
        said.append(
            Said(
                "Its configuration says finetuning_scaling_factor, and its weights hold no such "
                "factor: none is applied.",
                sanity=True,
            )
        )
    architecture = cfg.get("architecture", "standard")
    if (registered := architecture_of(architecture)) is not None:
        registered.introduce()
    known = {*SAE_CLASS_REGISTRY, *SAE_TRAINING_CLASS_REGISTRY, *supported()}
    if architecture not in known:
        raise SaereportError(
            f"{name}/cfg.json names an architecture that SAELens does not know: '{architecture}'.",
            did_you_mean(str(architecture), known),
        )
    scaling = read_scaling(path, name)
    for_use = architecture in SAE_CLASS_REGISTRY
    try:
        # Folded in float32 at least, whatever is computed in afterwards.
        exact = torch.float32 if cfg.get("normalize_activations") not in (None, "none") else dtype
        sae = _for_use(path, device, exact, said) if for_use else _in_training(path)
        if warning := fold(sae, scaling, name):
            said.append(Said(warning, sanity=True))
        return sae.to(dtype=dtype, device=device) if for_use else _trained(sae, device, dtype)
    except (MemoryError, torch.OutOfMemoryError, SaereportError):
        raise
    except Exception as error:
        short = shortened(" ".join(str(error).split()))
        raise SaereportError(
            f"The SAE in {name} cannot be loaded: {type(error).__name__}: {short}",
            "cfg.json and sae_weights.safetensors may not belong together, or be damaged.",
        ) from error


def _of_another_trainer(
    found: Foreign, device: torch.device, dtype: torch.dtype, said: list[Said]
) -> Any:
    from sae_lens import SAE

    name = found.path.name

    def load(_: Any, device: str, cfg_overrides: dict[str, Any] | None) -> tuple[Any, Any]:
        return converted(found, device, cfg_overrides)

    try:
        return SAE.load_from_disk(
            found.path,
            device=str(device),
            dtype=dtype_name(dtype),
            converter=checked(load, name, said),
        )
    except (MemoryError, torch.OutOfMemoryError, SaereportError):
        raise
    except Exception as error:
        short = shortened(" ".join(str(error).split()))
        raise SaereportError(
            f"The SAE in {name} cannot be loaded: {type(error).__name__}: {short}",
            f"{' and '.join(FILES[found.trainer])} may not belong together, or be damaged.",
        ) from error


def _for_use(path: Path, device: torch.device, dtype: torch.dtype, said: list[Said]) -> Any:
    from sae_lens import SAE
    from sae_lens.loading.pretrained_sae_loaders import sae_lens_disk_loader

    def load(*args: Any, **kwargs: Any) -> Any:
        cfg, weights = checked(sae_lens_disk_loader, path.name, said)(*args, **kwargs)
        # As SAELens's training JumpReLU SAEs were saved before they had `threshold` itself.
        if "log_threshold" in weights:
            weights["threshold"] = weights.pop("log_threshold").exp()
        return cfg, weights

    return SAE.load_from_disk(path, device=str(device), dtype=dtype_name(dtype), converter=load)


def _in_training(path: Path) -> Any:
    """A training SAE: BatchTopK and Matryoshka SAEs exist as such only, in checkpoints."""
    from sae_lens import TrainingSAE

    return TrainingSAE.load_from_disk(path, device="cpu", dtype="float32")


def _trained(training: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """What SAELens makes of a training SAE when it is saved for use: a JumpReLU SAE."""
    from sae_lens import SAE

    with tempfile.TemporaryDirectory() as folder:
        training.save_inference_model(folder)
        return SAE.load_from_disk(folder, device=str(device), dtype=dtype_name(dtype))


def _describe(
    found: _Found,
    source: SaeSource,
    slug: str,
    held: tuple[torch.device, torch.dtype],
    at: HookPoint | None,
) -> Sae:
    """What was loaded, in the terms of this program."""
    device, dtype = held
    loaded = found.loaded
    cfg, metadata = loaded.cfg, loaded.cfg.metadata
    architecture = found.architecture
    decoder, encoder = architecture.decoder(loaded), architecture.encoder(loaded)
    hook_in, writes = (at, (at,)) if at is not None else _hooks(decoder, metadata, source)
    loaded.turn_off_forward_pass_hook_z_reshaping()  # heads are flat throughout this program
    loaded.eval().requires_grad_(False)
    d_in, d_sae = encoder.sizes
    names, asked = AgreedNames(None), None
    if at is None:
        names = _names(source, architecture, metadata, hook_in, d_sae // encoder.sides)
        asked = metadata.model_from_pretrained_kwargs
    model_kwargs, about_kwargs = model_arguments(asked, source.label, dtype_name(dtype))
    trained = TrainingTokens.of(metadata, source.label) if at is None else TrainingTokens()
    normalizes = getattr(cfg, "normalize_activations", "none")
    sae = Sae(
        slug=slug,
        release=source.release,
        sae_id=source.sae_id,
        architecture=architecture.name,
        hook_in=hook_in,
        writes=writes,
        d_in=d_in,
        d_sae=d_sae,
        d_out=int(loaded.b_dec.shape[0]),
        context_size=trained.context_size,
        prepend_bos=True if metadata.prepend_bos is None else bool(metadata.prepend_bos),
        separator=metadata.get("sequence_separator_token", "bos"),
        said=(*names.said, *about_kwargs, *_sides(encoder)),
        model_name=names.model,
        model_class=metadata.model_class_name,
        model_kwargs=model_kwargs,
        model_doubt=names.doubt,
        # Its index of a latent is another one where a latent is two here.
        neuronpedia_id=names.neuronpedia_id if encoder.sides == 1 else None,
        metadata=plain_metadata(metadata.to_dict()),
        weights_sha256=found.weights_sha256,
        loaded=loaded,
        encoder=encoder,
        decoder=decoder,
        device=device,
        dtype=dtype,
        normalizes=normalizes if normalizes in AT_RUN_TIME else None,
        why_no_decoder="" if found.part_of else _why_no_decoder(architecture, source, metadata),
        stated=_stated(source, architecture, cfg, metadata),
        trained=trained,
        part_of=found.part_of,
    )
    if sae.why_no_decoder:
        sae.forget_decoder()
    return sae


def _sides(encoder: Encoder) -> list[Said]:
    """How latents with signs are told apart."""
    if encoder.sides == 1:
        return []
    n = encoder.sizes[1] // encoder.sides
    return [
        Said(
            f"Its {n:,} latents have signs, and each is two here: latent i where it is positive, "
            f"and latent {n:,} + i where it is negative, with its directions turned round."
        )
    ]


def _names(
    source: SaeSource, architecture: Architecture, metadata: Any, hook_in: HookPoint, d_sae: int
) -> AgreedNames:
    """What everything that names the SAE and its model agrees on; a model's path is taken out."""
    names = agreed_names(
        source,
        model=metadata.model_name,
        neuronpedia_id=metadata.neuronpedia_id or _neuronpedia_id(source),
        hook_in=hook_in,
        is_transcoder=architecture.decoder.elsewhere,
        d_sae=d_sae,
    )
    if names.model and is_path(names.model):
        said = Said("Its metadata name the model by a path, which is not followed.")
        names = replace(names, model=None, doubt="", said=[*names.said, said])
    asked = metadata.model_class_name
    if asked not in (None, "", *MODEL_CLASSES):
        text = f"Its metadata ask for a model of the class '{visible_text(str(asked))[:60]}'"
        unknown = Said(f"{text}, which is not known here: ignored.", sanity=True)
        names = replace(names, said=[*names.said, unknown])
    return names


def _hooks(
    decoder: Decoder, metadata: Any, source: SaeSource
) -> tuple[HookPoint, tuple[HookPoint, ...]]:
    """Where an SAE reads, and where it writes.

    Raises:
        SaereportError: The metadata do not say where.
    """
    if not metadata.hook_name:
        raise SaereportError(f"The metadata of the SAE {source.label} names no hook point.")
    if metadata.hook_head_index is not None:
        raise SaereportError(
            f"The SAE {source.label} reads one attention head only (hook_head_index "
            f"{metadata.hook_head_index}), which is not supported."
        )
    hook_in = parse_hook(_true_hook(metadata.hook_name, metadata.hf_hook_name))
    if not decoder.elsewhere:
        return hook_in, (hook_in,)
    if not decoder.hooks_out:
        raise SaereportError(
            f"The metadata of the transcoder {source.label} does not name the hook point that "
            f"it writes to (hook_name_out)."
        )
    return hook_in, tuple(parse_hook(name) for name in decoder.hooks_out)


def _why_no_decoder(architecture: Architecture, source: SaeSource, metadata: Any) -> str:
    """Why what SAELens gives as a decoder means nothing; empty where it does."""
    summed = architecture.decoder.elsewhere and _is_summed(source, metadata)
    return SUMMED_DECODER if summed else ""


def _is_summed(source: SaeSource, metadata: Any) -> bool:
    """Whether SAELens made it of a cross-layer transcoder's layer, by summing over decoders."""
    entry = entry_of(source)
    if entry is not None:
        path = str(entry.saes_map[str(source.sae_id)])
        loader = entry.conversion_func
        if loader == "mntss_clt_layer_transcoder" or (loader == "gemma_3" and "clt" in path):
            return True
    # One that was saved to disk afterwards, or a repository that has SAELens's format.
    words = (source.release, source.sae_id, metadata.neuronpedia_id, source.path and source.label)
    return any(re.search(r"(?<![a-z])clt(?![a-z])", word.lower()) for word in words if word)


def _stated(
    source: SaeSource, architecture: Architecture, cfg: Any, metadata: Any
) -> dict[str, float]:
    """What L0 and explained variance an SAE has by what is written about it."""
    found: dict[str, float] = {}
    details = metadata.training_architecture_details
    trained = details if isinstance(details, dict) else {}
    candidates: list[Any] = [metadata.l0, trained.get("target_l0")]
    if metadata.training_architecture in ("batchtopk", "matryoshka_batchtopk", "topk"):
        candidates.append(trained.get("k"))
    entry = entry_of(source)
    if entry is not None:
        candidates.insert(0, entry.expected_l0.get(str(source.sae_id)))
        variance = entry.expected_var_explained.get(str(source.sae_id))
        # SAELens fills in 1 where nothing is stated.
        if isinstance(variance, (int, float)) and 0 < variance < 1:
            found["explained_variance"] = float(variance)
    named = re.search(r"l0[_=-](\d+)", str(source.sae_id or source.label).lower())
    candidates.append(int(named[1][:9]) if named else None)
    for value in candidates:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
            found["l0"] = float(value)
            break
    if "k" in architecture.encoder.settings:
        found["k"] = float(cfg.k)
    return found


def _check_numbers(sae: Any, label: str) -> None:
    """Refuse weights that are no numbers before hours are spent on them.

    An infinite threshold is allowed: it is how some trainers switch a latent off.
    """
    for name, tensor in sorted(sae.state_dict().items()):
        if not tensor.is_floating_point():
            continue
        bad = tensor.isnan() if name == "threshold" else ~tensor.isfinite()
        if bool(bad.any()):
            where = [int(i) for i in bad.nonzero()[0]]
            raise SaereportError(
                f"The SAE {label} holds NaN or infinite numbers in {name}, first at {where} "
                f"({int(bad.sum()):,} in all).",
                "The file is damaged, or training diverged.",
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
