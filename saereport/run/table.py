"""What a table of a run is: its columns and what they hold, what it is about, and a definition.

A table says of itself everything that is done with it, so that it is written down once: how it is
checked when a run is read (`validation`), what stays of it in a cut (`subset`), what is left out
of it where a latent is blind (`redaction`), whose tokens it needs (`references`), whether pages
read it, and what the methods page and the published schema print.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal, get_args

import pyarrow as pa

from saereport.run.kinds import (
    Kind,
    Latent,
    Numbered,
    Position,
    Prompt,
    Rank,
    Real,
    SaeName,
    Stop,
    Text,
    TextRef,
    Token,
)
from saereport.util.slugs import is_name

I32, I64, F32, F64, TEXT = pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.string()
F16, BOOL, BYTES = pa.float16(), pa.bool_(), pa.binary()

NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
"""What tables and columns may be called: names of files, and words in a program."""

ENTRIES: Final = 65_536
"""Entries of one list at most, unless its column says otherwise."""
GROUP_VALUES: Final = 2**27
"""Values of one column in a row group at most."""

Scope = Literal["run", "sae"]
About = Literal["latent", "sae", "prompt", "prompts", "sequence", "token", "run"]
Each = Literal["", "token", "pair of tokens", "head", "head and source", "source"]


def listed(kind: pa.DataType) -> pa.DataType:
    """A list column's type, with an item name that does not depend on the pyarrow release."""
    return pa.list_(pa.field("item", kind, nullable=False))


_ITEMS = {
    str(kind): kind for kind in (I32, I64, F16, F32, F64, TEXT, BOOL, BYTES, pa.int8(), pa.int16())
}
TYPES: Final = {**_ITEMS, **{f"list<{name}>": listed(kind) for name, kind in _ITEMS.items()}}
"""Every type that a column can have, by the name that the schema gives it."""
_NAMES = {kind: name for name, kind in TYPES.items()}


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: Its name.
        type: How it is stored; no value is ever null.
        holds: What its values are, or the entries of its lists.
        same_length_as: Another list column that has as many entries in every row.
        lengths: How many entries a list may have, if not any number.
        each: What a list has one entry for: each `token` of the row's text; each `pair of tokens`,
            the second not before the first; each `head` of one or several layers; each `head and
            source`, sources being the positions up to the row's; each `source` from the row's
            `start` to its position.
        never_empty: Whether every list has an entry.
        uniform: Whether the lists of all rows have equally many entries.
        longest: Entries of one list at most.
        unique: Whether no two rows have the same value.
        redacted: What stands in place of its values where nothing may be revealed of the row's
            latent, because they lead to the text that activates it; None if they do not.
        left_out: What stands in place of its values where a cut does not keep the row's latent but
            does keep the row; None if they stay.
    """

    name: str
    type: pa.DataType
    holds: Kind
    same_length_as: str = ""
    lengths: tuple[int, ...] = ()
    each: Each = ""
    never_empty: bool = False
    uniform: bool = False
    longest: int = ENTRIES
    unique: bool = False
    redacted: int | None = None
    left_out: bool | int | None = None

    @property
    def type_name(self) -> str:
        """Its type as the schema writes it."""
        return _NAMES[self.type]

    @property
    def is_list(self) -> bool:
        """Whether a row holds a list."""
        return bool(pa.types.is_list(self.type))

    @property
    def item(self) -> pa.DataType:
        """The type of a value, or of the entries of a list."""
        return self.type.value_type if self.is_list else self.type

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest number that may stand there, the redacted among them."""
        low, high = self.holds.bounds
        return (low if self.redacted is None else min(low, self.redacted), high)


@dataclass(frozen=True)
class Table:
    """One table of a run.

    Attributes:
        name: File stem and registry key.
        scope: `run` for one table in the whole run, `sae` for one table per SAE.
        key: Columns that identify a row; rows are stored sorted by them.
        columns: Its columns, in order.
        title: Heading on the methods page.
        definition: What the numbers mean, in words; paragraphs separated by blank lines.
        version: Raised when the meaning of a column changes.
        about: What its rows are about, which decides what a cut keeps of them. Of a `latent`: the
            rows of kept latents, and in a table of the run, those of kept SAEs. Of an `sae` as a
            whole: all rows. Of a `prompt`: those of kept prompts. Of all `prompts` together: all
            rows, where all prompts are kept. Of a `sequence` or a `token`: what kept rows name.
            Of the `run`: all rows.
        reveals_text: Whether a row shows or describes what activates its latent. Then it is left
            out where nothing may be revealed of the latent, and pages hide it until it may.
        of_text: Whether the numbers are statistics of the text, which a latent lacks that was not
            read on it.
        every_latent: Whether every latent that the run shows has a row.
        also_others: Whether it may have rows of latents that the report does not show, so that it
            does not say which these are.
        on_pages: Whether the pages of latents read it.
        plugin: The package that adds it; empty for saereport's own.
    """

    name: str
    scope: Scope
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    title: str
    definition: str
    version: int = 1
    about: About = field(kw_only=True)
    reveals_text: bool = field(default=False, kw_only=True)
    of_text: bool = field(default=False, kw_only=True)
    every_latent: bool = field(default=False, kw_only=True)
    also_others: bool = field(default=False, kw_only=True)
    on_pages: bool = field(default=True, kw_only=True)
    plugin: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        """Refuse a table that does not hang together, where it is written.

        Raises:
            ValueError: A name is unusual or there twice, or something refers to what is not there.
        """
        for problem in _problems(self):
            raise ValueError(f"table '{self.name}': {problem}")

    @cached_property
    def schema(self) -> pa.Schema:
        """The Arrow schema; no column may hold nulls."""
        return pa.schema([pa.field(c.name, c.type, nullable=False) for c in self.columns])

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of its columns."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """Its columns by name."""
        return {column.name: column for column in self.columns}

    def that_hold(self, *kinds: type[Kind]) -> tuple[Column, ...]:
        """The columns whose values are of one of these kinds."""
        return tuple(column for column in self.columns if isinstance(column.holds, kinds))

    @cached_property
    def texts(self) -> tuple[Column, ...]:
        """The columns that name a text of another table."""
        return tuple(c for c in self.columns if isinstance(c.holds, TextRef) and not self.home(c))

    @property
    def prompt(self) -> Column:
        """The column that says of which prompt a row is, of a table about each prompt."""
        return next(column for column in self.that_hold(Prompt) if not column.is_list)

    def home(self, column: Column) -> bool:
        """Whether a column numbers this table's own rows, to which others refer."""
        return isinstance(column.holds, TextRef) and column.holds.home == self.name


def _problems(table: Table) -> Iterator[str]:
    """What is wrong with a table, in words."""
    names = [column.name for column in table.columns]
    for name in (table.name, *names):
        if not NAME.fullmatch(name) or not is_name(name):
            yield f"{ascii(name)[:80]} cannot be a name"
    if len(set(names)) != len(names):
        yield "two columns have one name"
    if not table.key or not set(table.key) <= set(names):
        yield "its key is not among its columns"
    for column in table.columns:
        if column.name in table.key and (column.is_list or column.holds.form == "flag"):
            yield f"'{column.name}' cannot be part of its key: it is no number and no text"
    if table.scope not in get_args(Scope) or table.about not in get_args(About):
        yield "it does not say what it is about"
    if table.about == "latent" and not any(
        column.name == "latent" and _is_subject(table, column) for column in table.columns
    ):
        yield "it is about latents and has no column 'latent' that says of which a row is"
    named = {column.holds.name for column in table.columns if not column.is_list}
    if table.about in ("prompt", "sequence", "token") and table.about not in named:
        yield f"it is about each {table.about} and does not say of which a row is"
    if table.about != "latent" and (
        table.reveals_text or any(column.redacted is not None for column in table.columns)
    ):
        yield "it is not about latents of which something could be hidden"
    for column in table.columns:
        if table.scope == "run" and isinstance(column.holds, Latent) and not column.holds.of:
            yield f"'{column.name}' does not say of which SAE its latents are"
        yield from _column_problems(column, {c.name: c for c in table.columns})


def _is_subject(table: Table, column: Column) -> bool:
    """Whether a column says which latent a row is about: of the table's SAE, or of a named one."""
    holds = column.holds
    return (
        isinstance(holds, Latent)
        and not column.is_list
        and bool(holds.of) == (table.scope == "run")
    )


def _column_problems(column: Column, others: dict[str, Column]) -> Iterator[str]:
    if column.type not in _NAMES:
        yield f"'{column.name}' has a type that is not stored"
    if isinstance(column.holds, Position) and len(column.holds.window) not in (0, 2):
        yield f"the window around '{column.name}' has not two ends"
    for needed, kinds in _needed(column):
        other = others.get(needed)
        if other is None or other.is_list or not isinstance(other.holds, kinds):
            yield f"'{column.name}' needs a column {ascii(needed)[:80]} that says what it is of"
    same = column.same_length_as
    if same and (same not in others or not others[same].is_list):
        yield f"'{column.name}' needs a list {ascii(same)[:80]}"
    if not column.is_list and (
        same or column.lengths or column.each or column.never_empty or column.uniform
    ):
        yield f"'{column.name}' is not a list"
    if column.is_list and (column.redacted is not None or column.left_out is not None):
        yield f"'{column.name}' is a list, which nothing can stand in for"
    if column.redacted is not None and column.holds.form in ("text", "bytes"):
        yield f"'{column.name}' holds words, which no number can stand in for"
    if column.type in _NAMES and not _stored_so(column.item, column.holds.form):
        yield f"'{column.name}' cannot be stored so"


def _needed(column: Column) -> Iterator[tuple[str, type[Kind]]]:
    """Other columns that a column refers to, and what they must hold."""
    holds = column.holds
    if isinstance(holds, Latent) and holds.of:
        yield holds.of, SaeName
    if isinstance(holds, Latent) and holds.token_when:
        yield holds.token_when.column, Text
    if isinstance(holds, Position | Stop) and holds.text:
        yield holds.text, TextRef
    if isinstance(holds, Position) and holds.window:
        yield holds.window[0], Position
        yield holds.window[-1], Stop
        yield column.name, Position
    if column.each in ("head and source", "source"):
        yield "position", Position
    if column.each == "source":
        yield "start", Position


def _stored_so(kind: pa.DataType, form: str) -> bool:
    """Whether values of a form can be stored as a type."""
    test = {
        "whole": pa.types.is_integer,
        "real": pa.types.is_floating,
        "text": pa.types.is_string,
        "bytes": pa.types.is_binary,
        "flag": pa.types.is_boolean,
    }[form]
    return bool(test(kind))


LATENT = Column("latent", I32, Latent())
"""The latent of the table's SAE that a row is about."""
RANK = Column("rank", I32, Rank())
PROMPT = Column("prompt", I32, Prompt())
GROUP = Column("group", TEXT, Numbered(words=("top",), numbered=("interval", "quantile")))
"""A group of examples: the strongest, or one range of activations."""

TOKEN_LISTS = (
    Column("top_tokens", listed(I32), Token()),
    Column("top_values", listed(F32), Real(), same_length_as="top_tokens"),
    Column("bottom_tokens", listed(I32), Token()),
    Column("bottom_values", listed(F32), Real(), same_length_as="bottom_tokens"),
)
