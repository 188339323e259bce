"""Work that survives an interruption: the state of a collection on disk.

A checkpoint is one `.npz` file (numpy arrays, never pickled) that is replaced as a whole. It
carries the fingerprint of everything that the numbers depend on, and that itself; a checkpoint of
other work is not an error, it is simply not used, and what differs can be said.
"""

from __future__ import annotations

import io
import json
import shutil
import time
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from saereport.util.files import folder_in_place_of, sha256_of, write_atomically
from saereport.util.untrusted import UNREADABLE

FILE = "checkpoint.npz"
FINGERPRINT = "fingerprint"
IDENTITY = "identity"
_ABOUT = (FINGERPRINT, IDENTITY)
_DAMAGED = (OSError, ValueError, KeyError, TypeError, RecursionError, zipfile.BadZipFile, EOFError)
PARTS = "parts-"

Arrays = dict[str, np.ndarray]


@dataclass
class Checkpoint:
    """The place where a collection keeps its state.

    Attributes:
        folder: The folder; other things may lie there.
        fingerprint: Identity of the work.
        identity: What the fingerprint is of, kept beside it; nothing where that is not needed.
        every: Seconds between saves.
        clock: Source of the time, replaceable in tests.
    """

    folder: Path
    fingerprint: str
    identity: Mapping[str, Any] = field(default_factory=dict)
    every: float = 20.0
    clock: Callable[[], float] = time.monotonic
    _last: float = field(init=False)

    def __post_init__(self) -> None:
        self._last = self.clock()

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / FILE

    def load(self) -> Arrays | None:
        """The saved state, or None if there is none, it is of other work, or it is damaged."""
        try:
            with np.load(self.path, allow_pickle=False) as saved:
                if str(saved[FINGERPRINT]) != self.fingerprint:
                    return None
                return {name: saved[name] for name in saved.files if name not in _ABOUT}
        except _DAMAGED:
            return None

    def peek(self, name: str) -> np.ndarray | None:
        """One array of the saved state; None as for `load`, or where it has none of that name."""
        try:
            with np.load(self.path, allow_pickle=False) as saved:
                if str(saved[FINGERPRINT]) != self.fingerprint:
                    return None
                found: np.ndarray = saved[name]
                return found
        except _DAMAGED:
            return None

    def kept_identity(self) -> dict[str, Any] | None:
        """Of what the saved state is; None where it does not say so, or cannot be read."""
        try:
            with np.load(self.path, allow_pickle=False) as saved:
                found = json.loads(bytes(saved[IDENTITY]))
        except _DAMAGED:
            return None
        return found if isinstance(found, dict) else None

    @property
    def due(self) -> bool:
        """Whether it is time to save again."""
        return self.clock() - self._last >= self.every

    def save(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Replace the saved state.

        Raises:
            OSError: The disk is full; the previous state stays.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        text = json.dumps(dict(self.identity)).encode()
        about = {
            FINGERPRINT: np.array(self.fingerprint),
            IDENTITY: np.frombuffer(text, dtype=np.uint8),
        }
        named = {**about, **arrays}
        np.savez(buffer, allow_pickle=False, **named)
        write_atomically(self.path, buffer.getvalue())
        self._last = self.clock()


@dataclass(frozen=True)
class FinishedParts:
    """Tables of the parts of a collection that are finished, kept until the whole is.

    Each part is a folder of Parquet files that moves into place when all of them are written. The
    folder above it is named after the fingerprint; parts of other work are removed, not used.

    Attributes:
        folder: Where the work is kept; it may hold other things.
        fingerprint: Identity of the work.
    """

    folder: Path
    fingerprint: str

    @property
    def path(self) -> Path:
        """The folder of this work's parts."""
        return self.folder / f"{PARTS}{self.fingerprint[:32]}"

    def load(self, part: str) -> dict[str, pa.Table] | None:
        """A part's tables by name; None if it is not finished, or damaged."""
        place = self.path / part
        if not place.is_dir():
            return None
        try:
            return {file.stem: pq.read_table(file) for file in sorted(place.glob("*.parquet"))}
        except UNREADABLE:
            return None

    def save(self, part: str, tables: Mapping[str, pa.Table]) -> None:
        """Keep a part that is finished.

        Args:
            part: A name that can be a folder's.
            tables: Its tables.

        Raises:
            OSError: The disk is full; what was kept before stays.
        """
        self._forget_others()
        self.path.mkdir(parents=True, exist_ok=True)
        with folder_in_place_of(self.path / part) as fresh:
            for name, table in tables.items():
                pq.write_table(table, fresh / f"{name}.parquet")

    def keep_only(self, parts: Collection[str]) -> None:
        """Remove the parts that are none of these."""
        for other in self.path.glob("*"):
            if other.name not in parts:
                shutil.rmtree(other, ignore_errors=True)

    def _forget_others(self) -> None:
        for other in self.folder.glob(f"{PARTS}*"):
            if other != self.path:
                shutil.rmtree(other, ignore_errors=True)


@dataclass(frozen=True)
class FinishedStage:
    """The tables of a stage that is finished, kept when the build that they are of is not.

    Attributes:
        folder: The stage's own folder.
        fingerprint: Identity of its work; what was kept of other work is not used.
    """

    folder: Path
    fingerprint: str

    @property
    def _path(self) -> Path:
        return self.folder / "finished"

    def keep(self, tables: Mapping[tuple[str | None, str], Path], notes: Mapping[str, Any]) -> None:
        """Keep copies of the files of its tables.

        Args:
            tables: By SAE (None for the whole run) and name, Parquet files of a run.
            notes: What else it leaves, as JSON.

        Raises:
            OSError: The disk is full.
        """
        shutil.rmtree(self._path, ignore_errors=True)
        self._path.mkdir(parents=True)
        listed = []
        for number, ((slug, name), file) in enumerate(tables.items()):
            listed.append([slug, name, sha256_of(file)])
            shutil.copyfile(file, self._path / f"{number}.parquet")
        record = {"fingerprint": self.fingerprint, "tables": listed, "notes": dict(notes)}
        write_atomically(self._path / "stage.json", json.dumps(record).encode())

    def load(self) -> tuple[Iterator[tuple[str | None, str, pa.Table]], dict[str, Any]] | None:
        """The tables, read one after the other, and the notes; None if it is not finished."""
        try:
            record = json.loads((self._path / "stage.json").read_bytes())
            files = [self._path / f"{number}.parquet" for number in range(len(record["tables"]))]
            whole = record["fingerprint"] == self.fingerprint and all(
                sha256_of(file) == listed[2]
                for file, listed in zip(files, record["tables"], strict=True)
            )
        except _DAMAGED:
            return None
        if not whole:
            return None
        named = zip(record["tables"], files, strict=True)
        return ((slug, name, pq.read_table(file)) for (slug, name, _), file in named), record[
            "notes"
        ]
