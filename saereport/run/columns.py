"""Columns as Arrow tables, cut into row groups that the reader takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from saereport.run.table import Table

ROWS_PER_GROUP: Final = 8192
VALUES_PER_GROUP: Final = 2**26
"""Values of one list column in a row group at most, unless one row alone has more; the reader
takes twice as many."""

Columns = Mapping[str, Any]
"""Column name to values: lists, numpy arrays, or lists of either."""


def to_arrow(table: Table, columns: Columns) -> pa.Table:
    """Columns as an Arrow table with the schema of `table`.

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


def _to_array(values: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        combined = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        return combined.cast(kind)
    if pa.types.is_list(kind):
        if isinstance(values, np.ndarray) and values.ndim == 2:
            offsets = np.arange(values.shape[0] + 1, dtype=np.int64) * values.shape[1]
            flat = values.reshape(-1)
        else:
            lengths = [len(item) for item in values]
            offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
            filled = [np.asarray(item) for item in values if len(item)]
            flat = np.concatenate(filled) if filled else np.empty(0)
        inner = pa.array(flat.astype(kind.value_type.to_pandas_dtype()), type=kind.value_type)
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), inner, type=kind)
    if isinstance(values, np.ndarray):
        return pa.array(values.astype(kind.to_pandas_dtype()), type=kind)
    return pa.array(values, type=kind)


def row_groups(table: pa.Table) -> Iterator[pa.Table]:
    """Parts of a table that follow each other, each small enough for one row group."""
    lengths = [
        pc.list_value_length(table.column(field.name)).to_numpy()
        for field in table.schema
        if pa.types.is_list(field.type)
    ]
    most = np.maximum.reduce(lengths) if lengths else np.zeros(table.num_rows, np.int64)
    before = np.concatenate([[0], np.cumsum(most, dtype=np.int64)])
    start = 0
    while start < table.num_rows:
        fit = int(np.searchsorted(before, before[start] + VALUES_PER_GROUP, "right")) - 1
        stop = min(max(fit, start + 1), start + ROWS_PER_GROUP, table.num_rows)
        yield table.slice(start, stop - start)
        start = stop
