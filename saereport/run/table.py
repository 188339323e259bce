"""What a table of a run is: a name, a fixed schema and a definition in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

I32, I64, F32, F64, TEXT = pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.string()
F16 = pa.float16()


def listed(kind: pa.DataType) -> pa.DataType:
    """A list column's type, with an item name that does not depend on the pyarrow release."""
    return pa.list_(pa.field("item", kind, nullable=False))


@dataclass(frozen=True)
class Table:
    """One table of a run.

    Attributes:
        name: File stem and registry key.
        scope: `run` for one table in the whole run, `sae` for one table per SAE.
        key: Columns that identify a row; rows are stored sorted by them.
        columns: Column names and types, in order.
        title: Heading on the methods page.
        definition: What the numbers mean, in words; paragraphs separated by blank lines.
        version: Raised when the meaning of a column changes.
    """

    name: str
    scope: Literal["run", "sae"]
    key: tuple[str, ...]
    columns: tuple[tuple[str, pa.DataType], ...]
    title: str
    definition: str
    version: int = 1

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema; no column may hold nulls."""
        return pa.schema([pa.field(name, kind, nullable=False) for name, kind in self.columns])


TOKEN_LISTS = (
    ("top_tokens", listed(I32)),
    ("top_values", listed(F32)),
    ("bottom_tokens", listed(I32)),
    ("bottom_values", listed(F32)),
)
