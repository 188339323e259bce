"""Arrow's own files, as streams (what the datasets library writes) or with an index (Feather).

They are mapped into memory and read batch by batch; what is read is validated first, because
Arrow trusts the offsets of a file that it maps.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from saereport.sources.text.documents import mask_column
from saereport.sources.text.formats.faults import empty, system_faults, table_faults
from saereport.sources.text.formats.tables import pieces
from saereport.util.errors import SaereportError

_INDEXED = b"ARROW1"
_END = b"\xff\xff\xff\xff\0\0\0\0"
"""What a stream ends with that was written to its end."""


def columns(file: Path) -> list[str]:
    """The names of the columns.

    Raises:
        SaereportError: It cannot be read.
    """
    with _opened(file) as (schema, _):
        return list(schema.names)


def rows(file: Path, column: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows.

    Raises:
        SaereportError: One of them cannot be read.
    """
    with _opened(file) as (schema, batches):
        names = [name for name in (column, mask_column(column, schema.names)) if name is not None]
        number = 0
        for batch in batches:
            found = batch.select(names)
            found.validate(full=True)
            for some in pieces(found):
                for row in some:
                    number += 1
                    yield f"{file.name}: row {number:,}", row


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[tuple[Any, Iterator[Any]]]:
    """A file's schema and its record batches."""
    import pyarrow as pa

    with system_faults(file), file.open("rb") as stream:
        indexed = stream.read(len(_INDEXED)) == _INDEXED
        size = stream.seek(0, 2)
        stream.seek(max(0, size - len(_END)))
        whole = stream.read() == _END
    if not size:
        raise empty(file)
    with table_faults(file, "Arrow"), pa.memory_map(str(file)) as source:
        if indexed:
            table = pa.ipc.open_file(source)
            yield table.schema, map(table.get_batch, range(table.num_record_batches))
            return
        batches = pa.ipc.open_stream(source)
        if not whole:
            # Without its end a stream cut between two batches reads as if that were all.
            raise SaereportError(
                f"{file.name} is cut short: the mark at the end of an Arrow stream is missing.",
                "Copy it again, or write it anew.",
            )
        yield batches.schema, iter(batches)
