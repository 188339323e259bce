"""What an SAE's folder in a run and in a report may be called: one definition for all.

A slug is a folder's name on every file system, a part of an address, and lies beside the folders
and the pages that a report has of its own. Who gives names makes them by `slug_of` and
`unique_slugs`, who reads or renders a run asks `is_slug`; so no run is written that cannot be
read, and none is read that cannot be shown.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

SLUG: Final = r"[a-z0-9][a-z0-9._-]{0,119}"
"""Letters, digits, `.`, `_`, `-`; at most `LONGEST` of them."""
LONGEST: Final = 120
RESERVED: Final = frozenset(
    {
        "absorption",
        "assets",
        "bias",
        "capability",
        "circuits",
        "evaluation",
        "geometry",
        "lens",
        "meta-saes",
        "output-scores",
        "probing",
        "steering",
        "text",
        "run",
    }
)
"""Folders that every report may have of its own; parts of other packages reserve further ones."""
ENDINGS: Final = (".html", ".js", ".json")
"""Names that end so are files in a report."""

_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(10))]
)
_SLUG = re.compile(SLUG)
_reserved: set[str] = set(RESERVED)
_OTHER = re.compile(r"[^a-z0-9._]+")


def is_device(name: str) -> bool:
    """Whether a name means a device on Windows, with whatever ending."""
    return name.partition(".")[0].rstrip(" ").lower() in _DEVICES


def is_name(name: str) -> bool:
    """Whether a name can be a folder or a file on every system."""
    return bool(_SLUG.fullmatch(name)) and not name.endswith(".") and not is_device(name)


def is_slug(name: str) -> bool:
    """Whether a name can be an SAE's folder in a run and in a report."""
    return is_name(name) and name not in _reserved and not name.endswith(ENDINGS)


def reserve(folders: Iterable[str]) -> None:
    """Take names that SAEs can no longer have: folders of a part of a report.

    Raises:
        ValueError: One of them cannot be a folder on every system.
    """
    for name in folders:
        if not is_name(name):
            raise ValueError(f"'{name}' cannot be the name of a folder")
        _reserved.add(name)


def slug_of(text: str) -> str:
    """A slug that says as much of a text as a slug can; the same for the same text."""
    slug = _OTHER.sub("-", text.lower()).strip("-._") or "sae"
    for ending in ENDINGS:
        if slug.endswith(ending):
            slug = f"{slug.removesuffix(ending)}-{ending[1:]}"
    if not is_slug(slug[:LONGEST].rstrip("-._")):
        slug = f"sae-{slug}"
    return _shortened(slug, text)


def _shortened(slug: str, text: str) -> str:
    """A slug that is not too long; what is cut off is told apart by a few digits of its hash."""
    if len(slug) <= LONGEST:
        return slug
    mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{slug[: LONGEST - 9].rstrip('-._')}-{mark}"


def unique_slugs(texts: Iterable[str]) -> list[str]:
    """A slug for each text, no two the same: later ones of equal name get a number."""
    taken: set[str] = set()
    slugs = []
    for text in texts:
        plain = slug = slug_of(text)
        number = 1
        while slug in taken:
            number += 1
            end = f"-{number}"
            slug = plain[: LONGEST - len(end)].rstrip("-._") + end
        taken.add(slug)
        slugs.append(slug)
    return slugs


def is_prompt_slug(name: str) -> bool:
    """Whether a name can be a prompt's page and data in a report, beside its graph's."""
    return is_name(name) and name != "index" and not name.endswith(("graph", *ENDINGS))


def name_of_sae(release: str | None, sae_id: str | None, path: str | Path | None) -> str:
    """What an SAE's slug is made of: its folder's name and its id there, or release and id."""
    if path is None:
        return f"{release}-{sae_id}"
    folder = Path(path).expanduser().resolve().name
    return f"{folder}-{sae_id}" if sae_id else folder
