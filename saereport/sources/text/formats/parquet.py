"""Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from saereport.sources.text.documents import mask_column
from saereport.sources.text.formats.faults import table_faults
from saereport.sources.text.formats.tables import pieces


def columns(file: Path) -> list[str]:
    """The names of the columns.

    Raises:
        SaereportError: It cannot be read.
    """
    import pyarrow.parquet as pq

    with table_faults(file, "Parquet"):
        return list(pq.read_schema(file).names)


def rows(file: Path, column: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows.

    Raises:
        SaereportError: One of them cannot be read.
    """
    import pyarrow.parquet as pq

    with table_faults(file, "Parquet"), pq.ParquetFile(file) as table:
        names = table.schema_arrow.names
        wanted = [name for name in (column, mask_column(column, names)) if name is not None]
        # A dot in a name would be read as a path into a nested column.
        asked = None if any("." in name for name in wanted) else wanted
        number = 0
        for batch in table.iter_batches(batch_size=1024, columns=asked):
            for some in pieces(batch):
                for row in some:
                    number += 1
                    yield f"{file.name}: row {number:,}", row
