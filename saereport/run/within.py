"""Whether the numbers of a table are ones that a run may hold, before it is written.

The reader refuses a run with other numbers; asked here first, a table is left out with its reason,
and what took hours to measure can be read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from saereport.run.registry import TABLES
from saereport.util.ragged import Ragged


def beyond(name: str, columns: Any) -> str:
    """Why a table cannot be held, as the end of a sentence; empty where it can.

    Args:
        name: The table's name in `TABLES`.
        columns: Its columns as `RunWriter.write` takes them.
    """
    for column in TABLES[name].columns:
        if column.holds.form != "real":
            continue
        values = _flat(columns[column.name])
        with np.errstate(over="ignore"):
            stored = values.astype(column.item.to_pandas_dtype()).astype(np.float64)
        low, high = (-np.inf, np.inf) if column.item == pa.float16() else column.bounds
        bad = ~(np.isfinite(stored) & (stored >= low) & (stored <= high))
        if bad.any():
            worst = values[bad][0]
            return (
                f"'{column.name}' would hold numbers that a report cannot show "
                f"({int(bad.sum()):,}, such as {float(worst):.3g})"
            )
    return ""


def _flat(values: Any) -> np.ndarray:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(values, pa.Array):
        flat = values.flatten() if pa.types.is_list(values.type) else values
        return np.asarray(flat.to_numpy(zero_copy_only=False))
    if isinstance(values, Ragged):
        return values.values
    if isinstance(values, np.ndarray) and values.dtype != object:
        return values.reshape(-1)
    parts = [np.asarray(part, dtype=np.float64).reshape(-1) for part in values]
    return np.concatenate(parts) if parts else np.zeros(0)
