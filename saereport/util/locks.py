"""One writer at a time for each output: a lock beside it that says who holds it.

The lock is a file beside the output on which the system keeps an advisory lock (`flock`, on
Windows `locking`), so it ends with the process that holds it, however that ends: a lock file that
a killed process left behind is simply taken over. Where a file system knows no locks, a file that
only one process can create takes its place, and one whose process is gone is told by its number
and the time at which that process began.

Locks are held by threads and may be taken again by the one that holds them, for the output itself
and for everything below it; so `build` holds its output from the first check to the last rename,
and what it calls on the way needs to know nothing of that.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import socket
import stat
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saereport.util.errors import SaereportError
from saereport.util.visible import visible_text

_LONGEST = 160
"""Bytes of an output's name that go into the names beside it; file systems end at 255."""
_RECORD_BYTES = 4096
_COMMAND = 160
_TRIES = 5
_PAUSE = 0.02
"""Seconds between tries: who only looks whether a lock is held, holds it for an instant."""
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}

_held: dict[Path, int] = {}
"""Outputs that are locked by this process, each with the thread that may write there."""
_guard = threading.Lock()


@dataclass(frozen=True)
class Holder:
    """Who holds a lock, as far as its file says."""

    pid: int = 0
    host: str = ""
    began: str = ""
    command: str = ""
    since: str = ""

    def __str__(self) -> str:
        if not self.pid:
            return "another process"
        said = f"process {self.pid}"
        if self.host and self.host != socket.gethostname():
            said += f" on {self.host}"
        if self.command:
            said += f" ({self.command})"
        return said + (f" since {self.since}" if self.since else "")


def beside(target: Path, kind: str) -> Path:
    """A name of saereport's own beside an output: no user's file is called so by chance."""
    name = target.name
    if len(os.fsencode(name)) > _LONGEST:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
    return target.with_name(f".{name}.saereport-{kind}")


def temporary(target: Path, kind: str) -> Path:
    """A new name beside an output, for what is in the making (`new`) or on its way out (`old`)."""
    return beside(target, f"{secrets.token_hex(6)}.{kind}")


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Hold an output for as long as the block lasts; folders above it are made if they are missing.

    Raises:
        SaereportError: Someone else holds it, or a folder that it lies in; or the folder above it
            cannot be written.
    """
    place = placed(target)
    if _is_ours(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        yield
        return
    with _parents(place.parent):
        for above in place.parents:
            if above.name and not _is_ours(above):
                _require_free(above)
        lock = _take(place)
        try:
            with covering(place):
                yield
        finally:
            lock.release()


@contextmanager
def all_locked(targets: Iterable[Path]) -> Iterator[None]:
    """Hold several outputs; in one order everywhere, so that no two wait for each other."""
    with ExitStack() as stack:
        for target in sorted({placed(target) for target in targets}):
            stack.enter_context(locked(target))
        yield


@contextmanager
def covering(place: Path) -> Iterator[None]:
    """Let this thread write below a path that nobody else knows, without a lock of its own."""
    with _guard:
        _held[place] = threading.get_ident()
    try:
        yield
    finally:
        with _guard:
            _held.pop(place, None)


def placed(target: Path) -> Path:
    """An output's path with every link above it followed, but not one at its own place."""
    return Path(os.path.realpath(target.parent)) / target.name


def _is_ours(place: Path) -> bool:
    thread = threading.get_ident()
    with _guard:
        return any(_held.get(path) == thread for path in (place, *place.parents))


@contextmanager
def _parents(folder: Path) -> Iterator[None]:
    """Make the folders that are missing, and remove them again if nothing came into them."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        yield
    finally:
        for path in missing:
            try:
                path.rmdir()
            except OSError:
                break


def unwritable(folder: Path, error: OSError) -> SaereportError:
    """What to say where nothing can be written."""
    reason = error.strerror or str(error)
    return SaereportError(
        f"Nothing can be written into '{folder}': {reason}.", "Give --out another place."
    )


class Busy(SaereportError):
    """Someone else holds an output."""


def _busy(place: Path, holder: Holder, hint: str = "") -> Busy:
    return Busy(
        f"'{place}' is being written by {holder}.",
        hint or "Wait until that has ended, or give --out another name.",
    )


class _Lock:
    """A lock that is held: by an open file, or by one that only we could create."""

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self._path, self._descriptor = path, descriptor

    def release(self) -> None:
        """Remove the file while it is still held, so that nobody takes one that is going."""
        with contextlib.suppress(OSError):
            self._path.unlink()
        if self._descriptor is not None:
            os.close(self._descriptor)
            # Windows does not remove a file that is open.
            if sys.platform == "win32":
                with contextlib.suppress(OSError):
                    self._path.unlink()


def _take(place: Path) -> _Lock:
    path = beside(place, "lock")
    for attempt in range(_TRIES):
        try:
            descriptor = os.open(path, _flags(os.O_RDWR | os.O_CREAT), 0o644)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EISDIR):
                raise SaereportError(f"'{path}' is in the way.", "Remove it.") from error
            raise unwritable(path.parent, error) from error
        got = _system_lock(descriptor)
        if got is None:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                path.unlink()
            return _take_by_name(place)
        if got and _is_at(descriptor, path):
            _write_record(descriptor)
            return _Lock(path, descriptor)
        holder = Holder() if got else _read(descriptor)
        os.close(descriptor)
        if not got:
            if attempt == _TRIES - 1:
                raise _busy(place, holder)
            time.sleep(_PAUSE)
    raise _busy(place, Holder())


def _require_free(place: Path) -> None:
    """Refuse to write below a folder that someone else is about to replace."""
    path = beside(place, "lock")
    try:
        descriptor = os.open(path, _flags(os.O_RDWR))
    except OSError:
        return
    try:
        if _system_lock(descriptor) is False:
            raise _busy(place, _read(descriptor))
    finally:
        os.close(descriptor)


def _flags(flags: int) -> int:
    for name in ("O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK", "O_BINARY"):
        flags |= getattr(os, name, 0)
    return flags


def _system_lock(descriptor: int) -> bool | None:
    """Lock an open file: whether it was free; None where the file system knows no locks."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, 2**30, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return None if error.errno in _NO_LOCKS else False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one of that name; its last holder may have removed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except OSError:
        return False


def _write_record(descriptor: int) -> None:
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.ftruncate(descriptor, 0)
    os.write(descriptor, json.dumps(_record()).encode())


def _record() -> dict[str, Any]:
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]) if sys.argv else ""
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "began": _began(os.getpid()),
        "command": command[:_COMMAND],
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


def _read(descriptor: int) -> Holder:
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return Holder()
        os.lseek(descriptor, 0, os.SEEK_SET)
        value = json.loads(os.read(descriptor, _RECORD_BYTES))
        words = {name: str(value[name])[:_COMMAND] for name in ("host", "began", "since")}
        command = visible_text(str(value["command"])[:_COMMAND])
        return Holder(pid=int(value["pid"]), command=command, **words)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return Holder()


def _take_by_name(place: Path) -> _Lock:
    """The lock where the file system has none: a file that only one process can create."""
    path = beside(place, "owner")
    for _ in range(_TRIES):
        try:
            descriptor = os.open(path, _flags(os.O_WRONLY | os.O_CREAT | os.O_EXCL), 0o644)
        except FileExistsError:
            holder = _holder_at(path)
            if holder is None:
                continue
            if not _is_gone(holder):
                hint = f"If no such process is running any more, remove '{path}'."
                raise _busy(place, holder, hint) from None
            _remove_stale(path, holder)
            continue
        _write_record(descriptor)
        os.close(descriptor)
        return _Lock(path, None)
    raise _busy(place, Holder())


def _holder_at(path: Path) -> Holder | None:
    try:
        descriptor = os.open(path, _flags(os.O_RDONLY))
    except OSError:
        return None
    try:
        return _read(descriptor)
    finally:
        os.close(descriptor)


def _remove_stale(path: Path, holder: Holder) -> None:
    """Remove the file of a process that is gone, unless another one has just put its own there."""
    aside = path.with_name(f"{path.name}-{secrets.token_hex(6)}")
    try:
        path.rename(aside)
    except OSError:
        return
    if _holder_at(aside) != holder:
        with contextlib.suppress(OSError):
            os.link(aside, path)
    with contextlib.suppress(OSError):
        aside.unlink()


def _is_gone(holder: Holder) -> bool:
    """Whether a process of this machine has ended; of another machine nobody here can tell."""
    if not holder.pid or holder.host != socket.gethostname() or sys.platform == "win32":
        return False
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return bool(holder.began) and _began(holder.pid) not in ("", holder.began)


def _began(pid: int) -> str:
    """When a process began, in the system's own ticks; empty where the system does not say."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 else ""
