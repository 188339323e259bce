"""Writing files so that a reader never sees half of one, and hashing them."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from saereport.util.errors import SaereportError, UsageError
from saereport.util.locks import covering, locked, placed, temporary
from saereport.util.replacing import (
    recover,
    remove_tree,
    require_replaceable,
    swap,
    told_when_full,
)


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


def json_digest(value: Any) -> str:
    """SHA-256 of a value as `canonical_json`, as 64 hexadecimal digits."""
    text = canonical_json(value, indent=None)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def write_atomically(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write a file under a temporary name and rename it into place, one writer at a time.

    Args:
        path: The file.
        data: What it is to hold, in one piece or in several.

    Raises:
        SaereportError: Someone else is writing it, or the disk is full; an older file stays as it
            was.
        OSError: The folder cannot be written; an older file stays as it was.
    """
    with locked(path), told_when_full(path):
        recover(path)
        fresh = temporary(path, "new")
        try:
            with fresh.open("xb") as stream:
                stream.writelines([data] if isinstance(data, bytes) else data)
                stream.flush()
                os.fsync(stream.fileno())
            fresh.replace(path)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file another name, or copy it with its times where the file system has no such thing.

    For files that are replaced and never changed in place.

    Raises:
        OSError: There is a file at the target, the source is not there, or the disk is full.
    """
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        shutil.copy2(source, target)


@contextmanager
def reserved(
    target: Path, check: Callable[[Path], None] | None = None, *, room: int = 0
) -> Iterator[None]:
    """Hold an output, and see that it can be replaced, before anything is computed for it.

    Args:
        target: A folder or a file.
        check: Raises where something else is there, so that nothing of the user's is lost.
        room: Bytes that it will have at least.

    Raises:
        SaereportError: Someone else is writing it, something else is there, or it could not be put
            into its place.
    """
    require_replaceable(target, room=room)
    with locked(target):
        recover(target)
        if check is not None:
            check(target)
        yield


@contextmanager
def folder_in_place_of(
    target: Path, check: Callable[[Path], None] | None = None, *, room: int = 0
) -> Iterator[Path]:
    """A new empty folder that takes the place of `target` if the block ends well.

    If the block raises, the new folder is removed and whatever was at `target` is untouched. The
    folder lies beside the target, so that the exchange stays on one file system. Arguments and
    errors as for `reserved`; what is at the target is checked again before it is replaced, since
    someone may have put something there in the meantime.
    """
    with reserved(target, check, room=room), told_when_full(target):
        fresh = temporary(target, "new")
        fresh.mkdir()
        try:
            with covering(placed(fresh)):
                yield fresh
            if check is not None:
                check(target)
            swap(fresh, target)
        except BaseException:
            remove_tree(fresh)
            raise


def strangers(folder: Path, own: Iterable[str]) -> list[str]:
    """What lies below a folder and is not among `own`, relative and sorted; no link is followed.

    Links and pipes count too: all of it would be lost with the folder.

    Args:
        folder: Where to look.
        own: Relative paths, with `/`, of the files that are expected.
    """
    expected = set(own)
    return sorted(path for path in _below(folder, "") if path not in expected)


def _below(folder: Path, prefix: str) -> Iterator[str]:
    with os.scandir(folder) as scanned:
        entries = sorted(scanned, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _below(Path(entry.path), f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name


def real_path(out: Path | str) -> Path:
    """Where an output really lies, links followed.

    Raises:
        SaereportError: It is a link that leads to itself, or no path at all.
    """
    try:
        path = Path(out).resolve()
        if path.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    except (OSError, RuntimeError, ValueError) as error:
        # Older versions of Python raise RuntimeError for a loop.
        known = isinstance(error, OSError) and error.errno != errno.ELOOP
        reason = getattr(error, "strerror", None) if known else None
        loop = "it is a link that leads back to itself"
        reason = reason or ("it is not a path" if isinstance(error, ValueError) else loop)
        raise SaereportError(f"'{out}' cannot be written: {reason}.", "Name another.") from error
    return path


def target_folder(out: Path | str) -> Path:
    """The folder that `out` means, links followed, fit to be replaced as a whole.

    Raises:
        SaereportError: It is the working directory, or holds it; or a link that leads nowhere.
    """
    path, here = real_path(out), Path.cwd().resolve()
    if path == here or path in here.parents:
        raise SaereportError(
            f"'{out}' is the folder you are in, or holds it; it cannot be replaced.",
            "Name a folder inside it, such as 'report'.",
        )
    return path


def require_apart(target: Path, sources: Iterable[Path | str]) -> None:
    """Refuse an output that lies inside of what is read, which it would become a part of.

    Raises:
        UsageError: It does.
    """
    place = real_path(target)
    for source in sources:
        if os.path.isdir(source) and Path(source).resolve() in place.parents:
            raise UsageError(
                f"'{target}' lies in '{source}', which is read.", "Write it somewhere else."
            )


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
