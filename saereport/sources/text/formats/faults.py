"""What goes wrong when a file is read, as one line: the system, the encoding, the file itself."""

from __future__ import annotations

import codecs
import contextlib
from collections.abc import Iterator
from pathlib import Path

from saereport.util.errors import SaereportError
from saereport.util.untrusted import UNREADABLE

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@contextlib.contextmanager
def system_faults(path: Path) -> Iterator[None]:
    """What the system says about a file (no permission, a failing disk) as one line."""
    try:
        yield
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise SaereportError(f"{path.name} cannot be read: {reason or error}.") from error


@contextlib.contextmanager
def table_faults(file: Path, kind: str) -> Iterator[None]:
    """What reading Parquet or Arrow fails with, told apart."""
    with system_faults(file), file.open("rb"):
        pass  # what the system says is not for the library to put into its own words
    try:
        yield
    except UnicodeDecodeError as error:
        raise SaereportError(
            f"{file.name} holds text that is not UTF-8 (byte 0x{error.object[error.start]:02x}).",
            "Write the file anew with text in UTF-8.",
        ) from error
    except PermissionError as error:
        raise SaereportError(f"{file.name} cannot be read: {error.strerror}.") from error
    except UNREADABLE as error:
        short = " ".join(str(error).split())[:100]
        raise SaereportError(
            f"{file.name} cannot be read as {kind}: {short}", "It may be damaged, or cut short."
        ) from error


def empty(file: Path) -> SaereportError:
    """The error that a file holds nothing."""
    return SaereportError(f"The text {file.name} is empty.", "Give another --dataset.")


def not_utf8(file: Path, line: int, at: bytes) -> SaereportError:
    """The error that a line is not UTF-8; `at` are the bytes from which on it is not."""
    if line == 1 and at.startswith(_UTF16):
        return SaereportError(f"{file.name}:1: UTF-16, not UTF-8.", "Save the file as UTF-8.")
    return SaereportError(
        f"{file.name}:{line}: not UTF-8 (byte 0x{at[0]:02x}).", "Save the file as UTF-8."
    )


def holds_nul(file: Path, line: int) -> SaereportError:
    """The error that a line holds a NUL, as text in UTF-16 does, and files with holes."""
    return SaereportError(
        f"{file.name}:{line}: a NUL byte, which no text holds.",
        "If the file is UTF-16, save it as UTF-8; otherwise it is damaged there.",
    )
