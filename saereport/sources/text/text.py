"""A text: where documents come from, be it files, a Hugging Face dataset or the demo's text.

Documents are read in an order that does not change, and what exactly was read is part of a text's
provenance. How they become sequences of tokens is the business of `packing`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from saereport.sources.text.documents import TOKEN_COLUMNS, Document
from saereport.util.errors import SaereportError, did_you_mean

Placed = tuple[str, Document]
"""A document, and where it stands, for messages."""


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
