"""Whether a user names a layer of a set of transcoders, and where the set's files are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from saereport.sources.hub import hub_access
from saereport.sources.saes.hub import explain
from saereport.sources.saes.names import entry_of
from saereport.sources.saes.sets import (
    CROSS_LAYER,
    FROM_HUB,
    SET_CONFIG,
    FindFile,
    in_folder,
    is_set,
    layer_of,
    require_layer,
)
from saereport.sources.saes.source import SaeSource

BY_LAYERS = ("mntss_clt_layer_transcoder",)
"""SAELens's loaders of cross-layer transcoders: they sum each layer's decoders into one."""


@dataclass(frozen=True)
class AskedLayer:
    """A layer that is asked for.

    Attributes:
        place: The folder or the repository.
        number: The layer.
        find: Where the set's files lie.
        kind: What the set is where it does not say so itself; empty where that is not known.
    """

    place: str
    number: int
    find: FindFile
    kind: str = ""


def layer_asked_for(source: SaeSource) -> AskedLayer | None:
    """The layer of a set of transcoders that is named; None for anything else.

    Raises:
        SaereportError: The folder is a set's and has no such layer, or the hub cannot be reached.
    """
    if source.path is not None:
        folder = Path(source.path).expanduser()
        if not is_set(folder):
            return None
        number = require_layer(folder, source.sae_id)
        return AskedLayer(str(folder.resolve()), number, in_folder(folder))
    entry, release, sae_id = entry_of(source), str(source.release), str(source.sae_id)
    if entry is not None:
        if entry.conversion_func not in BY_LAYERS or sae_id not in entry.saes_map:
            return None
        path = str(entry.saes_map[sae_id])
        find = _on_hub(entry.repo_id, source)
        return AskedLayer(entry.repo_id, int(path), find, CROSS_LAYER)
    named = layer_of(sae_id)
    if named is None or "/" not in release or not _has_set(release):
        return None
    return AskedLayer(release, named, _on_hub(release, source))


def _on_hub(repo: str, source: SaeSource) -> FindFile:
    """Finds files of a set in a repository; only what is asked for is fetched."""

    def find(name: str) -> Path:
        from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

        try:
            if name.startswith(FROM_HUB):
                return _fetched(*_parted(name))
            return _fetched(repo, name)
        except Exception as error:  # of the hub, of its client, or of the network
            directory = get_pretrained_saes_directory()
            release, sae_id = str(source.release), str(source.sae_id)
            raise explain(source.label, error, directory, release, sae_id) from error

    return find


def _parted(name: str) -> tuple[str, str, str | None]:
    """Repository, file and revision of `hf://owner/name/path?revision=…`."""
    place, _, query = name.removeprefix(FROM_HUB).partition("?")
    owner, repo, *path = place.split("/")
    revision = query.removeprefix("revision=") if query.startswith("revision=") else None
    return f"{owner}/{repo}", "/".join(path), revision


def _fetched(repo: str, name: str, revision: str | None = None) -> Path:
    from huggingface_hub import hf_hub_download

    with hub_access():
        return Path(hf_hub_download(repo, name, revision=revision))


def _has_set(repo: str) -> bool:
    """Whether a repository is one of a set; not where the hub or the repository cannot be had."""
    from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError

    try:
        _fetched(repo, SET_CONFIG)
    except (EntryNotFoundError, RepositoryNotFoundError, OSError, ValueError):
        return False
    return True
