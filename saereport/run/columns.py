"""Columns as Arrow tables, cut into row groups that the reader takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from saereport.run.table import Table
from saereport.util.ragged import Ragged, Words

ROWS_PER_GROUP: Final = 8192
VALUES_PER_GROUP: Final = 2**26
"""Values of one list column in a row group at most, unless one row alone has more; the reader
takes twice as many."""

Columns = Mapping[str, Any]
"""Column name to values: lists, numpy or Arrow arrays, lists of either, `Ragged`, `Words`."""


def to_arrow(table: Table, columns: Columns) -> pa.Table:
    """Columns as an Arrow table with the schema of `table`; numbers of the right type in place.

    Raises:
        ValueError: A column is missing, unknown, of another length, or holds a null.
    """
    names = table.names
    if set(columns) != set(names):
        raise ValueError(f"'{table.name}' needs columns {list(names)}, got {sorted(columns)}")
    arrays = [_to_array(columns[column.name], column.type) for column in table.columns]
    result = pa.Table.from_arrays(arrays, schema=table.schema)
    result.validate()
    for name in names:
        if result.column(name).null_count:
            raise ValueError(f"column '{name}' of '{table.name}' holds a null")
    return result


def in_parts(table: Table, columns: Columns) -> Iterator[Columns]:
    """Columns as parts that follow each other, none with more values than a row group holds.

    So a column of any size becomes Arrow's, whose lists count entries with 32 bits, and no more of
    it at once than is written at once.
    """
    most: NDArray[np.int64] | None = None
    for column in table.columns:
        if column.is_list and column.name in columns:
            lengths = _lengths(columns[column.name])
            if most is not None and len(most) != len(lengths):
                yield columns  # which `to_arrow` refuses
                return
            most = lengths if most is None else np.maximum(most, lengths)
    cuts = [0] if most is None else list(_cuts(most))
    if len(cuts) == 1:
        yield columns
        return
    for start, stop in pairwise([*cuts, None]):
        yield {name: values[start:stop] for name, values in columns.items()}


def _to_array(values: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        combined = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        return combined.cast(kind)
    if pa.types.is_list(kind):
        lists = _ragged(values)
        inner = _flat(lists.values, kind.value_type)
        return pa.ListArray.from_arrays(pa.array(lists.offsets, pa.int32()), inner, type=kind)
    if isinstance(values, Words):
        codes = pa.array(np.ascontiguousarray(values.codes))
        words = pa.array(values.words, pa.string())
        return pa.DictionaryArray.from_arrays(codes, words).cast(kind)
    if isinstance(values, np.ndarray):
        return _flat(values, kind)
    return pa.array(values, type=kind)


def _flat(values: NDArray[Any], kind: pa.DataType) -> pa.Array:
    return pa.array(values.astype(kind.to_pandas_dtype(), copy=False), type=kind)


def _ragged(values: Any) -> Ragged:
    if isinstance(values, np.ndarray) and values.ndim == 2:
        return Ragged.of_rows(values)
    return Ragged.of(values)


def _lengths(values: Any) -> NDArray[np.int64]:
    """How many entries each list has."""
    if isinstance(values, pa.Array | pa.ChunkedArray):
        found = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
        return np.asarray(found, dtype=np.int64)
    if isinstance(values, np.ndarray) and values.ndim == 2:
        return np.full(values.shape[0], values.shape[1], dtype=np.int64)
    if isinstance(values, Ragged):
        return values.lengths
    return np.array([len(item) for item in values], dtype=np.int64)


def row_groups(table: pa.Table) -> Iterator[pa.Table]:
    """Parts of a table that follow each other, each small enough for one row group."""
    lengths = [
        pc.list_value_length(table.column(field.name)).to_numpy()
        for field in table.schema
        if pa.types.is_list(field.type)
    ]
    most = np.maximum.reduce(lengths) if lengths else np.zeros(table.num_rows, np.int64)
    for start, stop in pairwise([*_cuts(most), table.num_rows]):
        yield table.slice(start, stop - start)


def _cuts(lengths: NDArray[Any]) -> Iterator[int]:
    """Where a row group begins; `lengths` are of the longest list of each row, int[n]."""
    before = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    start = 0
    while start < len(lengths):
        yield start
        fit = int(np.searchsorted(before, before[start] + VALUES_PER_GROUP, "right")) - 1
        start = min(max(fit, start + 1), start + ROWS_PER_GROUP, len(lengths))
