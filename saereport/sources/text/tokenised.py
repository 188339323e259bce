"""A text's sequences on disk: tokenised once, and read from there as often as needed.

They are in a folder named after the identity of everything that they depend on, which moves into
place when it is whole: what is there is complete, and what is of another text is never found.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from saereport.sources.text.packing import Packed
from saereport.sources.text.tally import Tally
from saereport.util.files import folder_in_place_of, json_digest, sha256_of, write_atomically

FILE_TOKENS = 2**22
"""Tokens of one file, unless a sequence has more."""

PREFIX = "tokens-"
_ABOUT = "text.json"
_COLUMNS = {"tokens": np.int32, "counted": np.bool_, "documents": np.int32}
_DAMAGED = (OSError, ValueError, KeyError, TypeError, RecursionError, EOFError)


@dataclass(frozen=True, eq=False)
class Tokenised:
    """Sequences that are on disk.

    Attributes:
        path: Their folder.
        context_size: Tokens in a sequence.
        sequences: How many there are.
        each: How many a file holds; the last may hold fewer.
        tally: What became of the documents.
    """

    path: Path
    context_size: int
    sequences: int
    each: int
    tally: Tally

    @property
    def tokens(self) -> int:
        """Tokens of all sequences."""
        return self.sequences * self.context_size

    def packed(self, first: int = 0, stop: int | None = None, *, batch: int) -> Iterator[Packed]:
        """The sequences `first` to `stop` (exclusive), `batch` of them at a time.

        Raises:
            OSError: They cannot be read.
        """
        end = self.sequences if stop is None else min(stop, self.sequences)
        for start in range(first, end, batch):
            rows = self._rows(start, min(start + batch, end))
            yield Packed(start, rows["tokens"], rows["counted"], rows["documents"])

    def _rows(self, start: int, stop: int) -> dict[str, npt.NDArray[Any]]:
        """Some sequences in memory, from one file or across several."""
        found: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in _COLUMNS}
        for number in range(start // self.each, -(-stop // self.each)):
            low, high = max(start - number * self.each, 0), stop - number * self.each
            for name, parts in found.items():
                mapped = np.load(self.path / _file(name, number), mmap_mode="r", allow_pickle=False)
                parts.append(np.array(mapped[low:high]))
        return {name: np.concatenate(parts) for name, parts in found.items()}


class TokenStore:
    """Where a text's sequences are kept.

    Args:
        folder: Folder that holds them; it may hold those of other texts.
        identity: Everything that they depend on, as JSON.
        shared: Folder on the same disk where several processes find them; one that makes them
            moves them there. None where there are no others.
    """

    def __init__(
        self, folder: Path, identity: Mapping[str, Any], shared: Path | None = None
    ) -> None:
        self.folder = folder
        self.identity = dict(identity)
        self.shared = shared
        self._found: Tokenised | None = None

    @property
    def path(self) -> Path:
        """The folder of this text's sequences."""
        return self.folder / self._name

    @property
    def _name(self) -> str:
        return f"{PREFIX}{json_digest(self.identity)[:32]}"

    def load(self) -> Tokenised | None:
        """The sequences; None where they are not there, or damaged."""
        if self._found is None:
            self._found = self._whole(self.path)
        if self._found is None and self.shared is not None:
            self._found = self._whole(self.shared / self._name)
        return self._found

    def _whole(self, path: Path) -> Tokenised | None:
        try:
            about = json.loads((path / _ABOUT).read_bytes())
            whole = about["identity"] == self.identity and all(
                sha256_of(path / name) == digest for name, digest in about["files"].items()
            )
            return _described(path, about) if whole else None
        except _DAMAGED:
            return None

    def write(self, packed: Iterable[Packed], context_size: int, tally: Tally) -> Tokenised:
        """Keep the sequences of a text from its beginning to its end.

        Args:
            packed: They, in order.
            context_size: Tokens in one.
            tally: What becomes of the documents, filled while they are read.

        Raises:
            SaereportError: The text cannot be read, or the disk is full; nothing is left of it.
        """
        each = max(1, FILE_TOKENS // context_size)
        with folder_in_place_of(self.path) as fresh:
            files: dict[str, str] = {}
            sequences = 0
            for number, rows in enumerate(_in_files(packed, each)):
                sequences += len(rows["tokens"])
                for name, kind in _COLUMNS.items():
                    place = fresh / _file(name, number)
                    np.save(place, rows[name].astype(kind, copy=False), allow_pickle=False)
                    files[place.name] = sha256_of(place)
            about = {
                "identity": self.identity,
                "context_size": context_size,
                "sequences": sequences,
                "each": each,
                "tally": asdict(tally),
                "files": files,
            }
            write_atomically(fresh / _ABOUT, json.dumps(about).encode())
        self._found = Tokenised(self._moved(), context_size, sequences, each, tally)
        return self._found

    def _moved(self) -> Path:
        """Where they are in the end: among the shared ones, unless another was faster."""
        if self.shared is not None:
            with contextlib.suppress(OSError):
                self.shared.mkdir(parents=True, exist_ok=True)
                return self.path.rename(self.shared / self._name)
        return self.path

    def forget_others(self) -> None:
        """Remove the sequences of other texts; for who holds the folder alone."""
        for other in self.folder.glob(f"{PREFIX}*"):
            if other != self.path:
                shutil.rmtree(other, ignore_errors=True)


def _file(name: str, number: int) -> str:
    return f"{name}-{number:05d}.npy"


def _described(path: Path, about: Mapping[str, Any]) -> Tokenised:
    tally = {one.name: about["tally"][one.name] for one in fields(Tally)}
    tally["runs"] = {int(token): rows for token, rows in tally["runs"].items()}
    return Tokenised(path, about["context_size"], about["sequences"], about["each"], Tally(**tally))


def _in_files(packed: Iterable[Packed], each: int) -> Iterator[dict[str, npt.NDArray[Any]]]:
    """The sequences, `each` of them at a time."""
    waiting: list[Packed] = []
    n = 0

    def joined(rows: list[Packed]) -> dict[str, npt.NDArray[Any]]:
        return {name: np.concatenate([getattr(one, name) for one in rows]) for name in _COLUMNS}

    for batch in packed:
        rest = batch
        while n + len(rest) >= each:
            cut = each - n
            yield joined([*waiting, rest.part(0, cut)])
            rest, waiting, n = rest.part(cut, len(rest)), [], 0
        if len(rest):
            waiting.append(rest)
            n += len(rest)
    if waiting:
        yield joined(waiting)
