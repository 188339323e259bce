"""CSV and TSV: rows of fields, after one that names them.

A quotation mark too many turns the rest of a file into one field, so what is not written as
RFC 4180 says is refused with its line: a mark that is never closed, one inside a quoted field that
is not doubled, a row with more fields than the header or fewer. One row is in memory at a time.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from saereport.sources.text.documents import mask_column
from saereport.sources.text.formats.faults import empty, holds_nul, not_utf8, system_faults
from saereport.util.errors import SaereportError

LONGEST_FIELD = 64 * 2**20
"""Characters of a field, and of a line; what is longer is more likely a mark that is not closed."""

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_NAMES = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}


def columns(file: Path) -> list[str]:
    """The names in the first row.

    Raises:
        SaereportError: There is none, it cannot be read, or something else separates its fields.
    """
    for _, header in _records(file):
        own = _SEPARATORS[file.suffix]
        other = next((mark for mark in _NAMES if mark != own and mark in header[0]), None)
        if len(header) == 1 and other is not None:
            raise SaereportError(
                f"{file.name}:1: the columns are separated by {_NAMES[other]}; those of a "
                f"{file.suffix} file are by {_NAMES[own]}.",
                "Save it with these." if other != "\t" else "Give its name the end .tsv.",
            )
        return header
    raise empty(file)


def rows(file: Path, column: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows below the header; empty lines are none.

    Raises:
        SaereportError: One of them cannot be read, or has not as many fields as the header.
    """
    records = _records(file)
    _, header = next(records)
    names = [name for name in (column, mask_column(column, header)) if name is not None]
    places = {name: header.index(name) for name in names}
    for line, fields in records:
        where = f"{file.name}:{line}"
        if len(fields) != len(header):
            raise SaereportError(
                f"{where}: a row of {len(fields):,} fields, and the header has {len(header):,}.",
                "Text that holds the separator or a line's end has to be quoted.",
            )
        yield where, {name: fields[place] for name, place in places.items()}


def _records(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not empty, each with the line in which it begins."""
    with system_faults(file), file.open(encoding="utf-8-sig", newline=_line_end(file)) as stream:
        reader = csv.reader(_lines(file, stream), delimiter=_SEPARATORS[file.suffix], strict=True)
        while True:
            begins = reader.line_num + 1
            try:
                fields = next_row(reader)
            except csv.Error as error:
                raise row_fault(file, begins, reader.line_num, str(error)) from error
            except UnicodeDecodeError as error:
                raise _bad_line(file) from error
            if fields is None:
                return
            if fields:
                yield begins, fields


def _line_end(file: Path) -> str:
    r"""What `open` is to split lines at: `\n`, or all kinds where the header ends with `\r`.

    Elsewhere a lone `\r` outside quotation marks is of the text, and not quoted as it should be.
    """
    with file.open("rb") as stream:
        first = re.search(rb"\r\n|\r|\n", stream.read(2**16))
    return "" if first is not None and first[0] == b"\r" else "\n"


def next_row(reader: Any) -> list[str] | None:
    """The next row of a `csv.reader`, whose fields may be `LONGEST_FIELD` long; None at the end.

    Raises:
        csv.Error: It cannot be read; `row_fault` says why.
    """
    # The module has one limit for all its readers: another's is as it was when this returns.
    before = csv.field_size_limit(LONGEST_FIELD)
    try:
        return next(reader, None)
    finally:
        csv.field_size_limit(before)


def _lines(file: Path, stream: IO[str]) -> Iterator[str]:
    number = 0
    while line := stream.readline(LONGEST_FIELD + 1):
        number += 1
        if "\0" in line:
            raise holds_nul(file, number)
        if len(line) > LONGEST_FIELD:
            raise SaereportError(
                f"{file.name}:{number}: a line of more than {LONGEST_FIELD:,} characters."
            )
        yield line


def row_fault(file: Path, begins: int, line: int, said: str) -> SaereportError:
    """The error for a row that is not CSV.

    Args:
        file: The file.
        begins: The line in which the row begins.
        line: The line in which reading it failed.
        said: What the csv module says of it.
    """
    where = f"{file.name}:{begins}"
    if "unexpected end of data" in said:
        return SaereportError(
            f"{where}: a quotation mark opens a field here that is never closed.",
            "Inside a quoted field quotation marks are doubled.",
        )
    if "field larger than field limit" in said:
        return SaereportError(
            f"{where}: a field of more than {LONGEST_FIELD:,} characters.",
            "A quotation mark may not be closed.",
        )
    if "new-line character" in said:
        return SaereportError(
            f"{where}: a carriage return that ends no line, outside quotation marks.",
            "Text that holds line ends has to be quoted.",
        )
    if "expected after" in said:
        return SaereportError(
            f"{file.name}:{line}: a quotation mark inside a quoted field"
            f"{f', which begins in line {begins:,},' if begins != line else ''} is not doubled.",
            "Inside a quoted field quotation marks are doubled.",
        )
    return SaereportError(f"{where}: not {file.suffix[1:].upper()}: {said}.")


def _bad_line(file: Path) -> SaereportError:
    """The error that names the first line that is not UTF-8."""
    with file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return not_utf8(file, number, line[error.start :])
    return SaereportError(f"{file.name} is not UTF-8.", "Save the file as UTF-8.")
