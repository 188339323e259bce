"""Activations on disk: blocks of sequences, each found by what it was computed from.

A cache is a folder. In it each model and hook point has a folder of its own, named by the digest
of everything that its activations depend on; a sequence is found in there by the digest of its
tokens. So nothing is found that was computed from anything else, whatever a text was called. What
is found is checked against its own digest: a file that was cut short or changed counts as absent.

Files are written under another name and renamed, so that several processes can use one cache at
once; two that compute the same write the same file. Nothing here imports torch.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from saereport.util.errors import SaereportError
from saereport.util.files import json_digest
from saereport.util.replacing import remove_tree

FORMAT = "saereport-activations"
VERSION = 1
MARKER = "saereport-cache.json"
ABOUT = "about.json"
BLOCK = ".rows"
SPARE = 2**30
"""Free bytes of the disk that a cache leaves to the build itself."""
_FOLDER = re.compile(r"[0-9a-f]{32}")
_HEADER_BYTES = 2**26
_PAUSE = 5.0
"""Seconds between looks at what other processes have written."""
_DAMAGED = (OSError, ValueError, KeyError, TypeError, RecursionError)


@dataclass(frozen=True)
class Row:
    """Where the activations of a sequence lie.

    Attributes:
        path: The file.
        offset: Where in it they begin.
        size: How many bytes they have.
        digest: SHA-256 of these.
        shape: Tokens, and width of the hook point.
        dtype: Number type, as torch calls it.
    """

    path: Path
    offset: int
    size: int
    digest: str
    shape: tuple[int, int]
    dtype: str


@dataclass
class Store:
    """A cache that is in use.

    Attributes:
        folder: Its folder.
        limit: Bytes that it may have.
        say: Takes what the user must know.
        stopped: Whether nothing is stored any more: it is full, or cannot be written.
        clock: Source of the time.
    """

    folder: Path
    limit: int
    say: Callable[[str], None]
    stopped: bool = False
    clock: Callable[[], float] = time.monotonic
    _size: int = 0
    _measured: float | None = None

    def place(self, identity: Mapping[str, Any], about: Mapping[str, str]) -> HookRows:
        """The activations of one model at one hook point.

        Args:
            identity: Everything that they depend on but the tokens; JSON.
            about: What `saereport cache` says of them.
        """
        digest = json_digest({"format": VERSION, **identity})
        return HookRows(self, self.folder / digest[:32], dict(about))

    def room_for(self, size: int) -> bool:
        """Whether as many bytes may be added; where they may not, that is said once."""
        if self.stopped:
            return False
        now = self.clock()
        if self._measured is None or now - self._measured >= _PAUSE:
            self._size, self._measured = sum(_sizes(self.folder)), now
        if self._size + size > self.limit:
            self.stop(f"has reached its size of {spoken_bytes(self.limit)}")
        elif shutil.disk_usage(_existing(self.folder)).free - size < SPARE:
            self.stop(f"is on a disk with less than {spoken_bytes(SPARE)} left")
        else:
            self._size += size
        return not self.stopped

    def stop(self, why: str) -> None:
        """Store nothing from here on, and say why; what is there is still used."""
        if not self.stopped:
            self.stopped = True
            self.say(
                f"The activations cache '{self.folder}' {why}: nothing more is kept. "
                f"'saereport cache {self.folder} --clear' empties it."
            )


@dataclass
class HookRows:
    """The activations of one model at one hook point.

    Attributes:
        store: The cache.
        folder: Its folder there.
        about: What `saereport cache` says of it.
    """

    store: Store
    folder: Path
    about: dict[str, str]
    _rows: dict[str, Row] = field(default_factory=dict)
    _files: set[str] = field(default_factory=set)
    _used: set[Path] = field(default_factory=set)
    _looked: float | None = None

    def find(self, keys: Sequence[str]) -> list[Row] | None:
        """Where the activations of some sequences lie; None unless those of all of them do."""
        if any(key not in self._rows for key in keys):
            self._look()
        found = [self._rows[key] for key in keys if key in self._rows]
        return found if len(found) == len(keys) else None

    def read(self, rows: Sequence[Row], into: Sequence[memoryview]) -> bool:
        """Read activations.

        Args:
            rows: Where they lie, all of one size.
            into: For each of them as many bytes.

        Returns:
            False where some cannot be read or are damaged: they are not found any more.
        """
        opened: dict[Path, Any] = {}
        with contextlib.ExitStack() as stack:
            for number, row in enumerate(rows):
                try:
                    if row.path not in opened:
                        opened[row.path] = stack.enter_context(row.path.open("rb", buffering=0))
                    whole = _read_at(opened[row.path], row, into[number])
                except OSError:
                    whole = False
                if not whole:
                    self._drop(row.path)
                    return False
        for path in opened.keys() - self._used:
            self._used.add(path)
            # When it was last used is the time of the file.
            with contextlib.suppress(OSError):
                os.utime(path)
        return True

    def add(
        self, activations: Mapping[str, bytes], shape: tuple[int, int], dtype: str, text: str
    ) -> None:
        """Store what is not there yet; where that cannot be, it is said and nothing else happens.

        Args:
            activations: Of each sequence, by its key; all of one size.
            shape: Tokens, and width of the hook point.
            dtype: Their number type.
            text: What the text is called.
        """
        fresh = {key: data for key, data in activations.items() if key not in self._rows}
        if not fresh:
            return
        listed = [[key, hashlib.sha256(data).hexdigest()] for key, data in fresh.items()]
        record = {
            "format": FORMAT,
            "version": VERSION,
            "text": text,
            "shape": list(shape),
            "dtype": dtype,
            "rows": listed,
        }
        body = json.dumps(record).encode()
        head = hashlib.sha256(body).hexdigest().encode() + b" " + body + b"\n"
        if not self.store.room_for(len(head) + sum(map(len, fresh.values()))):
            return
        name = hashlib.sha256("".join(fresh).encode()).hexdigest()[:32] + BLOCK
        try:
            self._begin()
            _write(self.folder / name, [head, *fresh.values()])
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            reason = "is on a full disk" if full else f"cannot be written ({error.strerror})"
            self.store.stop(reason)
            return
        self._take(name)

    def _begin(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for path, record in (
            (self.store.folder / MARKER, {"format": FORMAT, "version": VERSION}),
            (self.folder / ABOUT, self.about),
        ):
            if not path.exists():
                _write(path, [json.dumps(record).encode()])

    def _look(self) -> None:
        """Take in the files that came since the last look, those of other processes too."""
        now = self.store.clock()
        if self._looked is not None and now - self._looked < _PAUSE:
            return
        self._looked = now
        for name in sorted(_names(self.folder)):
            if name.endswith(BLOCK) and name not in self._files:
                self._take(name)

    def _take(self, name: str) -> None:
        self._files.add(name)
        try:
            _, rows = _header(self.folder / name)
        except _DAMAGED:
            self._drop(self.folder / name)
            return
        for key, row in rows:
            self._rows.setdefault(key, row)

    def _drop(self, path: Path) -> None:
        """Find nothing in a file any more; what is damaged is removed, so that it is made anew."""
        self._rows = {key: row for key, row in self._rows.items() if row.path != path}
        self._files.discard(path.name)
        with contextlib.suppress(OSError):
            path.unlink()
            self.store.say(
                f"The file '{self.folder.name}/{path.name}' of the activations cache is damaged; "
                "what was in it is computed again"
            )


@dataclass(frozen=True)
class CachedText:
    """What a cache holds of one text at one hook point of one model.

    Attributes:
        model: The model's name, with its wrapper and number type.
        hook: The hook point.
        text: What the text was called.
        context: Tokens in a sequence.
        sequences: How many there are.
        bytes: Their size on disk.
        used: When they were last read or written, in seconds since 1970.
    """

    model: str
    hook: str
    text: str
    context: int
    sequences: int
    bytes: int
    used: float


def listed(folder: Path) -> list[CachedText]:
    """What a cache holds, the last used first; files that cannot be read are left out.

    Raises:
        SaereportError: There is no cache there.
    """
    require_cache(folder)
    found: dict[tuple[str, str, str, int], CachedText] = {}
    for place in _places(folder):
        try:
            about = json.loads((place / ABOUT).read_bytes())
            model, hook = str(about["model"]), str(about["hook"])
        except _DAMAGED:
            continue
        for name in sorted(_names(place)):
            if not name.endswith(BLOCK):
                continue
            try:
                record, rows = _header(place / name)
                state = (place / name).stat()
                key = (model, hook, str(record["text"]), int(record["shape"][0]))
            except _DAMAGED:
                continue
            old = found.get(key) or CachedText(*key, sequences=0, bytes=0, used=0.0)
            found[key] = CachedText(
                *key,
                sequences=old.sequences + len(rows),
                bytes=old.bytes + state.st_size,
                used=max(old.used, state.st_mtime),
            )
    return sorted(found.values(), key=lambda one: -one.used)


def clear(folder: Path) -> int:
    """Remove everything that a cache holds; returns how many bytes that were.

    Raises:
        SaereportError: There is no cache there.
    """
    require_cache(folder)
    before = sum(_sizes(folder))
    for place in _places(folder):
        remove_tree(place)
    return before - sum(_sizes(folder))


def require_cache(folder: Path) -> None:
    """Refuse a folder that is no cache.

    Raises:
        SaereportError: It is none, or is not there.
    """
    if not folder.is_dir():
        raise SaereportError(
            f"There is no activations cache at '{folder}'.",
            "'saereport build --activations-cache DIR' makes one.",
        )
    if any(folder.iterdir()) and not _is_cache(folder):
        raise SaereportError(f"'{folder}' is not an activations cache.", "Name the folder of one.")


def require_cache_or_nothing(folder: Path) -> None:
    """Refuse a folder that cannot become a cache.

    Raises:
        SaereportError: Something else is there, or it cannot be written.
    """
    if os.path.lexists(folder):
        if not folder.is_dir():
            raise SaereportError(
                f"The activations cache '{folder}' is a file.", "Name a folder for it."
            )
        if any(folder.iterdir()) and not _is_cache(folder):
            raise SaereportError(
                f"'{folder}' holds other files and is not an activations cache.",
                "Name a new or an empty folder for it.",
            )
    if not os.access(_existing(folder), os.W_OK | os.X_OK):
        raise SaereportError(
            f"The activations cache '{folder}' cannot be written.", "Name a folder of your own."
        )


def spoken_bytes(size: int) -> str:
    """A size for a reader: `12 kB`, `3.4 GB`."""
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"


def _is_cache(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / MARKER).read_bytes())["format"] == FORMAT)
    except _DAMAGED:
        return False


def _existing(folder: Path) -> Path:
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def _places(folder: Path) -> Iterator[Path]:
    for name in sorted(_names(folder)):
        path = folder / name
        if _FOLDER.fullmatch(name) and path.is_dir() and not path.is_symlink():
            yield path


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _sizes(folder: Path) -> Iterator[int]:
    for place in _places(folder):
        with contextlib.suppress(OSError), os.scandir(place) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    yield entry.stat(follow_symlinks=False).st_size


def _header(path: Path) -> tuple[dict[str, Any], list[tuple[str, Row]]]:
    """What a block says of itself, and where each of its sequences lies, by key.

    Raises:
        OSError: It cannot be read.
        ValueError: It is damaged, or of another version; a `KeyError` or `TypeError` likewise.
    """
    with path.open("rb") as stream:
        head = stream.readline(_HEADER_BYTES)
        size = os.fstat(stream.fileno()).st_size
    digest, _, body = head.rstrip(b"\n").partition(b" ")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise ValueError("the header is damaged")
    record = json.loads(body)
    if (record["format"], record["version"]) != (FORMAT, VERSION):
        raise ValueError("of another version")
    rows = record["rows"]
    each, rest = divmod(size - len(head), len(rows))
    if rest:
        raise ValueError("cut short")
    positions, width = record["shape"]
    return record, [
        (key, Row(path, len(head) + n * each, each, digest, (positions, width), record["dtype"]))
        for n, (key, digest) in enumerate(rows)
    ]


def _read_at(stream: Any, row: Row, into: memoryview) -> bool:
    stream.seek(row.offset)
    done = 0
    while done < row.size:
        n = stream.readinto(into[done:])
        if not n:
            return False
        done += n
    return hashlib.sha256(into).hexdigest() == row.digest


def _write(path: Path, parts: Sequence[bytes]) -> None:
    """Write a file at once. It is not flushed to the disk: one that is lost is made anew."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(6)}.new")
    try:
        with fresh.open("xb") as stream:
            stream.writelines(parts)
        fresh.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise
