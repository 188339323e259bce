"""Files and folders as text."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from saereport.sources.text.documents import (
    Document,
    TokenIds,
    document,
    mask_column,
)
from saereport.sources.text.text import Placed, Text, choose_column, require_text
from saereport.util.errors import SaereportError, did_you_mean
from saereport.util.untrusted import UNREADABLE, Limits, check_shape

SUFFIXES = (".txt", ".jsonl", ".ndjson", ".parquet")
"""The kinds of files that are read as text."""

OTHER_KINDS = (
    *(".json", ".csv", ".tsv", ".arrow", ".feather", ".xml", ".html"),
    *(".gz", ".zst", ".xz", ".bz2", ".zip", ".tar", ".7z"),
)
"""Kinds of files that hold text too, or other files that do, and are not read."""

_DESCRIPTIONS = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")
"""Files of the datasets library that say what the others are."""

ROW = Limits(depth=256)
"""How deeply a row of a file may be nested; deeper ones are made to break readers."""


def open_files(paths: Sequence[Path], column: str | None) -> Text:
    """Files, and folders of them, as one text.

    Raises:
        SaereportError: There is none, or one is empty or cannot be read as text.
    """
    files = [file for path in paths for file in _files_at(path)]
    if not files:
        raise SaereportError("No text was named.", "Give one with --dataset.")
    hashes = [{"name": file.name, "sha256": _hash_file(file)} for file in files]
    columns: dict[Path, str] = {}
    for file in files:
        if file.suffix != ".txt":
            columns[file] = choose_column(_columns(file), column, file.name)
    kinds = {file: _holds_tokens(file, columns.get(file)) for file in files}
    for file, chosen in columns.items():
        if column is None and kinds[file] is False:
            require_text(chosen, file.name)
    tokenized = set(kinds.values()) - {None}
    if len(tokenized) > 1:
        raise SaereportError(
            "Some of the files hold text and others token ids.", "Make a report of each kind."
        )
    used = sorted(set(columns.values()))
    provenance = {"kind": "files", "files": hashes, "column": used[0] if len(used) == 1 else None}
    name = files[0].name if len(files) == 1 else ", ".join(p.name for p in paths)
    if not tokenized:
        raise SaereportError(f"The text {name} is empty.", "Give another --dataset.")
    pretokenized = tokenized == {True}

    def read() -> Iterator[Placed]:
        for file in files:
            yield from _read_file(file, columns.get(file), pretokenized)

    unread = tuple(found for path in paths if path.is_dir() for found in _not_read(path))
    return Text(name, provenance, pretokenized, read, unread)


def _not_read(folder: Path) -> list[str]:
    """What in a folder may hold text too, and is not read: other kinds of files, and folders."""
    return sorted(
        f"{p.name}/" if p.is_dir() else p.name
        for p in folder.iterdir()
        if not p.name.startswith(".")
        and (p.is_dir() or p.suffix.lower() in OTHER_KINDS)
        and p.name not in _DESCRIPTIONS
    )


def _files_at(path: Path) -> list[Path]:
    """The files that a path names: itself, or those in the folder, by name."""
    kinds = f"Files that can be read end in {', '.join(SUFFIXES)}."
    with _system_errors(path):
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


@contextlib.contextmanager
def _system_errors(path: Path) -> Iterator[None]:
    """What the system says about a file (no permission, a failing disk) as one line."""
    try:
        yield
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise SaereportError(f"{path.name} cannot be read: {reason or error}.") from error


def _hash_file(file: Path) -> str:
    with _system_errors(file), file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read_file(file: Path, column: str | None, pretokenized: bool) -> Iterator[Placed]:
    """The documents of a file, all of one kind."""
    for where, found in _documents(file, column):
        if found is None:
            yield where, TokenIds([]) if pretokenized else ""
            continue
        if isinstance(found, str) == pretokenized:
            kinds = ("text", "token ids") if pretokenized else ("token ids", "text")
            raise SaereportError(
                f"{where}: the column '{column}' holds {kinds[0]} here and {kinds[1]} elsewhere.",
                "Make a file of each kind.",
            )
        yield where, found


def _documents(file: Path, column: str | None) -> Iterator[tuple[str, Document | None]]:
    """What each row holds, None where it is null."""
    if column is None:
        yield file.name, _plain_text(file)
        return
    for where, row in _rows(file, column):
        if column not in row:
            raise SaereportError(
                f"{where}: no column '{column}'.",
                did_you_mean(column, row) or f"It has {', '.join(sorted(row)) or 'none'}.",
            )
        yield where, document(row, column, where)


def _plain_text(file: Path) -> str:
    with _system_errors(file):
        content = file.read_bytes()
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise SaereportError(
            f"{file.name}:{line}: not UTF-8 (byte 0x{content[error.start]:02x}).",
            "Save the file as UTF-8.",
        ) from error


def _rows(file: Path, column: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a file, each with where it stands; of Parquet only the columns that matter."""
    if file.suffix == ".parquet":
        return _parquet_rows(file, column)
    return _json_rows(file)


def _parquet_rows(file: Path, column: str) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow.parquet as pq

    with _parquet_errors(file), pq.ParquetFile(file) as table:
        names = table.schema_arrow.names
        wanted = [name for name in (column, mask_column(column, names)) if name is not None]
        # A dot in a name would be read as a path into a nested column.
        columns = None if any("." in name for name in wanted) else wanted
        number = 0
        for batch in table.iter_batches(batch_size=1024, columns=columns):
            for row in batch.to_pylist():
                number += 1
                yield f"{file.name}: row {number:,}", row


@contextlib.contextmanager
def _parquet_errors(file: Path) -> Iterator[None]:
    """What reading Parquet fails with, told apart: the system, the encoding, or the file itself."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise SaereportError(
            f"{file.name} holds text that is not UTF-8 (byte 0x{error.object[error.start]:02x}).",
            "Write the file anew with text in UTF-8.",
        ) from error
    except PermissionError as error:
        raise SaereportError(f"{file.name} cannot be read: {error.strerror}.") from error
    except UNREADABLE as error:
        short = " ".join(str(error).split())[:100]
        raise SaereportError(
            f"{file.name} cannot be read as Parquet: {short}", "It may be damaged, or cut short."
        ) from error


def _json_rows(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with _system_errors(file), file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                where = f"{file.name}:{number}"
                yield where, _json_row(line, where)


def _json_row(line: bytes, where: str) -> dict[str, Any]:
    check_shape(line, where, ROW)
    try:
        row = json.loads(_decoded(line))
    except UnicodeDecodeError as error:
        raise SaereportError(f"{where}: not UTF-8.", "Save the file as UTF-8.") from error
    except RecursionError as error:
        raise SaereportError(f"{where}: nested too deeply.", "Take that line out.") from error
    except ValueError as error:
        if "integer string conversion" in str(error):
            digits = sys.get_int_max_str_digits()
            raise SaereportError(
                f"{where}: a number of more than {digits:,} digits.", "Take that line out."
            ) from error
        raise SaereportError(f"{where}: not JSON: {error}.") from error
    if not isinstance(row, dict):
        raise SaereportError(f"{where}: not a JSON object.")
    return row


def _decoded(line: bytes) -> str:
    """A line as text; halves of surrogate pairs, which some programs write as bytes, are kept."""
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError:
        return line.decode("utf-8", errors="surrogatepass")


def _columns(file: Path) -> list[str]:
    if file.suffix == ".parquet":
        import pyarrow.parquet as pq

        with _parquet_errors(file):
            return list(pq.read_schema(file).names)
    row = next((row for _, row in _json_rows(file)), None)
    if not row:
        raise SaereportError(f"The text {file.name} is empty.", "Give another --dataset.")
    return list(row)


def _holds_tokens(file: Path, column: str | None) -> bool | None:
    """Whether a file's first document with anything in it is token ids; None if all are empty."""
    for _, found in _documents(file, column):
        if found is None:
            continue
        if len(found) or (not isinstance(found, str) and getattr(found, "masked", None)):
            return not isinstance(found, str)
    return None
