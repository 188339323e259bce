"""Files of packages that are installed, read without importing the packages."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path


@lru_cache(maxsize=8)
def package_file(package: str, name: str) -> str | None:
    """The text of a file of a package; None where it is not where it should be."""
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return None
    for folder in (spec and spec.submodule_search_locations) or []:
        try:
            return (Path(folder) / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
    return None
