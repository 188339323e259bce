"""Do the files of a site have the checksums that its manifests list?

A report has `report.json`, a landing page `landing.json`; both list files with size and SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saereport.publish.findings import Finding, error, warning
from saereport.site.folder import FORMAT, MANIFEST, VERSION
from saereport.util.errors import SaereportError
from saereport.util.inside import read_inside, sha256_inside

LANDING_MANIFEST = "landing.json"
LANDING_FORMAT = "saereport-landing"
LANDING_VERSION = 1
MANIFEST_BYTES = 64 * 2**20
"""A manifest larger than this is not read."""

_KNOWN = {MANIFEST: (FORMAT, VERSION), LANDING_MANIFEST: (LANDING_FORMAT, LANDING_VERSION)}
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_manifest(path: str) -> bool:
    """Whether a file is a manifest by its name."""
    return posixpath.basename(path) in _KNOWN


@dataclass(frozen=True)
class Listed:
    """A file that a manifest lists."""

    path: str
    bytes: int
    sha256: str


def read_manifest(folder: Path, relative: str) -> dict[str, Any]:
    """The manifest of a report or of a landing page, and under `itself` how it is listed.

    Args:
        folder: The site, as the user named it; no link in it is followed.
        relative: The manifest, with `/`.

    Raises:
        SaereportError: It is too large, not JSON, of another format or version, malformed, or
            behind a link.
    """
    form, version = _KNOWN[posixpath.basename(relative)]
    path = folder / relative
    data = read_inside(folder, relative, limit=MANIFEST_BYTES)
    try:
        value = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as problem:
        raise SaereportError(f"'{path}' is not JSON.", "Make the report again.") from problem
    if not isinstance(value, dict) or value.get("format") != form:
        raise SaereportError(f"'{path}' is not a {form} manifest.")
    if value.get("version") != version:
        found = str(value.get("version"))[:20]
        hint = "Use the saereport that made it, or make it again."
        raise SaereportError(f"'{path}' has version {found}, not {version}.", hint)
    files = value.get("files")
    if not isinstance(files, list) or not all(map(_is_entry, files)):
        raise SaereportError(f"'{path}' lists its files in a way that cannot be read.")
    itself = Listed(posixpath.basename(relative), len(data), hashlib.sha256(data).hexdigest())
    return {**value, "itself": itself}


def listed(manifest: dict[str, Any]) -> list[Listed]:
    """The files that a manifest lists."""
    return [Listed(one["path"], one["bytes"], one["sha256"]) for one in manifest["files"]]


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("path"), str)
        and isinstance(entry.get("bytes"), int)
        and isinstance(entry.get("sha256"), str)
        and _SHA256.fullmatch(entry["sha256"]) is not None
    )


def check_manifests(folder: Path, sizes: dict[str, int]) -> Iterator[Finding]:
    """Findings about every manifest of a site and the files that it lists.

    Args:
        folder: The site.
        sizes: Bytes of each of its files, by relative path.
    """
    manifests = sorted(path for path in sizes if is_manifest(path))
    if not manifests:
        message = f"there is no report here: no {MANIFEST} in this folder or below it"
        yield error("", 0, "manifest", message)
        return
    listed: set[str] = set(manifests)
    homes: set[str] = set()
    for path in manifests:
        try:
            files = read_manifest(folder, path)["files"]
        except SaereportError as problem:
            yield error(path, 0, "manifest", str(problem))
            continue
        home = posixpath.dirname(path)
        homes.add(f"{home}/" if home else "")
        for entry in files:
            own = posixpath.join(home, entry["path"])
            yield from _entry(folder, path, own, entry, sizes)
            listed.add(own)
    for own in sorted(sizes.keys() - listed):
        if any(own.startswith(home) for home in homes):
            yield warning(own, 0, "manifest", "no manifest lists this file")


def _entry(
    folder: Path, manifest: str, own: str, entry: dict[str, Any], sizes: dict[str, int]
) -> Iterator[Finding]:
    if own not in sizes:
        yield error(manifest, 0, "manifest", f"it lists '{entry['path']}', which is missing")
    elif entry["bytes"] != sizes[own]:
        was, now = entry["bytes"], sizes[own]
        yield error(
            own, 0, "manifest", f"changed since it was made: {was:,} bytes then, {now:,} now"
        )
    elif entry["sha256"] != sha256_inside(folder, own):
        yield error(own, 0, "manifest", "changed since it was made: its SHA-256 is another")
