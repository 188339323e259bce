"""Text: where documents come from, be it files, a Hugging Face dataset or the demo's text.

Documents are read in an order that does not change, and what exactly was read is part of a text's
provenance. How they become sequences of tokens is the business of `packing`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from saereport.errors import SaereportError, did_you_mean
from saereport.limits import UNREADABLE

Document = str | Sequence[int]
"""A document: its text, or, in a dataset that is tokenised already, its token ids."""

SUFFIXES = (".txt", ".jsonl", ".ndjson", ".parquet")
"""The kinds of files that are read as text."""

TOKEN_COLUMNS = ("tokens", "input_ids")


@dataclass(frozen=True)
class Text:
    """A source of documents that can be read as often as needed.

    Attributes:
        name: A short name for the report.
        provenance: What exactly was read, as JSON: content hashes of files (by base name), or
            dataset, configuration, split, column and revision.
        pretokenized: Whether the documents are token ids.
    """

    name: str
    provenance: dict[str, Any]
    pretokenized: bool
    _read: Callable[[], Iterator[Document]] = field(repr=False)

    def documents(self) -> Iterator[Document]:
        """The documents, from the first, in an order that does not change."""
        return self._read()


def open_text(
    spec: str | Path | Sequence[str | Path],
    *,
    column: str | None = None,
    split: str = "train",
    config: str | None = None,
    revision: str | None = None,
) -> Text:
    """Open a text and read as much of it as it takes to know that it can be read.

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
        SaereportError: There is no such text, or it is empty or cannot be read as text.
    """
    if isinstance(spec, (str, Path)):
        if str(spec) == "demo":
            from saereport.sources.demo import demo_text_dir

            text = _open_files([Path(demo_text_dir())], column)
            return Text("demo text", text.provenance, text.pretokenized, text._read)
        path = Path(spec).expanduser()
        if not path.exists() and not _looks_like_path(str(spec)):
            return _open_hub(str(spec), column, split, config, revision)
        return _open_files([path], column)
    return _open_files([Path(item).expanduser() for item in spec], column)


def _looks_like_path(spec: str) -> bool:
    return (
        spec.endswith(SUFFIXES)
        or spec.startswith((".", "/", "~"))
        or "\\" in spec
        or spec.count("/") > 1
    )


# Local files.


def _open_files(paths: Sequence[Path], column: str | None) -> Text:
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES and p.is_file())
            if not inside:
                raise SaereportError(
                    f"The directory {path.name} holds no text.",
                    f"Files that can be read end in {', '.join(SUFFIXES)}.",
                )
            files.extend(inside)
        elif path.is_file():
            if path.suffix not in SUFFIXES:
                raise SaereportError(
                    f"{path.name} is not a file that can be read as text.",
                    f"Files that can be read end in {', '.join(SUFFIXES)}.",
                )
            files.append(path)
        else:
            near = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
            raise SaereportError(f"There is no text at {path}.", did_you_mean(path.name, near))
    if not files:
        raise SaereportError("No text was named.")
    hashes = [{"name": file.name, "sha256": _hash_file(file)} for file in files]
    columns: dict[Path, str] = {}
    for file in files:
        if file.suffix != ".txt":
            columns[file] = _choose_column(_columns(file), column, file.name)
    tokenized = {_is_tokens(_first_row(file), columns.get(file), file.name) for file in files}
    if len(tokenized) > 1:
        raise SaereportError("Some of the files hold text and others token ids.")
    used = sorted(set(columns.values()))
    provenance = {"kind": "files", "files": hashes, "column": used[0] if len(used) == 1 else None}
    name = files[0].name if len(files) == 1 else ", ".join(p.name for p in paths)

    def read() -> Iterator[Document]:
        for file in files:
            yield from _read_file(file, columns.get(file))

    return Text(name, provenance, tokenized == {True}, _not_empty(read, name))


def _hash_file(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise SaereportError(f"{file.name} cannot be read: {error.strerror or error}.") from error


def _not_empty(read: Callable[[], Iterator[Document]], name: str) -> Callable[[], Any]:
    """Check that the first document with anything in it exists."""
    if not any(True for document in read() if len(document)):
        raise SaereportError(f"The text {name} is empty.")
    return read


def _read_file(file: Path, column: str | None) -> Iterator[Document]:
    if column is None:
        try:
            yield file.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            line = file.read_bytes()[: error.start].count(b"\n") + 1
            raise SaereportError(
                f"{file.name}:{line}: not UTF-8 (byte 0x{error.object[error.start]:02x}).",
                "Save the file as UTF-8.",
            ) from error
        return
    for where, row in _rows(file):
        value = row.get(column)
        if value is None:
            if column not in row:
                raise SaereportError(
                    f"{where}: no column '{column}'.",
                    did_you_mean(column, row) or f"It has {', '.join(sorted(row)) or 'none'}.",
                )
            continue
        yield _document(value, where, column)


def _document(value: Any, where: str, column: str) -> Document:
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple, np.ndarray)) and all(
        isinstance(item, (int, np.integer)) and not isinstance(item, bool) for item in value
    ):
        return [int(item) for item in value]
    raise SaereportError(
        f"{where}: the column '{column}' holds neither text nor token ids, but "
        f"{type(value).__name__}."
    )


def _rows(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a file, each with where it stands."""
    if file.suffix == ".parquet":
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(file) as table:
                number = 0
                for batch in table.iter_batches(batch_size=1024):
                    for row in batch.to_pylist():
                        number += 1
                        yield f"{file.name}: row {number}", row
        except UNREADABLE as error:
            short = " ".join(str(error).split())[:200]
            raise SaereportError(f"{file.name} cannot be read as Parquet: {short}") from error
        return
    with file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            where = f"{file.name}:{number}"
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except UnicodeDecodeError as error:
                raise SaereportError(f"{where}: not UTF-8.", "Save it as UTF-8.") from error
            except ValueError as error:
                raise SaereportError(f"{where}: not JSON: {error}.") from error
            if not isinstance(row, dict):
                raise SaereportError(f"{where}: not a JSON object.")
            yield where, row


def _first_row(file: Path) -> dict[str, Any]:
    if file.suffix == ".txt":
        return {}
    return next((row for _, row in _rows(file)), {})


def _columns(file: Path) -> list[str]:
    if file.suffix == ".parquet":
        import pyarrow.parquet as pq

        try:
            return list(pq.read_schema(file).names)
        except UNREADABLE as error:
            short = " ".join(str(error).split())[:200]
            raise SaereportError(f"{file.name} cannot be read as Parquet: {short}") from error
    row = _first_row(file)
    if not row:
        raise SaereportError(f"The text {file.name} is empty.")
    return list(row)


def _choose_column(columns: Sequence[str], wanted: str | None, name: str) -> str:
    if wanted is not None:
        if wanted in columns:
            return wanted
        raise SaereportError(
            f"{name} has no column '{wanted}'; it has {', '.join(sorted(columns)) or 'none'}.",
            did_you_mean(wanted, columns),
        )
    for usual in ("text", *TOKEN_COLUMNS):
        if usual in columns:
            return usual
    raise SaereportError(
        f"{name} has no column 'text'; it has {', '.join(sorted(columns)) or 'none'}.",
        did_you_mean("text", columns) or "Name the one that holds the text with --text-column.",
    )


def _is_tokens(row: dict[str, Any], column: str | None, name: str) -> bool:
    if column is None or row.get(column) is None:
        return False
    return not isinstance(_document(row[column], name, column), str)


# Hugging Face datasets.


def _open_hub(
    name: str, column: str | None, split: str, config: str | None, revision: str | None
) -> Text:
    import datasets

    from saereport.sources.hub import hub_access
    from saereport.sources.quiet import quietly

    def load() -> Any:
        with hub_access(), quietly():
            return datasets.load_dataset(
                name, config, split=split, streaming=True, revision=revision
            )

    try:
        with hub_access():
            first = next(iter(load()), None)
    except Exception as error:
        raise _explain(name, split, error) from error
    if first is None:
        raise SaereportError(f"The dataset '{name}' has nothing in its split '{split}'.")
    chosen = _choose_column(list(first), column, f"The dataset '{name}'")
    tokenized = _is_tokens(first, chosen, name)

    def read() -> Iterator[Document]:
        try:
            rows = load()
            if rows.column_names:
                rows = rows.select_columns([chosen])
            for number, row in enumerate(rows, 1):
                if row[chosen] is not None:
                    yield _document(row[chosen], f"{name}: row {number}", chosen)
        except SaereportError:
            raise
        except Exception as error:
            raise _explain(name, split, error) from error

    provenance = {
        "kind": "dataset",
        "dataset": name,
        "config": config,
        "split": split,
        "column": chosen,
        "revision": _dataset_revision(name, revision),
    }
    return Text(name, provenance, tokenized, read)


def _dataset_revision(name: str, revision: str | None) -> str | None:
    from huggingface_hub import HfApi

    from saereport.sources.hub import hub_access

    try:
        with hub_access():
            return str(HfApi().dataset_info(name, revision=revision, timeout=10).sha)
    except Exception:
        return revision  # offline: what was asked for is all that is known


def _explain(name: str, split: str, error: Exception) -> SaereportError:
    from saereport.sources.hub import is_offline

    short = " ".join(str(error).split())[:300]
    kinds = {type(error).__name__, type(error.__cause__).__name__}
    if "Unknown split" in short or "Bad split" in short:
        return SaereportError(f"The dataset '{name}' has no split '{split}': {short}")
    if "Config name is missing" in short or "BuilderConfig" in short:
        return SaereportError(f"The dataset '{name}' needs another configuration: {short}")
    if is_offline(error):
        return SaereportError(
            f"The dataset '{name}' is not a local file, and the Hugging Face hub cannot be "
            f"reached.",
            "Name a local .txt, .jsonl or .parquet file, or `demo` for the built-in text.",
        )
    if kinds & {"DatasetNotFoundError", "RepositoryNotFoundError", "FileNotFoundError"}:
        return SaereportError(
            f"There is neither a file nor a Hugging Face dataset '{name}', or it is private."
        )
    return SaereportError(f"The dataset '{name}' cannot be read: {type(error).__name__}: {short}")
