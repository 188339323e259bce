"""Read files of unknown origin: gzip and JSON with a ceiling on everything that grows.

A small file can stand for gigabytes: gzip packs a thousand to one, `[[[[` nests without end, and a
list of empty lists takes thirty times its bytes in memory. The readers here know how much is
allowed before they read, count while they read, and say in one line which file went too far.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa

from saereport.util.errors import SaereportError

MIB = 2**20
TEXT_BYTES = 2**16
"""Of one label, name or other text in a run."""
TOKEN_IDS = 405_856
"""Token ids of a run lie below; the largest vocabularies have some 260,000 tokens."""
_CHUNK = MIB
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_GZIP_MAGIC = b"\x1f\x8b"

UNREADABLE = (
    *(pa.ArrowInvalid, pa.ArrowKeyError, pa.ArrowTypeError, pa.ArrowIndexError),
    *(pa.ArrowNotImplementedError, pa.ArrowCapacityError, pa.ArrowSerializationError),
    *(OSError, UnicodeDecodeError),
)
"""What pyarrow raises for what is no Parquet; the last for names of columns that are no text.

Not `ArrowMemoryError`: when memory runs out, no file is damaged.
"""


@dataclass(frozen=True)
class Limits:
    """How much of a file is read.

    Attributes:
        file_bytes: Size of the file as it lies on the disk.
        text_bytes: Size of what is in it, after decompression.
        ratio: How many bytes one compressed byte may become; checked beyond the first `free_bytes`.
        free_bytes: Decompressed bytes up to which the ratio is not looked at.
        line_bytes: Length of one line, for files that are read by lines.
        depth: How deeply JSON may be nested.
        values: How many values one JSON text may hold.
    """

    file_bytes: int = 1024 * MIB
    text_bytes: int = 4096 * MIB
    ratio: int = 250
    free_bytes: int = 16 * MIB
    line_bytes: int = 16 * MIB
    depth: int = 32
    values: int = 16_000_000


def chunks(path: Path, limits: Limits) -> Iterator[bytes]:
    """The content of a file, decompressed if it is gzip, a MiB at a time.

    Raises:
        SaereportError: It cannot be read, is no ordinary file, is damaged, or is over a limit.
    """
    with _ordinary(path, limits) as stream:
        packed = stream.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        stream.seek(0)
        source = gzip.GzipFile(fileobj=stream) if packed else stream
        total = 0
        while True:
            try:
                chunk = source.read(_CHUNK)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise SaereportError(f"{path.name} cannot be read: {error}.") from error
            if not chunk:
                return
            total += len(chunk)
            if total > limits.text_bytes:
                raise SaereportError(
                    f"{path.name} holds more than {_size(limits.text_bytes)}, which is the limit."
                )
            if packed and total > max(limits.free_bytes, limits.ratio * stream.tell()):
                raise SaereportError(
                    f"{path.name} grows more than {limits.ratio} times when it is decompressed; "
                    "it is not read any further."
                )
            yield chunk


def content(path: Path, limits: Limits) -> bytes:
    """The whole content of a file, decompressed if it is gzip.

    Raises:
        SaereportError: As in `chunks`.
    """
    return b"".join(chunks(path, limits))


def lines(path: Path, limits: Limits) -> Iterator[tuple[int, bytes]]:
    r"""The lines of a file with their numbers from 1; only `\n` ends a line, as in JSON lines.

    Raises:
        SaereportError: As in `chunks`, or a line is too long.
    """
    number, rest = 1, b""
    for chunk in chunks(path, limits):
        first, *others = chunk.split(b"\n")
        rest += first
        _check_line(path, number, rest, limits)
        for other in others:
            yield number, rest
            number, rest = number + 1, other
            _check_line(path, number, rest, limits)
    if rest:
        yield number, rest


def utf8(data: bytes, where: str) -> str:
    """UTF-8 as text, without the byte order mark that some editors begin a file with.

    Raises:
        SaereportError: It is not UTF-8, or holds a NUL, as UTF-16 read as UTF-8 does; the message
            begins with `where`.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SaereportError(f"{where}: not UTF-8.", "Save the file as UTF-8.") from error
    if "\0" in text:
        raise SaereportError(
            f"{where}: holds a NUL.",
            "If the file is UTF-16, save it as UTF-8; otherwise it is damaged there.",
        )
    return text


def parse_json(text: bytes, where: str, limits: Limits) -> Any:
    """JSON, after a look at how deep and how large it is.

    Args:
        text: UTF-8, with or without a byte order mark.
        where: The file, and the line if there is one, for the message.
        limits: `depth` and `values` count here.

    Raises:
        SaereportError: It is not UTF-8 or not JSON, or over a limit.
    """
    check_shape(text, where, limits)
    try:
        return json.loads(text.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise SaereportError(f"{where}: not UTF-8 (byte {error.start:,}).") from error
    except ValueError as error:
        raise SaereportError(f"{where}: not JSON: {json_fault(error)}.") from error


_JSON: Final = {
    "Expecting value": "a value is missing",
    "Expecting ',' delimiter": "a comma is missing, or what ends the list or object",
    "Expecting ':' delimiter": "a colon is missing",
    "Expecting property name enclosed in double quotes": "a name in double quotes is missing",
    "Illegal trailing comma before end of object": "a comma stands before the end of the object",
    "Illegal trailing comma before end of array": "a comma stands before the end of the list",
    "Extra data": "there is more behind the end",
    "Unterminated string starting at": "the text that begins here has no end",
    "Invalid control character at": "a line break, or another control character, is inside a text",
    "Invalid \\escape": "a backslash stands before what needs none",
    "Invalid \\uXXXX escape": "four digits are missing behind \\u",
    "Unexpected UTF-8 BOM (decode using utf-8-sig)": "it begins with two byte order marks",
}
"""What Python says of JSON that is none, in plain words."""


def json_fault(error: ValueError) -> str:
    """What is wrong with a text that is no JSON, and where in it, as a clause."""
    if not isinstance(error, json.JSONDecodeError):
        return " ".join(str(error).split())
    words = _JSON.get(error.msg.rstrip(": "), error.msg)
    line = f"line {error.lineno:,}, " if "\n" in error.doc.strip() else ""
    return f"{line}column {error.colno:,}: {words}"


def check_shape(text: bytes, where: str, limits: Limits) -> None:
    """Refuse JSON that is too deep or holds too many values, counted without parsing it.

    Raises:
        SaereportError: It is over a limit; the message begins with `where`.
    """
    opened = text.count(b"[") + text.count(b"{")
    if opened <= limits.depth and text.count(b",") < limits.values:
        return
    depth = values = 0
    inside = False
    rest = b""
    for start in range(0, len(text), _CHUNK):
        piece = _ESCAPE.sub(b"", rest + text[start : start + _CHUNK])
        rest = piece[-1:] if piece.endswith(b"\\") else b""
        data = np.frombuffer(piece, np.uint8)
        quoted = (np.cumsum(data == ord('"')) + inside) % 2 == 1
        inside = bool(quoted[-1]) if len(quoted) else inside
        opens = ((data == ord("[")) | (data == ord("{"))) & ~quoted
        closes = ((data == ord("]")) | (data == ord("}"))) & ~quoted
        steps = np.cumsum(opens.astype(np.int32) - closes)
        if len(steps) and depth + int(steps.max()) > limits.depth:
            raise SaereportError(
                f"{where}: nested more than {limits.depth} deep, which is the limit."
            )
        depth += int(steps[-1]) if len(steps) else 0
        values += int(((data == ord(",")) & ~quoted).sum() + opens.sum())
        if values > limits.values:
            raise SaereportError(
                f"{where}: holds more than {limits.values:,} values, which is the limit."
            )


@contextmanager
def _ordinary(path: Path, limits: Limits) -> Iterator[BinaryIO]:
    try:
        # A pipe is opened without waiting for its writer, and then refused.
        descriptor = os.open(path, os.O_RDONLY | _AT_ONCE)
        with os.fdopen(descriptor, "rb") as stream:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise SaereportError(f"'{path}' is not a file that can be read.")
            if found.st_size > limits.file_bytes:
                raise SaereportError(
                    f"{path.name} is larger than {_size(limits.file_bytes)}, which is the limit."
                )
            yield stream
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise SaereportError(f"'{path}' cannot be read: {reason or error}.") from error


def _check_line(path: Path, number: int, line: bytes, limits: Limits) -> None:
    if len(line) > limits.line_bytes:
        raise SaereportError(
            f"{path.name}:{number}: the line is longer than {_size(limits.line_bytes)}, which is "
            "the limit."
        )


def _size(n_bytes: int) -> str:
    return f"{n_bytes / MIB:,.0f} MiB" if n_bytes >= MIB else f"{n_bytes:,} bytes"
