"""Whether what a run's files say can be, checked when a table is opened.

A SHA-256 says that a file is the one that `run.json` names, not that either of them makes sense:
anyone can write a run with right sums and absurd contents. Everything that reads a run relies on
what is checked here, so that damage is told once, at the door, in one line.

What a column may hold follows from what its table says of it (see `table` and `kinds`). A table is
checked one row group after the other and text as a dictionary, so that a file that grows a thousand
times when it is read is refused before it does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from saereport.run.kinds import LATENTS, POSITIONS, FileName, Latent, Position, TextRef, pattern_of
from saereport.run.schema import RunInfo
from saereport.run.table import GROUP_VALUES, Column, Table
from saereport.util.slugs import is_prompt_slug, is_slug
from saereport.util.untrusted import TEXT_BYTES

ROWS: Final = 2**28
GROUP_ROWS: Final = 2**17
VALUES: Final = 2**30
TEXT_TOTAL: Final = 2**30

Numbers = np.ndarray[Any, Any]


class InvalidTable(ValueError):
    """What is wrong with a table or a file, in words that follow the name of the file."""


@dataclass(frozen=True)
class Lengths:
    """How many tokens each sequence or prompt has; `numbers` rise."""

    numbers: Numbers
    lengths: Numbers

    def of(self, numbers: Numbers) -> Numbers:
        """The lengths of some of them; -1 where there is none."""
        if not len(self.numbers):
            return np.full(len(numbers), -1, np.int64)
        rows = np.minimum(np.searchsorted(self.numbers, numbers), len(self.numbers) - 1)
        found: Numbers = np.where(self.numbers[rows] == numbers, self.lengths[rows], -1)
        return found


@dataclass(frozen=True)
class TablePlace:
    """Where a table stands.

    Attributes:
        info: The run that it belongs to.
        slug: The SAE that it is about; None for a table of the run.
        lengths: Gives the lengths of `sequences` or of `prompts`; None where the run lacks them.
    """

    info: RunInfo
    slug: str | None
    lengths: Callable[[str], Lengths | None]

    @property
    def n_latents(self) -> int:
        """How many latents the SAE has; as many as there can be where the run does not say."""
        return (self.info.sae(self.slug).d_sae if self.slug else 0) or LATENTS


def opened_table(path: Path) -> pa.NativeFile:
    """A file of a table, open; by its bytes, since the name of a folder need not be UTF-8."""
    return pa.OSFile(os.fsencode(path))


def check_file(path: Path, table: Table, n_rows: int) -> None:
    """What a Parquet file says about itself, before anything is read from it.

    Args:
        path: The file.
        table: What it must hold.
        n_rows: How many rows `run.json` says it has.

    Raises:
        InvalidTable: It has other columns or another number of rows, or would be too large.
        pa.ArrowException: It is not Parquet.
    """
    with opened_table(path) as source, pq.ParquetFile(source) as file:
        if not file.schema_arrow.equals(table.schema):
            raise InvalidTable("its columns are not those of this table")
        about = file.metadata
        if about.num_rows != n_rows:
            raise InvalidTable(f"it has {about.num_rows:,} rows and run.json says {n_rows:,}")
        groups = [about.row_group(k) for k in range(about.num_row_groups)]
    total = 0
    for group in groups:
        if not 0 <= group.num_rows <= GROUP_ROWS:
            raise InvalidTable(
                f"it has {group.num_rows:,} rows in one group; {GROUP_ROWS:,} is the limit"
            )
        for k in range(group.num_columns):
            n_values = group.column(k).num_values
            total += n_values
            if not 0 <= n_values <= GROUP_VALUES or total > VALUES:
                raise InvalidTable("it holds more values than are read")
    if n_rows > ROWS or sum(group.num_rows for group in groups) != n_rows:
        raise InvalidTable("its row groups do not add up")


def check_content(path: Path, table: Table, place: TablePlace) -> None:
    """Everything that a table promises, one row group after the other.

    Args:
        path: The file, which `check_file` found fit to be read.
        table: What it must hold.
        place: Where it stands.

    Raises:
        InvalidTable: It does not keep a promise; says which.
        pa.ArrowException: It cannot be read.
        SaereportError: A table that it refers to is damaged.
    """
    words = [column for column in table.columns if column.holds.form in ("text", "bytes")]
    whole = _Whole(table)
    text = 0
    last: list[Any] | None = None
    with (
        opened_table(path) as source,
        pq.ParquetFile(source, read_dictionary=_places_of(path, words)) as file,
    ):
        for k in range(file.num_row_groups):
            part = file.read_row_group(k).unify_dictionaries()
            for column in words:
                values = part.column(column.name)
                flat = pc.list_flatten(values) if column.is_list else values
                text += _check_words(column, flat)
            if text > TEXT_TOTAL:
                raise InvalidTable("it holds more text than is read")
            last = _check_part(table, part, place, last)
            whole.see(part)
    whole.check()


def _places_of(path: Path, columns: Sequence[Column]) -> list[str]:
    """Where Parquet has the values of some columns, those of lists one or two levels below."""
    names = {column.name for column in columns}
    with opened_table(path) as source:
        about = pq.read_metadata(source).schema
    leaves = [about.column(k).path for k in range(len(about.names))]
    return [leaf for leaf in leaves if leaf.partition(".")[0] in names]


class _Whole:
    """What holds for all rows of a table together."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._lengths: dict[str, set[int]] = {c.name: set() for c in table.columns if c.uniform}
        self._values: dict[str, list[Any]] = {c.name: [] for c in table.columns if c.unique}

    def see(self, part: pa.Table) -> None:
        """Take note of some rows."""
        for name, lengths in self._lengths.items():
            lengths.update(pc.unique(pc.list_value_length(part.column(name))).to_pylist())
        for name, values in self._values.items():
            values += part.column(name).to_pylist()

    def check(self) -> None:
        """Refuse what does not fit together, now that all rows were seen."""
        for name, values in self._values.items():
            if len(set(values)) != len(values):
                raise InvalidTable(f"two {self._table.about}s share a {name}")
        for name, found in self._lengths.items():
            if len(found) > 1:
                raise InvalidTable(f"'{name}' has not equally many entries in all rows")


def _check_part(table: Table, part: pa.Table, place: TablePlace, last: Any) -> list[Any] | None:
    """One row group; returns the key of its last row."""
    if not part.num_rows:
        return None if last is None else list(last)
    lengths: dict[str, Numbers] = {}
    columns: dict[str, Numbers] = {}
    for column in table.columns:
        values = part.column(column.name).combine_chunks()
        if column.is_list:
            found = pc.list_value_length(values).to_numpy(zero_copy_only=False)
            lengths[column.name] = found
            _check_lengths(column, found)
            values = values.flatten()
        if column.holds.form in ("whole", "real"):
            columns[column.name] = values.to_numpy(zero_copy_only=False)
            _check_numbers(table, column, columns[column.name], place)
    for column in table.columns:
        other = column.same_length_as
        if other and (lengths[other] != lengths[column.name]).any():
            raise InvalidTable(f"'{other}' and '{column.name}' have not equally many entries")
    _check_places(_Part(table, columns, lengths, _text_sizes(table, columns, place), place))
    return _check_order(table, part, last)


def _check_words(column: Column, values: pa.ChunkedArray) -> int:
    """Text as a dictionary; returns the bytes that it will take."""
    total = 0
    pattern = pattern_of(column.holds)
    stem = isinstance(column.holds, FileName)
    for chunk in values.chunks:
        chunk.dictionary.validate(full=True)
        sizes = pc.binary_length(chunk.dictionary).to_numpy(zero_copy_only=False)
        if sizes.max(initial=0) > TEXT_BYTES:
            raise InvalidTable(f"a text in '{column.name}' is longer than {TEXT_BYTES:,} bytes")
        used = chunk.indices.to_numpy(zero_copy_only=False)
        if len(used) and (used.min() < 0 or used.max() >= len(sizes)):
            raise InvalidTable(f"'{column.name}' is not text")
        total += int(sizes[used].sum()) if len(used) else 0
        for word in chunk.dictionary.to_pylist() if pattern or stem else ():
            if pattern and not pattern.fullmatch(word):
                raise InvalidTable(f"'{column.name}' holds {_shown(word)}, which it cannot")
            if stem and not is_prompt_slug(word):
                raise InvalidTable(
                    f"'{column.name}' holds {_shown(word)}, which cannot be the name of a file"
                )
    return total


def _check_numbers(table: Table, column: Column, values: Numbers, place: TablePlace) -> None:
    if not len(values):
        return
    if values.dtype == np.float16:
        # Infinite and not a number: every bit of the exponent is set. NumPy's minimum is slow.
        if int((values.view(np.uint16) & 0x7FFF).max()) >= 0x7C00:
            raise InvalidTable(f"'{column.name}' holds what is not a number")
        return
    low, high = column.bounds
    if table.scope == "sae" and isinstance(column.holds, Latent) and not column.holds.of:
        high = place.n_latents - 1
    # A minimum is NaN where one of the values is, and compares as false.
    least, most = values.min().item(), values.max().item()
    if not (low <= least and most <= high):
        value = most if most > high else least
        shown = "," if column.holds.form == "whole" else ".6g"
        limits = f"{low:,} to {high:,}" if shown == "," else f"{low:g} to {high:g}"
        raise InvalidTable(f"'{column.name}' holds {value:{shown}}, outside of {limits}")


def _check_lengths(column: Column, lengths: Numbers) -> None:
    name = column.name
    if lengths.max(initial=0) > column.longest:
        raise InvalidTable(f"a list in '{name}' has more than {column.longest:,} entries")
    if column.never_empty and not lengths.min(initial=1):
        raise InvalidTable(f"a list in '{name}' is empty")
    if column.lengths and not np.isin(lengths, column.lengths).all():
        raise InvalidTable(f"'{name}' has not {_either(column.lengths)} entries")


def _either(numbers: Sequence[int]) -> str:
    return " or ".join(f"{number:,}" for number in numbers)


def _text_sizes(table: Table, columns: dict[str, Numbers], place: TablePlace) -> dict[str, Numbers]:
    """How many tokens the texts have that the rows name, by the column that names them."""
    sizes = {}
    for column in table.texts:
        assert isinstance(column.holds, TextRef)
        known = place.lengths(column.holds.home)
        if known is None:
            continue
        numbers = columns[column.name]
        size = known.of(numbers)
        if column.bounds[0] < 0:
            size = np.where(numbers < 0, POSITIONS, size)
        if (size < 0).any():
            number = int(numbers[int(np.argmax(size < 0))])
            raise InvalidTable(
                f"it names the {column.holds.name} {number:,}, which the run does not hold"
            )
        if not column.is_list:
            sizes[column.name] = size
    return sizes


@dataclass(frozen=True)
class _Part:
    """Some rows of a table: numbers and lengths of lists by column, sizes of texts by theirs."""

    table: Table
    columns: dict[str, Numbers]
    lengths: dict[str, Numbers]
    sizes: dict[str, Numbers]
    place: TablePlace


def _check_places(part: _Part) -> None:
    """Positions lie in their text, and lists have an entry for each of what they should."""
    for column in part.table.that_hold(Position):
        assert isinstance(column.holds, Position)
        _check_position(part, column, column.holds)
    for column in part.table.columns:
        if isinstance(column.holds, Position) and column.holds.window:
            _check_window(part, column, column.holds)
        if column.each:
            _check_each(part, column)


def _check_position(part: _Part, column: Column, holds: Position) -> None:
    values, size = part.columns[column.name], part.sizes.get(holds.text)
    whose = part.table.by_name[holds.text].holds.name if holds.text else ""
    if column.is_list:
        rows = np.repeat(np.arange(len(part.lengths[column.name])), part.lengths[column.name])
        size = None if size is None else size[rows]
        if holds.rising and not ((np.diff(values) > 0) | (np.diff(rows) > 0)).all():
            raise InvalidTable(f"'{column.name}' do not rise")
    if size is not None and (values >= size).any():
        raise InvalidTable(f"a '{column.name}' lies behind the end of its {whose}")


def _check_window(part: _Part, column: Column, holds: Position) -> None:
    start, position, stop = (part.columns[name] for name in _three(column, holds))
    size = part.sizes.get(holds.text)
    inside = (start <= position) & (position < stop)
    if not (inside if size is None else inside & (stop <= size)).all():
        raise InvalidTable(
            "an example does not lie in its window, or the window not in its sequence"
        )


def _three(column: Column, holds: Position) -> tuple[str, str, str]:
    return holds.window[0], column.name, holds.window[1]


def _check_each(part: _Part, column: Column) -> None:
    """A list has an entry for each of what its column says."""
    lengths = part.lengths[column.name]
    size = next(iter(part.sizes.values()), None)
    what, right = "", np.ones(len(lengths), bool)
    if column.each == "head":
        n_heads = part.place.info.model.n_heads
        right = lengths % n_heads == 0 if n_heads else np.zeros(len(lengths), bool)
        what = f"an entry for each of the model's {n_heads:,} heads"
    elif column.each == "head and source":
        right = lengths % (part.columns["position"] + 1) == 0
        what = "as many entries for each head"
    elif column.each == "source":
        right = lengths == part.columns["position"] - part.columns["start"] + 1
        what = "one entry for each position"
    elif column.each == "token" and size is not None:
        right, what = lengths == size, "one entry for each token"
    elif column.each == "pair of tokens" and size is not None:
        right, what = lengths == size * (size + 1) // 2, "one entry for each pair of tokens"
    if not right.all():
        raise InvalidTable(f"'{column.name}' has not {what}")


def _check_order(table: Table, part: pa.Table, last: list[Any] | None) -> list[Any]:
    """No key is there twice, and rows rise by it.

    Tables of the whole run name SAEs in the order that the run has them in, so there only a
    number at the beginning of the key need rise.
    """
    numbered = pa.types.is_integer(part.schema.field(table.key[0]).type)
    keys = []
    for name in table.key:
        key = part.column(name).combine_chunks()
        keys.append(_ranks(key) if pa.types.is_dictionary(key.type) else key.to_numpy())
    if table.scope == "run":
        ordered = not numbered or bool((np.diff(keys[0]) >= 0).all())
        order = np.lexsort(keys[::-1])
        keys = [key[order] for key in keys]
    rising = np.zeros(part.num_rows - 1, bool)
    equal = np.ones(part.num_rows - 1, bool)
    for values in keys:
        rising |= equal & (values[:-1] < values[1:])
        equal &= values[:-1] == values[1:]
    names = table.key if table.scope == "sae" else table.key[:1]
    ends = [[part.column(name)[at].as_py() for name in names] for at in (0, part.num_rows - 1)]
    if table.scope == "sae":
        ordered = last is None or last < ends[0]
    elif last is not None and numbered:
        ordered = ordered and last <= ends[0]
    if not (rising.all() and ordered):
        raise InvalidTable(
            f"its rows are not sorted by {', '.join(table.key)}, or two are the same"
        )
    return ends[1]


def _ranks(key: pa.DictionaryArray) -> Numbers:
    words = key.dictionary.to_pylist()
    order = {word: rank for rank, word in enumerate(sorted(set(words)))}
    ranks: Numbers = np.asarray([order[word] for word in words])[key.indices.to_numpy()]
    return ranks


def check_names(info: RunInfo) -> None:
    """Names in `run.json` that become names of folders.

    Raises:
        InvalidTable: One is a device's name somewhere, or two are the same.
    """
    slugs = sorted(sae.slug for sae in info.saes)
    for slug in slugs:
        if not is_slug(slug):
            raise InvalidTable(f"the slug '{slug}' cannot be the name of a folder everywhere")
    if any(one == other for one, other in pairwise(slugs)):
        raise InvalidTable("two SAEs share a slug")
    paths = [file.path for file in info.files]
    if len(set(paths)) != len(paths):
        raise InvalidTable("it lists a file twice")


def _shown(word: str) -> str:
    text = ascii(word)
    return text if len(text) <= 40 else f"{text[:40]}..."
