"""SAELens's directory of published SAEs: what it lists, read without SAELens and without torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import yaml

from saereport.sources.saes.families import Family, family_of
from saereport.sources.saes.spelled import layers_in
from saereport.util.errors import SaereportError, UsageError, did_you_mean, shortened
from saereport.util.packages import package_file

MOST_IDS = 12
"""Ids that an error names."""


@dataclass(frozen=True)
class ListedSae:
    """One SAE of the directory, as far as it says.

    Attributes:
        release: Its release.
        sae_id: Its id there.
        place: Where it reads; empty where neither the id nor its family say it.
        width: How many latents, as it is written there, such as `16k`; empty where it is not.
        l0: Active latents of a token.
        neuronpedia: Its id on Neuronpedia.
        family: Its family; None where none like it was tried.
    """

    release: str
    sae_id: str
    place: str
    width: str
    l0: float | None
    neuronpedia: str
    family: Family | None


@dataclass(frozen=True)
class ListedRelease:
    """A release of the directory, or those of its SAEs that were asked for.

    Attributes:
        name: Its name.
        model: The model that it is of.
        repo: Its repository on the Hugging Face hub.
        loader: SAELens's loader.
        saes: Its SAEs, or some of them.
    """

    name: str
    model: str
    repo: str
    loader: str
    saes: tuple[ListedSae, ...]


def directory_text() -> str | None:
    """The directory as text; None where SAELens is not installed."""
    return package_file("sae_lens", "pretrained_saes.yaml")


_TOP = re.compile(r"^(?P<quote>['\"]?)(?P<name>[^\s#'\"][^\n]*?)(?P=quote):[ \t]*$", re.MULTILINE)


def release_names(text: str) -> list[str]:
    """The names of all releases in a directory's text."""
    return [match["name"] for match in _TOP.finditer(text)]


def _parts(text: str) -> Iterator[tuple[str, str]]:
    """Each release's name and its part of the text: parsing all of it takes a second."""
    starts = list(_TOP.finditer(text))
    for match, following in zip(starts, [*starts[1:], None], strict=True):
        yield match["name"], text[match.start() : following.start() if following else len(text)]


def release_entry(text: str, name: str) -> dict[str, Any] | None:
    """One release of a directory's text, as it stands there; None where there is none."""
    return next((_parsed(part) for found, part in _parts(text) if found == name), None)


def _parsed(part: str) -> dict[str, Any]:
    try:
        found = yaml.load(part, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        entry = next(iter(found.values()))
    except (yaml.YAMLError, AttributeError, StopIteration):
        return {}
    return entry if isinstance(entry, dict) else {}


def listed(words: Sequence[str] = ()) -> list[ListedRelease]:
    """The releases of the directory that have SAEs of which all words are said.

    Args:
        words: Parts of the names of release, model, SAE or its id on Neuronpedia.

    Raises:
        SaereportError: SAELens is not installed, or its directory cannot be read.
    """
    text = directory_text()
    if text is None:
        raise SaereportError(
            "SAELens's directory of releases is not here.", "Install saereport[collect]."
        )
    wanted = [word.casefold() for word in words]
    found = []
    for name, part in _parts(text):
        folded = part.casefold()
        if all(word in folded for word in wanted):
            release = _release(name, _parsed(part), wanted)
            if release.saes:
                found.append(release)
    return found


def _release(name: str, entry: dict[str, Any], words: Sequence[str]) -> ListedRelease:
    model, saes = str(entry.get("model", "")), []
    for row in entry.get("saes") or ():
        said = f"{name} {model} {row['id']} {row.get('neuronpedia') or ''}".casefold()
        if all(word in said for word in words):
            saes.append(_sae(name, row))
    loader = str(entry.get("conversion_func") or "sae_lens")
    return ListedRelease(name, model, str(entry.get("repo_id", "")), loader, tuple(saes))


def _sae(release: str, row: dict[str, Any]) -> ListedSae:
    sae_id, path = str(row["id"]), str(row["path"])
    neuronpedia = str(row.get("neuronpedia") or "")
    family = family_of(release, sae_id)
    l0 = row.get("l0") or _l0_in(sae_id)
    return ListedSae(
        release=release,
        sae_id=sae_id,
        place=_place(sae_id, path, family),
        width=_width(sae_id, path, release, neuronpedia),
        l0=float(l0) if l0 else None,
        neuronpedia=neuronpedia,
        family=family,
    )


def _place(sae_id: str, path: str, family: Family | None) -> str:
    named = re.match(r"blocks\.\d+\.hook_[a-z]+(_[a-z]+)*(?![a-z])", sae_id)
    if family is None or not family.place:
        return named[0] if named else ""
    if "{}" not in family.place:
        return family.place
    layers = layers_in(sae_id) or layers_in(path)
    return family.place.format(min(layers)) if len(layers) == 1 else ""


_WIDTHS = (
    r"width[_-](\d+[km])(?![a-z\d])",
    r"width[_-]2pow(\d+)()(?!\d)",
    r"(?<![a-z\d.])w(?:idth)?[_-]?(\d+k)(?![a-z\d])",
    r"[-_](\d+k)(?:-oai)?(?=__|$)",
    r"-v5-(\d+k)$",
    r"hook_resid_pre_(\d+)$",
)


def _width(*said: str) -> str:
    for text in said:
        for pattern in _WIDTHS:
            if found := re.search(pattern, text.lower()):
                return str(2 ** int(found[1])) if found.lastindex == 2 else found[1]
    return ""


def _l0_in(sae_id: str) -> float | None:
    found = re.search(r"(?:^|[_/])l0[_=-](\d+)(?!\d)", sae_id)
    return float(found[1]) if found else None


def no_such_release(release: str, text: str) -> SaereportError:
    """The error that says that the directory has no release of a name."""
    return SaereportError(
        f"SAELens knows no release '{shortened(release)}'.",
        did_you_mean(release, release_names(text))
        or "'saereport saes' lists the releases; a Hugging Face repository is named owner/name.",
    )


class Named(Protocol):
    """What a user named: a release and an id, or a path."""

    @property
    def release(self) -> str | None:
        """The release."""

    @property
    def sae_id(self) -> str | None:
        """The id in it."""


def require_ids(saes: Iterable[Named]) -> None:
    """Check that every release is named with an id.

    Raises:
        UsageError: One is not; says which ids it has.
        SaereportError: There is no such release.
    """
    for sae in saes:
        if sae.release and not sae.sae_id:
            raise without_id(sae.release)


def without_id(release: str) -> SaereportError:
    """The error for a release that is named without an id: says which ids it has."""
    text = directory_text()
    entry = release_entry(text, release) if text else None
    if text and entry is None and "/" not in release:
        return no_such_release(release, text)
    ids = [str(row["id"]) for row in (entry or {}).get("saes") or ()]
    if not ids:
        return UsageError(
            f"The release '{shortened(release)}' was named without an id.",
            "Give --sae-id too: in a repository, the folder that holds the SAE.",
        )
    shown = ", ".join(ids[:MOST_IDS])
    if len(ids) == 1:
        return UsageError(f"'{release}' was named without an id.", f"Give --sae-id {shown}.")
    more = f" and {len(ids) - MOST_IDS:,} more" if len(ids) > MOST_IDS else ""
    return UsageError(
        f"The release '{release}' has {len(ids):,} SAEs, and --sae-id names none of them: "
        f"{shown}{more}.",
        f"'saereport saes {release}' lists them all." if more else "",
    )
