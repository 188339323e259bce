"""Lists of a table's rows, shortened: where entries go, those of the lists beside them go too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from saereport.run.kinds import Kind
from saereport.run.table import Column, Table


def with_only(
    table: Table, rows: pa.Table, kind: type[Kind], numbers: Sequence[int], *, alone: bool
) -> pa.Table:
    """Rows whose lists of a kind name only some numbers, or nothing (-1).

    Entries that name another go, and with them those of lists that have as many. Where a list must
    keep its length, or would be empty and may not be, its row goes; so it does where it is not
    known what else has as many entries.

    Args:
        table: The table.
        rows: Some of its rows.
        kind: What the lists hold.
        numbers: What they may name.
        alone: Whether a list that is not said to be as long as another is not.
    """
    stays = np.ones(rows.num_rows, dtype=np.bool_)
    for columns in _of_one_length(table):
        naming = [column for column in columns if isinstance(column.holds, kind)]
        if not naming:
            continue
        lengths = pc.list_value_length(rows.column(naming[0].name)).to_numpy()
        keep = np.ones(int(lengths.sum()), dtype=np.bool_)
        for column in naming:
            named = pc.list_flatten(rows.column(column.name)).to_numpy()
            keep &= (named < 0) | np.isin(named, numbers)
        of_row = np.repeat(np.arange(rows.num_rows), lengths)
        left = np.bincount(of_row[keep], minlength=rows.num_rows)
        if not alone or any(c.lengths or c.uniform or c.each for c in columns):
            stays &= left == lengths
            continue
        if any(column.never_empty for column in columns):
            stays &= (left > 0) | (lengths == 0)
        for column in columns:
            shorter = _shortened(rows.column(column.name), column, keep, left)
            rows = rows.set_column(
                table.names.index(column.name), rows.schema.field(column.name), shorter
            )
    return rows.filter(pa.array(stays))


def _of_one_length(table: Table) -> list[list[Column]]:
    """The list columns of a table, those together that have equally many entries in every row."""
    groups: list[set[str]] = []
    for column in table.columns:
        if column.is_list:
            linked = {column.name, column.same_length_as} - {""}
            apart = [group for group in groups if not group & linked]
            groups = [*apart, linked.union(*(group for group in groups if group & linked))]
    return [[column for column in table.columns if column.name in group] for group in groups]


def _shortened(
    values: pa.ChunkedArray, column: Column, keep: NDArray[np.bool_], left: NDArray[np.int64]
) -> pa.Array:
    """Lists without some entries.

    Args:
        values: The lists.
        column: Their column.
        keep: bool[entries of all rows], which stay.
        left: int[rows], how many stay.
    """
    flat = pc.list_flatten(values).filter(pa.array(keep))
    if isinstance(flat, pa.ChunkedArray):
        flat = flat.combine_chunks()
    offsets = np.concatenate([[0], np.cumsum(left)])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), flat, type=column.type)
