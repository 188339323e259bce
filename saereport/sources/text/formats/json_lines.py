"""JSON lines: an object in each line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from saereport.sources.text.formats.faults import empty, not_utf8, system_faults
from saereport.util.errors import SaereportError
from saereport.util.untrusted import Limits, check_shape

ROW = Limits(depth=256)
"""How deeply a row of a file may be nested; deeper ones are made to break readers."""


def columns(file: Path) -> list[str]:
    """The keys of the first object.

    Raises:
        SaereportError: There is none, or it cannot be read.
    """
    row = next((row for _, row in rows(file, "")), None)
    if not row:
        raise empty(file)
    return list(row)


def rows(file: Path, column: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects, whole; empty lines are none.

    Raises:
        SaereportError: A line is no JSON object.
    """
    with system_faults(file), file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                yield f"{file.name}:{number}", _object(line, file, number)


def _object(line: bytes, file: Path, number: int) -> dict[str, Any]:
    where = f"{file.name}:{number}"
    check_shape(line, where, ROW)
    try:
        row = json.loads(_decoded(line))
    except UnicodeDecodeError as error:
        raise not_utf8(file, number, line[error.start :]) from error
    except RecursionError as error:
        raise SaereportError(f"{where}: nested too deeply.", "Take that line out.") from error
    except ValueError as error:
        if "integer string conversion" in str(error):
            digits = sys.get_int_max_str_digits()
            raise SaereportError(
                f"{where}: a number of more than {digits:,} digits.", "Take that line out."
            ) from error
        raise SaereportError(f"{where}: not JSON: {error}.") from error
    if not isinstance(row, dict):
        raise SaereportError(f"{where}: not a JSON object.")
    return row


def _decoded(line: bytes) -> str:
    """A line as text; halves of surrogate pairs, which some programs write as bytes, are kept."""
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError:
        return line.decode("utf-8", errors="surrogatepass")
