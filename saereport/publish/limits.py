"""Sizes and names: what GitHub Pages takes, and what every file system and address can hold.

GitHub's documentation says that a published site may be no larger than 1 GB, and git hosting
refuses files of more than 100 MiB (and warns above 50 MiB). Names are held to what Windows, macOS,
Linux and a URL all take as they are.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

from saereport.publish.findings import Finding, error, warning
from saereport.site.folder import NOJEKYLL

SITE_BYTES = 1_000_000_000
SITE_WARNING = 0.8
"""Share of the limit from which on a warning says that it is near."""
FILE_BYTES = 100 * 2**20
FILE_WARNING = 0.5
NAME_LENGTH = 120
"""Characters of one name; file systems end at 255 bytes."""
PATH_LENGTH = 180
"""Characters of a whole path; Windows ends at 260, the folder above included."""


_SAFE = re.compile(r"[A-Za-z0-9._~+@-]+", re.ASCII)
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_CUSTOMARY = frozenset({"CNAME", "README.md", "LICENSE"})
"""Names in capitals that belong at the top of a site."""


def check_sizes(sizes: Mapping[str, int]) -> Iterator[Finding]:
    """Findings about sizes.

    Args:
        sizes: Bytes of each file, by its path relative to the site.
    """
    total = sum(sizes.values())
    said = f"the site has {total / 1e6:,.1f} MB; GitHub Pages serves up to 1,000 MB"
    if total > SITE_BYTES:
        yield error("", 0, "size", f"{said}: show fewer latents, or split it")
    elif total > SITE_WARNING * SITE_BYTES:
        yield warning("", 0, "size", said)
    for path, size in sizes.items():
        said = f"the file has {size / 2**20:,.1f} MiB; git hosting takes up to 100 MiB"
        if size > FILE_BYTES:
            yield error(path, 0, "size", said)
        elif size > FILE_WARNING * FILE_BYTES:
            yield warning(path, 0, "size", said)


def check_names(paths: Mapping[str, int]) -> Iterator[Finding]:
    """Findings about the names of files and folders.

    Args:
        paths: Every file, by its path relative to the site; the values are not used.
    """
    folders = {parent for path in paths for parent in _parents(path)}
    same = defaultdict(list)
    for path in sorted({*paths, *folders}):
        same[path.casefold()].append(path)
        yield from _of_one(path, NOJEKYLL in paths)
    for group in same.values():
        for path in group[1:]:
            message = f"differs from '{group[0]}' in case alone: some file systems hold only one"
            yield error(path, 0, "name", message)
    for path in paths:
        if len(path) > PATH_LENGTH:
            message = f"the path has {len(path)} characters; beyond {PATH_LENGTH} some tools fail"
            yield warning(path, 0, "name", message)


def _parents(path: str) -> Iterator[str]:
    parts = path.split("/")[:-1]
    for i in range(len(parts)):
        yield "/".join(parts[: i + 1])


def _of_one(path: str, has_nojekyll: bool) -> Iterator[Finding]:
    name = path.rsplit("/", 1)[-1]
    if not _SAFE.fullmatch(name):
        message = "a name may hold letters of ASCII, digits, and . _ ~ + @ - only"
        yield error(path, 0, "name", message)
    if name.endswith("."):
        yield error(path, 0, "name", "a name that ends with a dot cannot be stored on Windows")
    if _RESERVED.fullmatch(name):
        yield error(path, 0, "name", "the name is reserved on Windows")
    if name.startswith("_") and not has_nojekyll:
        message = f"Jekyll leaves out names that begin with '_': add an empty file '{NOJEKYLL}'"
        yield error(path, 0, "name", message)
    if name.startswith(".") and name != NOJEKYLL:
        yield warning(path, 0, "name", "hidden files are left out when a site is uploaded")
    if name != name.lower() and path not in _CUSTOMARY:
        yield warning(path, 0, "name", "capitals: an address must then be written exactly so")
    if len(name) > NAME_LENGTH:
        message = f"the name has {len(name)} characters; keep it below {NAME_LENGTH}"
        yield warning(path, 0, "name", message)
