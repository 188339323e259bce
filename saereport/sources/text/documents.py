"""Documents as data sets hold them: a text, a conversation, or token ids without their padding.

A row of token ids may be padded on either side, and say so in an attention mask. What a mask
leaves out is no token of the text, so it is taken away here, at the door: positions, activations
and statistics are then those of the row alone, whatever it was padded with and where.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from saereport.sources.text.conversations import CHAT_COLUMNS, Chat, conversation
from saereport.util.errors import SaereportError

TOKEN_COLUMNS = ("tokens", "input_ids", "token_ids", "ids")

USUAL_COLUMNS = ("text", *TOKEN_COLUMNS, *CHAT_COLUMNS)
"""What columns that hold a text are usually called, the first of them taken."""

Kind = Literal["text", "tokens", "chat"]

_WORDS: dict[Kind, str] = {"text": "text", "tokens": "token ids", "chat": "conversations"}


class TokenIds(list[int]):
    """The token ids of a row.

    Attributes:
        masked: How many more the row held that its attention mask leaves out; None where it has no
            mask, so that nothing is known about its padding.
    """

    def __init__(self, ids: Iterable[int], masked: int | None = None) -> None:
        super().__init__(ids)
        self.masked = masked


Document = str | Sequence[int] | Chat
"""A document: its text, in a dataset that is tokenised already its token ids, or a conversation."""


def kind_of(found: Document) -> Kind:
    """What a document is."""
    if isinstance(found, str):
        return "text"
    return "chat" if isinstance(found, Chat) else "tokens"


def holds_something(found: Document | None) -> bool:
    """Whether there is anything in a document; only then is it sure of what kind it is."""
    return found is not None and bool(len(found) or getattr(found, "masked", None))


def of_kind(found: Document | None, kind: Kind, column: str | None, where: str) -> Document:
    """A document of a text that is all of one kind; what holds nothing is one of that kind.

    Raises:
        SaereportError: It is of another kind.
    """
    if found is None or not holds_something(found):
        nothing: dict[Kind, Document] = {"text": "", "tokens": TokenIds([]), "chat": Chat()}
        return nothing[kind]
    if kind_of(found) != kind:
        raise SaereportError(
            f"{where}: the column '{column}' holds {_WORDS[kind_of(found)]} here and "
            f"{_WORDS[kind]} elsewhere.",
            "Make a file of each kind.",
        )
    return found


def require_meant(column: str, kind: Kind, name: str) -> None:
    """Check that a column which nobody named holds what its name says.

    Raises:
        SaereportError: It is called like token ids or conversations, and holds something else;
            `name` says of what it is a column.
    """
    meant: Kind = "text"
    if column in TOKEN_COLUMNS:
        meant, how = "tokens", "lists of whole numbers"
    elif column in CHAT_COLUMNS:
        meant, how = "chat", "lists of messages {role, content}"
    if meant not in ("text", kind):
        raise SaereportError(
            f"{name}: the column '{column}' holds {_WORDS[kind]} in place of {_WORDS[meant]}.",
            f"Write them as {how}; if it is the {_WORDS[kind]} to read, give "
            f"--text-column {column}.",
        )


def words_of(kinds: Iterable[Kind]) -> str:
    """Kinds of documents in words."""
    return " and ".join(_WORDS[kind] for kind in _WORDS if kind in set(kinds))


def mask_column(column: str, columns: Iterable[str]) -> str | None:
    """The column with the attention mask that belongs to a column of token ids, or None.

    `attention_mask` for most, `chosen_attention_mask` for `chosen_input_ids`.
    """
    own = column.replace("input_ids", "attention_mask").replace("tokens", "attention_mask")
    known = set(columns)
    for name in (own, "attention_mask"):
        if name != column and name in known:
            return name
    return None


def document(row: Mapping[str, Any], column: str, where: str) -> Document | None:
    """The document in a row; None where there is none.

    Args:
        row: The row.
        column: The column that holds the text or the token ids.
        where: Where the row stands, for messages.

    Raises:
        SaereportError: It is neither text nor token ids nor a conversation, or the attention mask
            is none or leaves out tokens between others.
    """
    value = row[column]
    if value is None or isinstance(value, str):
        return value
    messages = conversation(value, f"{where}: the column '{column}'")
    if messages is not None:
        return messages
    if not isinstance(value, (list, tuple, np.ndarray)) or not all(map(_is_whole, value)):
        wanted = "no list of messages" if column in CHAT_COLUMNS else "neither text nor token ids"
        raise SaereportError(
            f"{where}: the column '{column}' holds {wanted}, but {_type_of(value)}.",
            "Name another column with --text-column.",
        )
    ids = [int(item) for item in value]
    name = mask_column(column, row)
    mask = None if name is None else row[name]
    if name is None or mask is None:
        return TokenIds(ids)
    return _unmasked(ids, mask, f"{where}: the column '{name}'")


def _unmasked(ids: list[int], mask: Any, what: str) -> TokenIds:
    if not isinstance(mask, (list, tuple, np.ndarray)) or len(mask) != len(ids):
        n = len(mask) if isinstance(mask, (list, tuple, np.ndarray)) else 0
        raise SaereportError(
            f"{what} has {n:,} values for {len(ids):,} tokens.",
            "A mask has one value, 0 or 1, for each token.",
        )
    values = {float(m) if isinstance(m, (int, float, np.number)) else None for m in mask}
    if not values <= {0.0, 1.0}:
        raise SaereportError(
            f"{what} holds other values than 0 and 1.",
            "Rows of several documents that must not see each other have to be cut apart first.",
        )
    kept = [place for place, m in enumerate(mask) if m]
    if not kept:
        return TokenIds([], len(ids))
    first, last = kept[0], kept[-1]
    if last - first + 1 != len(kept):
        hole = next(place for place in range(first, last) if not mask[place])
        raise SaereportError(
            f"{what} leaves out token {hole + 1:,} between tokens that it keeps.",
            "Padding can stand before a row and behind it; take such tokens out of the rows.",
        )
    return TokenIds(ids[first : last + 1], len(ids) - len(kept))


def _is_whole(item: Any) -> bool:
    return isinstance(item, (int, np.integer)) and not isinstance(item, bool)


def _type_of(value: Any) -> str:
    if isinstance(value, (list, tuple, np.ndarray)):
        other = next((item for item in value if not _is_whole(item)), None)
        return f"a list of {type(other).__name__}"
    return type(value).__name__
