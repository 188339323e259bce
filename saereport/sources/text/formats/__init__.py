"""Files that hold a document in each row: which columns they have, and their rows, streamed.

Of a row only the columns are read that matter: that of the documents, and its attention mask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from saereport.sources.text.formats import arrow, delimited, json_lines, parquet

Row = tuple[str, dict[str, Any]]
"""Where a row stands, and what is in it."""


class Format(NamedTuple):
    """How a kind of file is read.

    Attributes:
        columns: The names of a file's columns.
        rows: Its rows, by the name of the column that holds the documents.
    """

    columns: Callable[[Path], list[str]]
    rows: Callable[[Path, str], Iterator[Row]]


FORMATS = {
    ".jsonl": Format(json_lines.columns, json_lines.rows),
    ".ndjson": Format(json_lines.columns, json_lines.rows),
    ".csv": Format(delimited.columns, delimited.rows),
    ".tsv": Format(delimited.columns, delimited.rows),
    ".parquet": Format(parquet.columns, parquet.rows),
    ".arrow": Format(arrow.columns, arrow.rows),
}
"""By the ends of their names, the files that are read by rows."""
