"""Read a run a chunk of latents at a time, so that memory does not grow with their number.

A `LatentChunk` holds the tables of one SAE for a range of latents as plain Python lists;
`LatentChunk.rows` hands out the rows of one latent. The chunks follow each other through the run
in order.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from saereport.run import Run


class Rows:
    """The rows of one latent in one table: columns as lists, cut out of a band."""

    __slots__ = ("_columns", "_high", "_low")

    def __init__(self, columns: dict[str, list[Any]], low: int, high: int) -> None:
        self._columns, self._low, self._high = columns, low, high

    def __len__(self) -> int:
        return self._high - self._low

    def __getitem__(self, name: str) -> list[Any]:
        """One column, in the order of the table's key; empty where there are no rows."""
        if self._low == self._high:
            return []
        return self._columns[name][self._low : self._high]

    def first(self) -> dict[str, Any]:
        """The first row, by column name; for tables with one row a latent."""
        return {name: column[self._low] for name, column in self._columns.items()}

    def each(self, *names: str) -> Iterator[tuple[Any, ...]]:
        """Tuples of these columns' values, row by row."""
        return zip(*(self[name] for name in names), strict=True)


NO_ROWS = Rows({}, 0, 0)


class LatentChunk:
    """All tables of one SAE for the latents from `low` up to, not including, `high`."""

    def __init__(self, run: Run, slug: str, names: Sequence[str], low: int, high: int) -> None:
        self._tables: dict[str, dict[str, list[Any]]] = {}
        for name in names:
            table = run.band(name, slug, low, high)
            self._tables[name] = {
                column: plain(table.column(column)) for column in table.column_names
            }

    def add(self, name: str, column: str, values: list[Any]) -> None:
        """Add a column that was worked out for the whole band at once."""
        self._tables[name][column] = values

    def rows(self, name: str, latent: int) -> Rows:
        """The rows of a latent; none where the run lacks the table."""
        columns = self._tables.get(name)
        if columns is None:
            return NO_ROWS
        keys = columns["latent"]
        low = bisect_left(keys, latent)
        return Rows(columns, low, bisect_left(keys, latent + 1, low))

    def column(self, name: str, column: str) -> list[Any]:
        """A whole column of the band; empty where the run lacks the table."""
        return self._tables.get(name, {}).get(column, [])


def plain(column: pa.ChunkedArray) -> list[Any]:
    """A column as a list of Python values, lists for list columns, much faster than `to_pylist`."""
    if pa.types.is_list(column.type):
        offsets, values = flat(column)
        everything = values.tolist()
        cuts = offsets.tolist()
        return [everything[a:b] for a, b in pairwise(cuts)]
    if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
        return list(column.to_pylist())
    return list(column.to_numpy().tolist())


def flat(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """A list column as offsets and all values in a row."""
    lengths = [np.zeros(1, np.int64)]
    values = []
    for chunk in column.chunks:
        offsets = chunk.offsets.to_numpy().astype(np.int64)
        lengths.append(np.diff(offsets))
        values.append(chunk.values.to_numpy(zero_copy_only=False)[offsets[0] : offsets[-1]])
    joined = np.concatenate(values) if values else np.empty(0)
    return np.cumsum(np.concatenate(lengths)), joined
