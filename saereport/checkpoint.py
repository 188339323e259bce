"""Work that survives an interruption: the state of a collection on disk.

A checkpoint is one `.npz` file (numpy arrays, never pickled) that is replaced as a whole. It
carries the fingerprint of everything that the numbers depend on; a checkpoint of other work is
not an error, it is simply not used.
"""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from saereport.run.files import write_atomically

FILE = "checkpoint.npz"
FINGERPRINT = "fingerprint"

Arrays = dict[str, np.ndarray]


@dataclass
class Checkpoint:
    """The place where a collection keeps its state.

    Attributes:
        folder: Folder of its own; removed by `discard`.
        fingerprint: Identity of the work.
        every: Seconds between saves.
        clock: Source of the time, replaceable in tests.
    """

    folder: Path
    fingerprint: str
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
                return {name: saved[name] for name in saved.files if name != FINGERPRINT}
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError):
            return None

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
        named = {FINGERPRINT: np.array(self.fingerprint), **arrays}
        np.savez(buffer, allow_pickle=False, **named)
        write_atomically(self.path, buffer.getvalue())
        self._last = self.clock()

    def discard(self) -> None:
        """Remove the saved state."""
        self.path.unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()
