"""Loading SAEs from the Hugging Face hub, by SAELens's loaders.

A loader makes a configuration and weights of a repository's files; the configuration is checked
before an SAE is built from it, and what SAELens only warns of (a factor that it does not have, a
class that it does not know) is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from saereport.sources.devices import dtype_name
from saereport.sources.hub import hub_access, is_offline
from saereport.sources.quiet import Said
from saereport.sources.saes.architectures import architecture_of
from saereport.sources.saes.config import LIMITS, check_config, config_doubts, nested_as_version_6
from saereport.sources.saes.converting import weights_only
from saereport.sources.saes.foreign import check_trainer
from saereport.sources.saes.headers import holds_code
from saereport.sources.saes.names import releases_with
from saereport.sources.saes.scaling import (
    FOLDED_BEFORE_USE,
    SCALER,
    WHITENING,
    Scaling,
    fold,
    read_scaling,
)
from saereport.util.errors import SaereportError, causes_of, did_you_mean, shortened
from saereport.util.untrusted import content, parse_json


def from_hub(
    release: str, sae_id: str, device: torch.device, dtype: torch.dtype, said: list[Said]
) -> Any:
    """SAELens's object of a release, or of a folder in a repository.

    Args:
        release: A release of SAELens's directory, or `owner/name` on the hub.
        sae_id: Its id there, or the folder.
        device: Where to put it.
        dtype: The number format to compute in.
        said: Takes what a reader must know.

    Raises:
        SaereportError: As `load_sae`.
    """
    from sae_lens import SAE
    from sae_lens.loading.pretrained_sae_loaders import (
        NAMED_PRETRAINED_SAE_LOADERS,
        get_conversion_loader_name,
    )
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    directory = get_pretrained_saes_directory()
    _check_listed(release, sae_id, directory)
    label = f"{release} / {sae_id}"
    loader = NAMED_PRETRAINED_SAE_LOADERS[get_conversion_loader_name(release)]
    entry = directory.get(release)
    factor = entry.norm_scaling_factor.get(sae_id) if entry else None
    asked: list[Any] = []
    try:
        with hub_access(), weights_only():
            sae = SAE.from_pretrained(
                release,
                sae_id,
                device=str(device),
                dtype=dtype_name(dtype),
                converter=checked(loader, label, said, asked),
            )
            if factor is not None:
                _note_factor(sae, factor, asked[-1], said)
            if sae.cfg.normalize_activations in FOLDED_BEFORE_USE:
                repo, folder = (
                    (entry.repo_id, entry.saes_map[sae_id]) if entry else (release, sae_id)
                )
                _fold_from_hub(sae, repo, folder, label, said)
            return sae
    except (MemoryError, torch.OutOfMemoryError, SaereportError):
        raise
    except Exception as error:
        raise explain(label, error, directory, release, sae_id) from error


def _note_factor(sae: Any, factor: float, asked: Any, said: list[Said]) -> None:
    """Say what became of the factor of its activations that SAELens's directory lists."""
    own = getattr(sae.cfg, "activation_normalization_factor", None)
    if asked in FOLDED_BEFORE_USE:
        sae.cfg.metadata["folded_on_loading"] = f"{asked}, factor {factor:g}"
    elif own is None or not math.isclose(own, factor, rel_tol=1e-3):
        # Where it is the SAE's own factor, the SAE multiplies with it itself.
        said.append(
            Said(
                f"SAELens's directory lists a scaling factor of its activations ({factor:g}), and "
                f"its configuration asks for none: not applied.",
                sanity=True,
            )
        )


def _check_listed(release: str, sae_id: str, directory: Mapping[str, Any]) -> None:
    """Refuse a release or an id that SAELens's directory does not have."""
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


def checked(
    loader: Callable[..., Any], label: str, said: list[Said], asked: list[Any] | None = None
) -> Callable[..., Any]:
    """A loader of SAELens whose configuration is checked before an SAE is built from it.

    Args:
        loader: The loader.
        label: The SAE, for messages.
        said: Takes what a reader must know.
        asked: Takes `normalize_activations` as the configuration had it.
    """

    def load(*args: Any, **kwargs: Any) -> Any:
        from sae_lens.loading import pretrained_sae_loaders as loaders
        from sae_lens.registry import SAE_CLASS_REGISTRY

        cfg, *rest = loader(*args, **kwargs)
        check_config(cfg, label)
        said.extend(config_doubts(cfg))
        if loader is loaders.dictionary_learning_sae_huggingface_loader_1:
            _check_trainer(kwargs["repo_id"], kwargs["folder_name"], label)
        if asked is not None:
            wanted = cfg.get("normalize_activations")
            asked.append("expected_average_only_in" if wanted is True else wanted)
        architecture = cfg.get("architecture", "standard")
        if (registered := architecture_of(architecture)) is not None:
            registered.introduce()
        if architecture not in SAE_CLASS_REGISTRY:
            raise SaereportError(
                f"SAELens cannot load the architecture '{architecture}' of the SAE {label} from "
                f"there.",
                "Download its folder, and name that with --sae-path.",
            )
        return (nested_as_version_6(cfg), *rest)

    return load


def _check_trainer(repo: str, folder: str, label: str) -> None:
    """Look again at a configuration of dictionary_learning: its loader takes the rest for ReLU.

    Raises:
        SaereportError: It is of another class, or reads elsewhere than the loader says.
    """
    from huggingface_hub import hf_hub_download

    file = Path(hf_hub_download(repo, f"{folder}/config.json"))
    check_trainer(parse_json(content(file, LIMITS), f"config.json of {label}", LIMITS), label)


def _fold_from_hub(sae: Any, repo: str, folder: str, label: str, said: list[Said]) -> None:
    """Fold what SAELens's trainer left beside the weights in a repository."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    place = None
    for file in (SCALER, WHITENING):
        try:
            place = Path(hf_hub_download(repo, f"{folder}/{file}")).parent
        except (EntryNotFoundError, OSError):  # offline, it is an OSError; then it is missing
            continue
    scaling = read_scaling(place, label) if place is not None else Scaling()
    if warning := fold(sae, scaling, label):
        said.append(Said(warning, sanity=True))


def explain(
    label: str, error: Exception, directory: Mapping[str, Any], release: str, sae_id: str
) -> SaereportError:
    """What it means that an SAE could not be had from the hub, as one sentence."""
    kinds = {type(link).__name__ for link in causes_of(error)}
    repo = directory[release].repo_id if release in directory else release
    short = shortened(" ".join(str(error).split()))
    if "UnpicklingError" in kinds:
        named = re.search(r"GLOBAL (\S+)|global (\S+)", short)
        return holds_code(f"The SAE {label}", named[named.lastindex or 0] if named else "code")
    if "GatedRepoError" in kinds:
        return SaereportError(
            f"The SAE {label} is gated on the Hugging Face hub ({repo}).",
            "Accept its licence there, then log in with `hf auth login` or set HF_TOKEN.",
        )
    if other := _other_names(release, sae_id, directory):
        return SaereportError(
            f"'{release}' is a repository, and SAELens loads it by the names of its releases.",
            other,
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
        return SaereportError(
            f"The repository '{repo}' holds no SAE at the place of {label}.",
            "Look there for the folder that has cfg.json in it; its path is the id.",
        )
    return SaereportError(f"The SAE {label} cannot be loaded: {type(error).__name__}: {short}")


def _other_names(release: str, sae_id: str, directory: Iterable[str]) -> str:
    """Which releases a repository holds, where one was named in place of a release."""
    if release in directory:
        return ""
    found = list(releases_with(release, sae_id))
    exact = [(name, other) for name, other in found if other]
    if exact:
        return f"Give --release {exact[0][0]} --sae-id {exact[0][1]}."
    names = [name for name, _ in found]
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return f"Give --release {' or '.join(names[:4])}{more}, with an id of it." if names else ""
