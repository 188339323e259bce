"""Text: where documents come from, and how they become sequences of tokens.

Packing follows SAELens's training (`concat_and_batch_sequences`), so that a report shows an SAE
on sequences of the kind that it was trained on: documents are tokenised without special tokens,
joined with a separator token (BOS unless the SAE's metadata says otherwise), and cut into
sequences of the SAE's context size, each of which begins with BOS where the SAE wants that.
Nothing is shuffled: the same text, tokeniser and settings give the same sequences.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from saereport.errors import SaereportError, did_you_mean

Document = str | Sequence[int]
"""A document: its text, or, in a dataset that is tokenised already, its token ids."""

SUFFIXES = (".txt", ".jsonl", ".ndjson", ".parquet")
"""The kinds of files that are read as text."""

TOKEN_COLUMNS = ("tokens", "input_ids")

# Documents are tokenised together until this many characters have come together.
_CHARACTERS = 1 << 18


@dataclass(frozen=True, eq=False)
class Packed:
    """Some consecutive sequences.

    Attributes:
        first: Index of the first of them in the text.
        tokens: Token ids `[n, context_size]`.
        counted: Which tokens count in the statistics `[n, context_size]`.
        documents: Index of the document that each token comes from `[n, context_size]`; a
            separator or BOS belongs to the document after it.
    """

    first: int
    tokens: npt.NDArray[np.int32]
    counted: npt.NDArray[np.bool_]
    documents: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.tokens)

    def part(self, start: int, stop: int) -> Packed:
        """The sequences `start` to `stop` (exclusive), counted within this batch."""
        return Packed(
            self.first + start,
            self.tokens[start:stop],
            self.counted[start:stop],
            self.documents[start:stop],
        )


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
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(file) as table:
                number = 0
                for batch in table.iter_batches(batch_size=1024):
                    for row in batch.to_pylist():
                        number += 1
                        yield f"{file.name}: row {number}", row
        except (pa.ArrowException, OSError) as error:
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
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return list(pq.read_schema(file).names)
        except (pa.ArrowException, OSError) as error:
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
        did_you_mean("text", columns) or "Name the one that holds the text with --column.",
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
    from saereport.sources.models import quietly

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


# Packing.


def separator_id(separator: str | int | None, tokenizer: Any) -> int | None:
    """The token that SAELens puts between documents for a setting of its metadata.

    Args:
        separator: `bos`, `eos`, `sep`, a token id, or None for none.
        tokenizer: The model's tokeniser.
    """
    if separator is None or isinstance(separator, int):
        return separator
    if separator not in ("bos", "eos", "sep"):
        raise SaereportError(f"The SAE's metadata names an unknown separator '{separator}'.")
    value: int | None = getattr(tokenizer, f"{separator}_token_id")
    return value


# Tokens, documents, and which of the tokens packing put in.
_Sequence = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.bool_]]


class _Rows:
    """Sequences under construction."""

    def __init__(self, context_size: int, bos: int | None, separator: int | None) -> None:
        self.context_size = context_size
        self.bos = bos
        self.separator = separator
        self.fresh()

    def fresh(self) -> None:
        self.tokens = np.zeros(self.context_size, np.int32)
        self.documents = np.zeros(self.context_size, np.int32)
        self.inserted = np.zeros(self.context_size, np.bool_)
        self.used = 0

    def put(self, token: int, document: int) -> None:
        self.tokens[self.used] = token
        self.documents[self.used] = document
        self.inserted[self.used] = True
        self.used += 1

    def add(self, ids: npt.NDArray[np.int32], document: int) -> Iterator[_Sequence]:
        """Add a document; give back each sequence that it completes."""
        offset = 0
        while offset < len(ids):
            if self.used == 0:
                if self.bos is not None and ids[offset] != self.bos:
                    self.put(self.bos, document)
            elif self.separator is not None and offset == 0 and ids[0] != self.separator:
                self.put(self.separator, document)
            n = min(self.context_size - self.used, len(ids) - offset)
            self.tokens[self.used : self.used + n] = ids[offset : offset + n]
            self.documents[self.used : self.used + n] = document
            self.used += n
            offset += n
            if self.used == self.context_size:
                yield self.tokens, self.documents, self.inserted
                self.fresh()


def pack(
    documents: Iterable[Document],
    tokenizer: Any,
    *,
    context_size: int,
    prepend_bos: bool,
    bos_id: int | None,
    special_ids: Iterable[int],
    separator: str | int | None = "bos",
    include_special: bool = False,
    limit_tokens: int | None = None,
    batch: int = 32,
    skip: int = 0,
) -> Iterator[Packed]:
    """Tokenise documents and pack them into sequences.

    Documents that are token ids already are taken as they are, as SAELens does: each is cut to
    `context_size`, and shorter ones are left out.

    Args:
        documents: Text, or token ids.
        tokenizer: The model's Hugging Face tokeniser.
        context_size: Tokens in a sequence.
        prepend_bos: Begin each sequence with BOS.
        bos_id: The BOS token.
        special_ids: Tokens that do not count, unless `include_special`. BOS and separators that
            were put in by packing do not count either.
        separator: What stands between documents: see `separator_id`.
        include_special: Count special tokens too; padding never counts.
        limit_tokens: Stop after the whole sequences that it takes to hold this many tokens,
            special ones included (so `ceil(limit_tokens / context_size)` sequences).
        batch: Sequences in each batch; the last may be shorter.
        skip: Leave out this many sequences from the start, to continue where a run stopped.

    Yields:
        Batches of consecutive sequences. The incomplete last sequence is left out, unless it is
        the only one: then it is padded, and the padding does not count.

    Raises:
        SaereportError: No token of the text counts.
    """
    if context_size < 2:
        raise SaereportError(f"A context size of {context_size} tokens leaves nothing to read.")
    if prepend_bos and bos_id is None:
        raise SaereportError(
            "The SAE wants sequences that begin with BOS, and the model's tokeniser has no such "
            "token."
        )
    limit = None if limit_tokens is None else max(1, math.ceil(limit_tokens / context_size))
    special = np.array(sorted(set(special_ids)), np.int32)
    sequences = islice(
        _sequences(
            documents,
            tokenizer,
            _Rows(
                context_size, bos_id if prepend_bos else None, separator_id(separator, tokenizer)
            ),
        ),
        limit,
    )
    first, any_counted = 0, False
    pending: list[tuple[Any, Any, Any]] = []
    for tokens, origin, inserted in sequences:
        if first + len(pending) < skip:
            first, any_counted = first + 1, True
            continue
        pad = origin < 0
        counted = ~pad if include_special else ~(pad | inserted | np.isin(tokens, special))
        any_counted = any_counted or bool(counted.any())
        pending.append((tokens, counted, np.where(pad, np.int32(origin.max()), origin)))
        if len(pending) == batch:
            yield _batch(first, pending)
            first, pending = first + len(pending), []
    if not any_counted:
        raise SaereportError(
            "The text is too short: no token of it counts.",
            f"A sequence has {context_size} tokens.",
        )
    if pending:
        yield _batch(first, pending)


def _batch(first: int, rows: Sequence[tuple[Any, Any, Any]]) -> Packed:
    tokens, counted, documents = (np.stack(part) for part in zip(*rows, strict=True))
    return Packed(first, tokens, counted, documents.astype(np.int32))


def _sequences(documents: Iterable[Document], tokenizer: Any, rows: _Rows) -> Iterator[_Sequence]:
    """Sequences as (tokens, documents, whether packing put a token in); padding has document -1."""
    complete = False
    for number, ids, given in _tokenized(documents, tokenizer):
        if given:
            if len(ids) >= rows.context_size:
                complete = True
                size = rows.context_size
                where = np.full(size, number, np.int32)
                yield ids[:size], where, np.zeros(size, np.bool_)
            elif not complete:
                _keep_longest(rows, ids, number)
            continue
        for sequence in rows.add(ids, number):
            complete = True
            yield sequence
    if not complete and rows.used:
        rows.documents[rows.used :] = -1
        rows.tokens[rows.used :] = next((i for i in (rows.bos, rows.separator) if i is not None), 0)
        yield rows.tokens, rows.documents, rows.inserted


def _keep_longest(rows: _Rows, ids: npt.NDArray[np.int32], number: int) -> None:
    """Of rows that are all too short, keep the longest to be the only sequence."""
    if len(ids) > rows.used:
        rows.fresh()
        rows.tokens[: len(ids)] = ids
        rows.documents[: len(ids)] = number
        rows.used = len(ids)


def _tokenized(
    documents: Iterable[Document], tokenizer: Any
) -> Iterator[tuple[int, npt.NDArray[np.int32], bool]]:
    """Each document's index and token ids, and whether the ids were given."""
    group: list[tuple[int, str]] = []
    size = 0
    for number, document in chain(enumerate(documents), [(-1, "")]):
        if not isinstance(document, str):
            yield number, np.asarray(document, np.int32), True
            continue
        if number >= 0:
            group.append((number, document))
            size += len(document)
        if group and (size >= _CHARACTERS or number < 0):
            yield from _tokenize(group, tokenizer)
            group, size = [], 0


def _tokenize(
    group: Sequence[tuple[int, str]], tokenizer: Any
) -> Iterator[tuple[int, npt.NDArray[np.int32], bool]]:
    # The fast tokeniser's own batch call: no attention masks, and all cores. It is also silent
    # about documents longer than the model's context, which are cut here anyway.
    fast = getattr(tokenizer, "backend_tokenizer", None) or getattr(tokenizer, "_tokenizer", None)
    texts = [document for _, document in group]
    if fast is not None:
        fast.no_truncation()
        fast.no_padding()
        encoded = [e.ids for e in fast.encode_batch_fast(texts, add_special_tokens=False)]
    else:
        encoded = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    for (number, _), ids in zip(group, encoded, strict=True):
        yield number, np.asarray(ids, np.int32), False
