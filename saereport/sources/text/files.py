"""Files and folders as text."""

from __future__ import annotations

import hashlib
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saereport.sources.text.documents import (
    Document,
    Kind,
    document,
    holds_something,
    kind_of,
    mask_column,
    of_kind,
    require_meant,
    words_of,
)
from saereport.sources.text.formats import FORMATS
from saereport.sources.text.formats.faults import holds_nul, not_utf8, system_faults
from saereport.sources.text.saved import DESCRIPTIONS, Saved, is_saved, saved_dataset
from saereport.sources.text.text import Placed, Text, choose_column, passed_over, require_one
from saereport.util.errors import SaereportError, did_you_mean

SUFFIXES = (".txt", *FORMATS)
"""The kinds of files that are read as text."""

OTHER_KINDS = (
    *(".json", ".feather", ".xml", ".html"),
    *(".gz", ".zst", ".xz", ".bz2", ".zip", ".tar", ".7z"),
)
"""Kinds of files that hold text too, or other files that do, and are not read."""


def open_files(
    paths: Sequence[Path], column: str | None, *, split: str = "train", hashed: bool = True
) -> Text:
    """Files, and folders of them, as one text.

    Args:
        paths: Files, folders of files, or one folder that `datasets.save_to_disk` wrote.
        column: The column that holds the text; None for the usual one.
        split: Split of such a folder.
        hashed: Whether to take the files' hashes, which are their provenance.

    Raises:
        SaereportError: There is none, or one is empty or cannot be read as text.
    """
    if len(paths) > 1:
        _require_no_saved(paths)
    saved = saved_dataset(paths[0], split) if len(paths) == 1 and is_saved(paths[0]) else None
    files = list(saved.files) if saved else [file for path in paths for file in _files_at(path)]
    if not files:
        raise SaereportError("No text was named.", "Give one with --dataset.")
    name = files[0].name if len(files) == 1 else ", ".join(p.name for p in paths)
    name = paths[0].resolve().name if saved else name
    columns = {file: found for file in files if (found := _Column.of(file, column)) is not None}
    kinds = {file: _kind_of(file, columns.get(file)) for file in files}
    for file, found in columns.items():
        if column is None and (kind := kinds[file]) is not None:
            require_meant(found.name, kind, file.name)
    held = {kind for kind in kinds.values() if kind is not None}
    if len(held) > 1:
        raise SaereportError(
            f"Some of the files hold {words_of(held).replace(' and ', ' and others ')}.",
            "Make a report of each kind.",
        )
    if not held:
        raise _nothing(name, [found for found in columns.values() if column is None])
    kind = held.pop()

    def read() -> Iterator[Placed]:
        for file in files:
            yield from _read_file(file, columns.get(file), kind)

    used = sorted({found.name for found in columns.values()})
    provenance: dict[str, Any] = {
        "kind": "files",
        "files": [{"name": file.name, "sha256": _hash_file(file)} for file in files if hashed],
        "column": used[0] if len(used) == 1 else None,
    }
    if saved:
        provenance |= {"folder": name, "split": saved.split}
    unread = tuple(found for path in paths if path.is_dir() for found in _not_read(path, saved))
    over = dict.fromkeys(other for found in columns.values() for other in found.passed_over)
    return Text(name, provenance, kind, read, unread, tuple(over) if column is None else ())


@dataclass(frozen=True)
class _Column:
    """The column of a file that holds the documents, and others that might."""

    name: str
    passed_over: tuple[str, ...]

    @classmethod
    def of(cls, file: Path, wanted: str | None) -> _Column | None:
        """That of a file; None where a file is one document."""
        if file.suffix == ".txt":
            return None
        names = FORMATS[file.suffix].columns(file)
        chosen = choose_column(names, wanted, file.name)
        mask = mask_column(chosen, names)
        if mask is not None:
            require_one(names, mask, file.name)
        return cls(chosen, tuple(passed_over(names, chosen)))


def _require_no_saved(paths: Sequence[Path]) -> None:
    """Refuse a dataset among other files: its folder holds more Arrow files than its rows."""
    for path in paths:
        if is_saved(path):
            raise SaereportError(
                f"The folder {path.name} is a dataset that save_to_disk wrote, and is read alone.",
                "Name it alone, or its .arrow files in place of it.",
            )


def _nothing(name: str, columns: Sequence[_Column]) -> SaereportError:
    """The error that a text is empty in the columns that were chosen for want of a name."""
    others = next((found for found in columns if found.passed_over), None)
    if others is None:
        return SaereportError(f"The text {name} is empty.", "Give another --dataset.")
    return SaereportError(
        f"The column '{others.name}' of {name} holds nothing.",
        f"Another may hold the text: {', '.join(others.passed_over)}; name it with --text-column.",
    )


def _not_read(folder: Path, saved: Saved | None) -> list[str]:
    """What in a folder may hold text too, and is not read: other kinds of files, and folders."""
    if saved is None:
        read = {p.name for p in folder.iterdir() if p.suffix in SUFFIXES}
    else:
        folder = saved.folder
        # `map` and `filter` keep what they made beside the rows that they made it of.
        read = {p.name for p in (*saved.files, *folder.glob("cache-*.arrow"))}
    return sorted(
        f"{p.name}/" if p.is_dir() else p.name
        for p in folder.iterdir()
        if not p.name.startswith(".")
        and (p.is_dir() or p.suffix.lower() in (*OTHER_KINDS, *SUFFIXES))
        and p.name not in (*DESCRIPTIONS, *read)
    )


def _files_at(path: Path) -> list[Path]:
    """The files that a path names: itself, or those in the folder, by name."""
    kinds = f"Files that can be read end in {', '.join(SUFFIXES)}."
    with system_faults(path):
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES and p.is_file())
            if not inside:
                raise SaereportError(f"The directory {path.name} holds no text.", kinds)
            return inside
        if path.is_file():
            if path.suffix not in SUFFIXES:
                raise SaereportError(f"{path.name} is not a file that can be read as text.", kinds)
            return [path]
        if path.is_symlink():
            raise SaereportError(f"'{path}' is a link that leads nowhere.", "Name the file itself.")
        near = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    raise SaereportError(f"There is no text at {path}.", did_you_mean(path.name, near))


def _hash_file(file: Path) -> str:
    with system_faults(file), file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read_file(file: Path, column: _Column | None, kind: Kind) -> Iterator[Placed]:
    """The documents of a file, all of one kind."""
    name = None if column is None else column.name
    for where, found in _documents(file, column):
        yield where, of_kind(found, kind, name, where)


def _documents(file: Path, column: _Column | None) -> Iterator[tuple[str, Document | None]]:
    """What each row holds, None where it is null."""
    if column is None:
        yield file.name, _plain_text(file)
        return
    for where, row in FORMATS[file.suffix].rows(file, column.name):
        if column.name not in row:
            raise SaereportError(
                f"{where}: no column '{column.name}'.",
                did_you_mean(column.name, row) or f"It has {', '.join(sorted(row)) or 'none'}.",
            )
        yield where, document(row, column.name, where)


def _plain_text(file: Path) -> str:
    with system_faults(file):
        content = file.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise not_utf8(file, line, content[error.start :]) from error
    if "\0" in text:
        raise holds_nul(file, content[: content.index(b"\0")].count(b"\n") + 1)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _kind_of(file: Path, column: _Column | None) -> Kind | None:
    """What a file's first document with anything in it is; None if all are empty."""
    if column is None and file.stat().st_size > len(BOM_UTF8):
        return "text"  # it is one document, and can be large
    for _, found in _documents(file, column):
        if found is not None and holds_something(found):
            return kind_of(found)
    return None
