"""Writing files so that a reader never sees half of one, and hashing them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from saereport.errors import SaereportError


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def canonical_json(value: Any, *, indent: int | None = 1) -> str:
    """JSON with sorted keys and no NaN: equal values give equal text.

    Raises:
        ValueError: The value holds NaN or an infinity.
    """
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=indent)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file under a temporary name and rename it into place.

    Raises:
        OSError: The disk is full or the folder cannot be written; an older file stays as it was.
    """
    temporary = path.with_name(f".{path.name}.writing")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def folder_in_place_of(target: Path) -> Iterator[Path]:
    """A new empty folder that takes the place of `target` if the block ends well.

    If the block raises, the new folder is removed and whatever was at `target` is untouched. The
    folder lies beside the target, so that the final rename stays on one file system.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.writing")
    old = target.with_name(f".{target.name}.old")
    if old.exists() and not target.exists():
        # Killed between the two renames below: what is called old is the only one there is.
        old.rename(target)
    for leftover in (fresh, old):
        if leftover.exists():
            shutil.rmtree(leftover)
    fresh.mkdir()
    try:
        yield fresh
        if target.exists():
            target.rename(old)
        fresh.rename(target)
    except BaseException:
        if old.exists() and not target.exists():
            old.rename(target)
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


def strangers(folder: Path, own: Iterable[str]) -> list[str]:
    """Files below a folder that are not among `own`, relative and sorted.

    Args:
        folder: Where to look.
        own: Relative paths, with `/`, of the files that are expected.
    """
    expected = set(own)
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in found if path not in expected)


def target_folder(out: Path | str) -> Path:
    """The folder that `out` means, links followed, fit to be replaced as a whole.

    Raises:
        SaereportError: It is the working directory, or holds it.
    """
    path, here = Path(out).resolve(), Path.cwd().resolve()
    if path == here or path in here.parents:
        raise SaereportError(
            f"'{out}' is the folder you are in, or holds it; it cannot be replaced.",
            "Name a folder inside it, such as 'report'.",
        )
    return path


def require_folder(path: Path, what: str) -> Path:
    """`path` if it is a folder.

    Raises:
        SaereportError: It does not exist or is a file.
    """
    if not path.exists():
        raise SaereportError(f"There is no {what} at '{path}'.")
    if not path.is_dir():
        raise SaereportError(f"'{path}' is a file; the {what} is a folder.")
    return path
