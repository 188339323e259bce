"""Text: where documents come from, be it files, a Hugging Face dataset or the demo's text.

Documents are read in an order that does not change, and what exactly was read is part of a text's
provenance. How they become sequences of tokens is the business of `packing`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from saereport.errors import SaereportError, UsageError, did_you_mean
from saereport.limits import UNREADABLE, Limits, check_shape
from saereport.sources.documents import (
    TOKEN_COLUMNS,
    Document,
    TokenIds,
    document,
    mask_column,
)

Placed = tuple[str, Document]
"""A document, and where it stands, for messages."""

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


@dataclass(frozen=True)
class Text:
    """A source of documents that can be read as often as needed.

    Attributes:
        name: A short name for the report.
        provenance: What exactly was read, as JSON: content hashes of files (by base name), or
            dataset, configuration, split, column and revision.
        pretokenized: Whether the documents are token ids.
        unread: Names of what lies in the named folders, may hold text too, and is not read.
    """

    name: str
    provenance: dict[str, Any]
    pretokenized: bool
    _read: Callable[[], Iterator[Placed]] = field(repr=False)
    unread: tuple[str, ...] = ()

    def documents(self) -> Iterator[Document]:
        """The documents, from the first, in an order that does not change.

        A row that holds none is an empty document, so that it is counted.
        """
        return (found for _, found in self._read())

    def place(self, number: int) -> str:
        """Where a document stands, by its number from 0: its file and line, or its row."""
        found = next(islice(self._read(), number, None), None)
        return f"document {number + 1:,}" if found is None else found[0]


def open_text(
    spec: str | Path | Sequence[str | Path],
    *,
    column: str | None = None,
    split: str = "train",
    config: str | None = None,
    revision: str | None = None,
) -> Text:
    """Open a text that a user named, and read as much of it as shows that it can be read.

    Args:
        spec: A file (`.txt`: one document; `.jsonl` or `.parquet`: one a row), a directory of
            such files (in the order of their names), several of these, the name of a Hugging Face
            dataset (streamed), or `demo`.
        column: The column that holds the text; by default `text`, else `tokens` or `input_ids`,
            where a column of integers is taken as token ids.
        split: Split of a Hugging Face dataset.
        config: Its configuration, where it has several.
        revision: Its revision, where not the newest.

    Raises:
        UsageError: A split, a configuration or a revision of files is named, which have none.
        SaereportError: There is no such text, or it is empty or cannot be read as text.
    """
    specs = [spec] if isinstance(spec, (str, Path)) else list(spec)
    name = str(specs[0]) if len(specs) == 1 else ""
    paths = [_expanded(item) for item in specs]
    local = name in ("", "demo") or os.path.lexists(paths[0]) or looks_like_path(name)
    if not local:
        from saereport.sources.hub_text import open_dataset

        return open_dataset(name, column=column, split=split, config=config, revision=revision)
    if split != "train" or config is not None or revision is not None:
        raise UsageError(
            "Files and folders have no split, configuration or revision, as datasets of the hub "
            "have.",
            "Leave --dataset-split and --dataset-config out, and name the files to read.",
        )
    if name == "demo":
        from saereport.sources.demo import demo_text_dir

        return replace(_open_files([Path(demo_text_dir())], column), name="demo text")
    return _open_files(paths, column)


def _expanded(spec: str | Path) -> Path:
    try:
        return Path(spec).expanduser()
    except RuntimeError:
        return Path(spec)  # there is no such user: the name leads nowhere


def looks_like_path(spec: str) -> bool:
    """Whether a text that is not there was meant as a file or a folder, not as a dataset's name."""
    return (
        spec.endswith(SUFFIXES)
        or spec.startswith((".", "/", "~"))
        or "\\" in spec
        or (spec.count("/") > 1 and "://" not in spec)
    )


def _open_files(paths: Sequence[Path], column: str | None) -> Text:
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


def choose_column(columns: Sequence[str], wanted: str | None, name: str) -> str:
    """The column that holds the text: the one that was asked for, or the usual one.

    Raises:
        SaereportError: There is none; `name` says of what.
    """
    has = f"it has {', '.join(sorted(columns)[:12]) or 'none'}"
    if wanted is not None:
        if wanted in columns:
            return wanted
        raise SaereportError(
            f"{name} has no column '{wanted}'; {has}.", did_you_mean(wanted, columns)
        )
    for usual in ("text", *TOKEN_COLUMNS):
        if usual in columns:
            return usual
    raise SaereportError(
        f"{name} has no column 'text'; {has}.",
        did_you_mean("text", columns) or "Name the one that holds the text with --text-column.",
    )


def require_text(column: str, name: str) -> None:
    """Check that a column of text which nobody named is not called like token ids.

    Raises:
        SaereportError: It is; `name` says of what it is a column.
    """
    if column in TOKEN_COLUMNS:
        raise SaereportError(
            f"{name}: the column '{column}' holds text in place of token ids.",
            "Write them as lists of whole numbers; if it is the text to read, give "
            f"--text-column {column}.",
        )


def _holds_tokens(file: Path, column: str | None) -> bool | None:
    """Whether a file's first document with anything in it is token ids; None if all are empty."""
    for _, found in _documents(file, column):
        if found is None:
            continue
        if len(found) or (not isinstance(found, str) and getattr(found, "masked", None)):
            return not isinstance(found, str)
    return None
