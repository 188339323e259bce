"""Files inside a folder of unknown origin: opened without following a link at any level.

A report or a run may come from anyone. A link in it, to a file or to a folder, may lead to
anything on the reader's machine, so none is followed, wherever it leads; a pipe or a device would
be waited for, so only ordinary files are opened. Where the system can, every step is taken from
the folder that the step before opened, so nothing can be exchanged between the look and the read.
The folder itself is what the user named: a link there is the user's own.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from saereport.util.errors import SaereportError
from saereport.util.slugs import is_device
from saereport.util.visible import visible_text

_PIECE = 2**20
_SAFE = re.compile(r"[^\x00-\x1f\x7f\\:*?\"<>|]+")
"""Characters of one name that mean nothing to any file system, on Windows neither."""
_STEPS = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")


def check_paths(paths: Iterable[str], where: str) -> tuple[str, ...]:
    """The paths that a manifest lists, if each can only mean a file of its own below one folder.

    Args:
        paths: Relative paths, with `/`.
        where: What lists them, for the message.

    Raises:
        SaereportError: One leaves the folder on some system, or two would be one file on some.
    """
    found = tuple(paths)
    taken: set[str] = set()
    for path in found:
        if not is_relative(path):
            raise SaereportError(
                f"{where} lists a file outside of it, '{visible_text(path[:80])}'.",
                "Do not use it.",
            )
        if path.casefold() in taken:
            raise SaereportError(
                f"{where} lists '{visible_text(path[:80])}' twice, or in two spellings."
            )
        taken.add(path.casefold())
    for path in taken:
        above = path.rpartition("/")[0]
        while above:
            if above in taken:
                name = visible_text(above[:80])
                raise SaereportError(f"{where} lists '{name}' as a file and as a folder.")
            above = above.rpartition("/")[0]
    return found


def is_relative(path: str) -> bool:
    """Whether a path with `/` can only mean something below a folder, on every system."""
    return all(
        _SAFE.fullmatch(name) and name.strip(". ") and name[-1] not in ". " and not is_device(name)
        for name in path.split("/")
    )


def open_inside(folder: Path, relative: str) -> BinaryIO:
    """Open an ordinary file below a folder.

    Args:
        folder: As the user named it.
        relative: A path with `/`.

    Raises:
        SaereportError: The path leaves the folder, or there is a link on the way or something
            that is no file.
        FileNotFoundError: It is not there.
        OSError: It cannot be read.
    """
    if not is_relative(relative):
        raise SaereportError(f"'{visible_text(relative[:80])}' is no path below '{folder}'.")
    try:
        descriptor = _descend(folder, relative.split("/"))
    except OSError as error:
        # A link where a folder should be is told as one of two errors, by system.
        if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENOTDIR, errno.ENXIO):
            raise _not_plain(folder, relative) from error
        error.filename = str(folder / relative)
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _not_plain(folder, relative)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _descend(folder: Path, names: list[str]) -> int:
    flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
    flags |= getattr(os, "O_BINARY", 0)
    if not _STEPS:
        path = folder
        for name in names:
            path = path / name
            if path.is_symlink() or _is_junction(path):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        return os.open(path, flags)
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for name in names[:-1]:
        try:
            below = os.open(name, flags | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
        finally:
            os.close(at)
        at = below
    try:
        return os.open(names[-1], flags | os.O_NOFOLLOW, dir_fd=at)
    finally:
        os.close(at)


def _is_junction(path: Path) -> bool:
    """Windows's second kind of link to a folder."""
    try:
        tag = getattr(path.lstat(), "st_reparse_tag", 0)
    except OSError:
        return False
    return bool(tag and tag == getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", -1))


def _not_plain(folder: Path, relative: str) -> SaereportError:
    path = folder
    for name in relative.split("/"):
        path = path / name
        if path.is_symlink() or _is_junction(path):
            return SaereportError(
                f"'{path}' is a link, which is not followed.",
                "Put the file or the folder itself there.",
            )
    return SaereportError(f"'{folder / relative}' is not a file that can be read.")


def plain_path(folder: Path, relative: str) -> Path:
    """The path of an ordinary file below a folder, for readers that need one.

    Raises:
        SaereportError, OSError: As for `open_inside`.
    """
    open_inside(folder, relative).close()
    return folder / relative


def holds(folder: Path, relative: str) -> bool:
    """Whether an ordinary file lies there, with no link on the way."""
    try:
        open_inside(folder, relative).close()
    except (SaereportError, OSError):
        return False
    return True


def read_inside(folder: Path, relative: str, *, limit: int | None = None) -> bytes:
    """The content of a file below a folder.

    Args:
        folder: As the user named it.
        relative: A path with `/`.
        limit: Bytes at most; None for any number.

    Raises:
        SaereportError, OSError: As for `open_inside`; or it is larger.
    """
    with open_inside(folder, relative) as stream:
        data = stream.read() if limit is None else stream.read(limit + 1)
    if limit is not None and len(data) > limit:
        raise SaereportError(f"'{folder / relative}' is larger than {limit // 2**20:,} MiB.")
    return data


def sha256_inside(folder: Path, relative: str) -> str:
    """SHA-256 of a file below a folder. Errors as for `open_inside`."""
    digest = hashlib.sha256()
    with open_inside(folder, relative) as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def copy_inside(folder: Path, relative: str, target: Path, *, size: int, sha256: str) -> bool:
    """Copy a file below a folder, if it is the one that is expected.

    Args:
        folder: As the user named it.
        relative: A path with `/`.
        target: The new file; folders above it are made.
        size: Bytes that it must have.
        sha256: Its digest.

    Returns:
        Whether it was that file; if not, what is at `target` must not be used.

    Raises:
        SaereportError, OSError: As for `open_inside`.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, missing = hashlib.sha256(), size
    with open_inside(folder, relative) as source, target.open("xb") as copy:
        while piece := source.read(min(_PIECE, missing + 1)):
            if len(piece) > missing:
                return False
            missing -= len(piece)
            digest.update(piece)
            copy.write(piece)
    return not missing and digest.hexdigest() == sha256


def files_below(folder: Path, prefix: str = "") -> Iterator[str]:
    """Every ordinary file below a folder, relative and sorted; links are passed over."""
    with os.scandir(folder) as scanned:
        entries = sorted(scanned, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from files_below(Path(entry.path), f"{prefix}{entry.name}/")
        elif entry.is_file(follow_symlinks=False):
            yield prefix + entry.name
