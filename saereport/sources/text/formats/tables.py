"""Rows of Arrow's tables, a few at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_BYTES, _ROWS = 8 * 2**20, 1024
"""How much of a table is Python objects at once; a single row may be more."""


def pieces(batch: Any) -> Iterator[list[dict[str, Any]]]:
    """The rows of a record batch, so many together as take little memory."""
    size = max(1, min(_ROWS, _BYTES * batch.num_rows // max(1, batch.nbytes)))
    for start in range(0, batch.num_rows, size):
        yield batch.slice(start, size).to_pylist()
