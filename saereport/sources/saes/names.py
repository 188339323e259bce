"""Whether everything that names an SAE means the same: model, layer, width, Neuronpedia's id.

A published SAE is described in several places: by SAELens's loader or the `cfg.json`, by the entry
in SAELens's directory of releases, by its id and its folder, by Neuronpedia's id. Where they name
different things, one of them is wrong, and the numbers would be about something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from saereport.sources.hooks import HookPoint
from saereport.sources.quiet import Said
from saereport.sources.saes.source import SaeSource
from saereport.sources.saes.spelled import layers_in, widths_in

_KINDS = {
    "att": (r"(?<![a-z])attn?(?![a-z])", ("attn_out", "z")),
    "mlp": (r"(?<![a-z])mlp(?![a-z])", ("mlp_out",)),
    "res": (r"(?<![a-z])res(?:id)?(?![a-z])", ("resid",)),
}


@dataclass
class AgreedNames:
    """What came of the comparison.

    Attributes:
        model: The model to load.
        doubt: Why that may be the wrong one; empty where all agree.
        neuronpedia_id: The id to link to; None where there is none, or it names another SAE.
        said: What a reader must know.
    """

    model: str | None
    doubt: str = ""
    neuronpedia_id: str | None = None
    said: list[Said] = field(default_factory=list)


def entry_of(source: SaeSource) -> Any:
    """The release's entry in SAELens's directory, or None."""
    if source.release is None:
        return None
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    return get_pretrained_saes_directory().get(source.release)


def agreed_names(
    source: SaeSource,
    *,
    model: str | None,
    neuronpedia_id: str | None,
    hook_in: HookPoint,
    is_transcoder: bool,
    d_sae: int,
) -> AgreedNames:
    """Compare everything that names an SAE.

    Args:
        source: What the user named.
        model: The model that the loader or the metadata name.
        neuronpedia_id: The id in the metadata or the directory.
        hook_in: Where it reads.
        is_transcoder: Whether it writes elsewhere.
        d_sae: Its latents.
    """
    entry = entry_of(source)
    names = AgreedNames(_with_owner(model, entry.model if entry else None))
    witnesses = {"its metadata": names.model}
    if entry is not None:
        witnesses = {"SAELens's loader": names.model, "SAELens's directory": entry.model}
    if neuronpedia_id:
        witnesses["its Neuronpedia id"] = neuronpedia_id.partition("/")[0]
    names.doubt = _doubt(witnesses)
    names.said += _place_doubts(source, entry, hook_in, d_sae)
    wrong = _why_not_linked(neuronpedia_id, hook_in, is_transcoder)
    names.neuronpedia_id = None if wrong else neuronpedia_id
    if wrong:
        names.said.append(Said(wrong))
    return names


def _with_owner(model: str | None, listed: str | None) -> str | None:
    """The directory's name where the loader dropped the owner from it, or gave none."""
    if model is None:
        return listed
    if "/" not in model and listed and listed.partition("/")[2] == model:
        return listed
    return model


def same_model(one: str, other: str) -> bool:
    """Whether two names mean one model, by spelling or by TransformerLens's aliases."""
    return bool(_spellings(one) & _spellings(other))


@lru_cache(maxsize=256)
def _spellings(name: str) -> frozenset[str]:
    from saereport.sources.model_loading import known_model_names

    known = known_model_names()
    official = known.get(name) or known.get(name.lower()) or name
    found = set()
    for spelling in (name, official):
        text = spelling.rpartition("/")[2].lower().removeprefix("meta-")
        text = re.sub(r"[^a-z0-9.]", "", text.replace("instruct", "it"))
        found.add(text.removesuffix("hf").removesuffix("pt"))
    return frozenset(found)


def _doubt(witnesses: dict[str, str | None]) -> str:
    named = {who: name for who, name in witnesses.items() if name}
    first = next(iter(named.values()), "")
    if all(same_model(first, name) for name in named.values()):
        return ""
    said = [f"{who} says {name}" for who, name in named.items()]
    return f"It is not clear which model it was trained on: {', '.join(said)}."


def _place_doubts(source: SaeSource, entry: Any, hook_in: HookPoint, d_sae: int) -> list[Said]:
    """What an SAE's id and its folder say of layer and width, where that is not what it has."""
    if source.path is not None:
        spelled = [("Its folder", source.label)]
    else:
        spelled = [("Its id", str(source.sae_id))]
        if entry is not None:
            spelled.append(("Its folder", entry.saes_map[str(source.sae_id)]))
    said: list[Said] = []
    for who, text in spelled:
        layers, widths = layers_in(text), widths_in(text)
        doubts = []
        if len(layers) == 1 and hook_in.layer not in layers:
            doubts.append(f"names layer {min(layers)}, but it reads at '{hook_in.name}'")
        if widths and not any(0.9 * d_sae <= width <= 1.1 * d_sae for width in widths):
            doubts.append(f"names another width than its {d_sae:,} latents")
        said += [Said(f"{who} ('{text}') {doubt}.", sanity=True) for doubt in doubts]
    return said


def _why_not_linked(neuronpedia_id: str | None, hook: HookPoint, is_transcoder: bool) -> str:
    """Why a Neuronpedia id is not this SAE's; empty where nothing speaks against it."""
    if not neuronpedia_id:
        return ""
    place = neuronpedia_id.partition("/")[2]
    number = re.match(r"(\d+)(?!\d)", place)
    if number and int(number[1]) != hook.layer:
        return (
            f"Its Neuronpedia id '{neuronpedia_id}' names layer {number[1]}, but it reads at "
            f"'{hook.name}'; it is not linked."
        )
    named = {kind for kind, (pattern, _) in _KINDS.items() if re.search(pattern, place.lower())}
    fitting = {kind for kind, (_, kinds) in _KINDS.items() if hook.kind in kinds}
    if named and not is_transcoder and not named & fitting:
        return (
            f"Its Neuronpedia id '{neuronpedia_id}' names another kind of activation than "
            f"'{hook.name}'; it is not linked."
        )
    return ""


def releases_with(repo: str, sae_id: str) -> Iterable[tuple[str, str]]:
    """Releases of SAELens's directory that lie in a repository, with the fitting id in each.

    Args:
        repo: `owner/name` on the hub.
        sae_id: What the user called the SAE: an id, or a folder of the repository.
    """
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    for release, entry in get_pretrained_saes_directory().items():
        if entry.repo_id.lower() != repo.lower():
            continue
        ids = [i for i, path in entry.saes_map.items() if sae_id in (i, path, str(path).strip("/"))]
        yield release, ids[0] if ids else ""
