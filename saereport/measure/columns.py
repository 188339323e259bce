"""What measuring hands on: columns of tables, and checkpoints. Nothing here needs torch."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

Columns = dict[str, Any]
"""One table's columns: name -> array, or list of arrays for a list column; rows in key order."""

State = dict[str, NDArray[Any]]
"""A checkpoint of an accumulator: plain numeric arrays, fit for `numpy.savez`."""
