"""A text: where documents come from, be it files, a Hugging Face dataset or the demo's text.

Documents are read in an order that does not change, and what exactly was read is part of a text's
provenance. How they become sequences of tokens is the business of `packing`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from saereport.sources.text.conversations import Chat
from saereport.sources.text.documents import USUAL_COLUMNS, Document, Kind
from saereport.util.errors import SaereportError, did_you_mean, shortened

Placed = tuple[str, Document]
"""A document, and where it stands, for messages."""


@dataclass(frozen=True)
class Text:
    """A source of documents that can be read as often as needed.

    Attributes:
        name: A short name for the report.
        provenance: What exactly was read, as JSON: content hashes of files (by base name), or
            dataset, configuration, split, column and revision.
        kind: What the documents are: text, token ids or conversations.
        read: Gives the documents, each with where it stands.
        unread: Names of what lies in the named folders, may hold text too, and is not read.
        passed_over: Columns that are called as if they held the text too, where nobody named one.
    """

    name: str
    provenance: dict[str, Any]
    kind: Kind
    read: Callable[[], Iterator[Placed]] = field(repr=False)
    unread: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()

    def documents(self) -> Iterator[Document]:
        """The documents, from the first, in an order that does not change.

        A row that holds none is an empty document, so that it is counted.
        """
        return (found for _, found in self.read())

    def read_ahead(self, size: int) -> None:
        """Read documents of so many characters or tokens together, for what is wrong with them.

        Raises:
            SaereportError: One of them cannot be read.
        """
        for found in self.documents():
            size -= 1 + (found.characters() if isinstance(found, Chat) else len(found))
            if size < 0:
                return

    def place(self, number: int) -> str:
        """Where a document stands, by its number from 0: its file and line, or its row."""
        found = next(islice(self.read(), number, None), None)
        return f"document {number + 1:,}" if found is None else found[0]


def choose_column(columns: Sequence[str], wanted: str | None, name: str) -> str:
    """The column that holds the text: the one that was asked for, or the usual one.

    Raises:
        SaereportError: There is none, or two of that name; `name` says of what.
    """
    has = f"it has {', '.join(sorted(map(_shown, columns))[:12]) or 'none'}"
    usual = next((usual for usual in USUAL_COLUMNS if usual in columns), None)
    chosen = usual if wanted is None else wanted
    if chosen is not None and chosen in columns:
        require_one(columns, chosen, name)
        return chosen
    if wanted is not None:
        raise SaereportError(
            f"{name} has no column '{wanted}'; {has}.", did_you_mean(wanted, columns)
        )
    raise SaereportError(
        f"{name} has no column 'text'; {has}.",
        did_you_mean("text", columns) or "Name the one that holds the text with --text-column.",
    )


def require_one(columns: Sequence[str], wanted: str, name: str) -> None:
    """Refuse a column of which there are several.

    Raises:
        SaereportError: There are; `name` says of what.
    """
    if columns.count(wanted) > 1:
        raise SaereportError(
            f"{name} has {columns.count(wanted)} columns '{wanted}'.",
            "Rename those that are not to be read.",
        )


def passed_over(columns: Sequence[str], chosen: str) -> list[str]:
    """Columns that are called as if they held the text too."""
    return [usual for usual in USUAL_COLUMNS if usual in columns and usual != chosen]


def _shown(name: str) -> str:
    return shortened(name, 40)
