"""Put a new folder in the place of an older one, at once and without a gap.

Where the system can exchange two names in one step (Linux `renameat2`, macOS `renamex_np`) there
is a whole report at the place at every instant. Elsewhere it takes two renames, and what a kill
between them leaves is put back by the next writer. All names in the making are saereport's own
(see `locks.beside`) and used under the lock alone, so what is left of them is nobody's.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from saereport.util.errors import SaereportError
from saereport.util.locks import beside, temporary, unwritable

LEAST_ROOM = 16 * 2**20
"""Free bytes without which no run or report is begun."""
_FULL = {errno.ENOSPC, errno.EDQUOT}
_AT_FDCWD = -100
_EXCHANGE = 2


def swap(fresh: Path, target: Path) -> None:
    """Let `fresh` take the place of `target`; what was there is gone afterwards.

    Raises:
        OSError: The system refuses; then what was at `target` is there still.
    """
    if not os.path.lexists(target):
        fresh.rename(target)
        return
    if exchange(fresh, target):
        remove_tree(fresh)
        return
    old = temporary(target, "old")
    target.rename(old)
    try:
        fresh.rename(target)
    except BaseException:
        old.rename(target)
        raise
    remove_tree(old)


def exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where the system or the file system cannot.

    Raises:
        OSError: It could, and refuses.
    """
    call = _exchanger()
    if call is None or call(os.fsencode(one), os.fsencode(other)) == 0:
        return call is not None
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM, errno.EXDEV):
        return False
    raise OSError(code, os.strerror(code), str(one), None, str(other))


@cache
def _exchanger() -> Any:
    """A function of two names as bytes, or None."""
    if sys.platform not in ("linux", "darwin"):
        return None
    library = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "linux" and hasattr(library, "renameat2"):
        renameat2 = library.renameat2
        renameat2.argtypes = [
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_uint,
        ]
        return lambda one, other: renameat2(_AT_FDCWD, one, _AT_FDCWD, other, _EXCHANGE)
    if sys.platform == "darwin" and hasattr(library, "renamex_np"):
        renamex_np = library.renamex_np
        renamex_np.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint]
        return lambda one, other: renamex_np(one, other, _EXCHANGE)
    return None


def recover(target: Path) -> None:
    """Put back what a kill between two renames left, and remove what else is in the making.

    To be called under the target's lock: then nobody else is making anything of these names.
    """
    if not target.parent.is_dir():
        return
    left = _leftovers(target)
    if not os.path.lexists(target):
        old = [path for path in left if path.name.endswith(".old")]
        if old:
            newest = max(old, key=lambda path: path.lstat().st_mtime_ns)
            newest.rename(target)
            left.remove(newest)
    for path in left:
        remove_tree(path)


def _leftovers(target: Path) -> list[Path]:
    start = beside(target, "").name
    with os.scandir(target.parent) as entries:
        names = sorted(entry.name for entry in entries if entry.name.startswith(start))
    return [target.with_name(name) for name in names if name.endswith((".new", ".old"))]


def remove_tree(path: Path) -> None:
    """Remove a folder or a file of our own, folders in it that are not to be written included.

    What cannot be removed stays; it is in nobody's way and goes with the next write.
    """
    if not path.is_dir() or path.is_symlink():
        with contextlib.suppress(OSError):
            path.unlink()
        return
    try:
        shutil.rmtree(path)
    except OSError:
        _open_up(path)
        shutil.rmtree(path, ignore_errors=True)


def _open_up(folder: Path) -> None:
    with contextlib.suppress(OSError):
        mode = folder.lstat().st_mode
        if mode & stat.S_IRWXU != stat.S_IRWXU:
            folder.chmod(stat.S_IMODE(mode) | stat.S_IRWXU)
        with os.scandir(folder) as entries:
            below = [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
        for path in below:
            _open_up(path)


def require_replaceable(target: Path, *, room: int = 0) -> None:
    """Refuse an output that could not be put into its place, before anything is computed for it.

    Args:
        target: The output.
        room: Bytes that it will have at least.

    Raises:
        SaereportError: The folder above cannot be written, what is there cannot be removed or is
            the root of a file system, or the disk has no room.
    """
    above = next(path for path in target.parents if os.path.lexists(path))
    if not above.is_dir():
        raise SaereportError(f"'{target}' cannot be written: '{above}' is a file.")
    if not _may_change(above):
        error = OSError(errno.EACCES, os.strerror(errno.EACCES))
        raise unwritable(above, error)
    free = shutil.disk_usage(above).free
    if free < max(room, LEAST_ROOM):
        raise SaereportError(
            f"The disk that holds '{above}' has {_mib(free)} left, and '{target.name}' needs "
            f"{_mib(max(room, LEAST_ROOM))} at least.",
            "Make room, or give --out another place.",
        )
    if target.is_dir():
        _require_removable(target, above)


def _require_removable(target: Path, above: Path) -> None:
    if os.path.ismount(target):
        raise SaereportError(
            f"'{target}' is the root of a file system and cannot be replaced.",
            f"Name a folder in it, such as '{target / 'report'}'.",
        )
    mine = _is_mine(target) or _is_mine(above)
    if above.stat().st_mode & stat.S_ISVTX and not mine:
        raise _not_removable(target)
    for folder in _folders(target):
        if not _may_change(folder) and not _is_mine(folder):
            raise _not_removable(folder)


def _not_removable(path: Path) -> SaereportError:
    return SaereportError(
        f"'{path}' belongs to someone else and cannot be replaced.", "Name a new folder."
    )


def _folders(folder: Path) -> Iterator[Path]:
    yield folder
    try:
        with os.scandir(folder) as entries:
            below = [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return
    for path in below:
        yield from _folders(path)


def _may_change(folder: Path) -> bool:
    if os.access in os.supports_effective_ids:
        return os.access(folder, os.W_OK | os.X_OK, effective_ids=True)
    return os.access(folder, os.W_OK | os.X_OK)


def _is_mine(path: Path) -> bool:
    return not hasattr(os, "geteuid") or os.geteuid() in (0, path.stat().st_uid)


@contextmanager
def told_when_full(target: Path) -> Iterator[None]:
    """Say which disk is full where one is, for an output that is being written.

    What the system names is at times the file that was read from, and at times none.

    Raises:
        SaereportError: A disk is full; names the output and the disk.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise _full(target, error) from error


def _full(target: Path, error: OSError) -> SaereportError:
    places = {target.parent: None, Path(tempfile.gettempdir()): None}
    for name in (error.filename, error.filename2):
        if isinstance(name, str | bytes):
            places[Path(os.fsdecode(name)).absolute().parent] = None
    free = {path: shutil.disk_usage(path).free for path in places if path.is_dir()}
    fullest = min(free, key=lambda path: (free[path], path != target.parent))
    if error.errno == errno.EDQUOT or free[fullest] >= free.get(target.parent, 0):
        fullest = target.parent
    hint = "Make room and give the same command again; what was there before is as it was."
    if fullest != target.parent:
        hint = "Make room there, or set TMPDIR to another folder."
    disk = f"disk that holds '{fullest}'"
    said = f"The quota on the {disk} is used up" if error.errno == errno.EDQUOT else ""
    said = said or f"The {disk} is full ({_mib(free.get(fullest, 0))} left)"
    return SaereportError(f"{said}; '{target}' could not be written.", hint)


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
