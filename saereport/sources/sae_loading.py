"""Loading SAEs and transcoders: by SAELens, from the hub or from disk.

What SAELens's configuration and metadata say is read here once, checked, and put into the terms
of `Dictionary`; what the libraries say when loading fails becomes one sentence.
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import torch

from saereport.errors import SaereportError, did_you_mean
from saereport.sources.devices import dtype_name
from saereport.sources.hooks import parse_hook
from saereport.sources.hub import hub_access, is_offline
from saereport.sources.models import hash_tensors
from saereport.sources.quiet import quietly
from saereport.sources.saes import SUPPORTED, Dictionary, SaeSource


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
    _check_numbers(sae, source.label)
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
