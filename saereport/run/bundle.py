"""A run inside another file, such as a report in one: base64 of a plain zip between two lines.

What stands before is not the run's, and its text may be anyone's: the last such line counts. The
zip is written so that it can be read in one pass and in bounded memory: `run.json` first, then
the files that it lists, in order; everything stored as it is (Parquet is compressed already),
nothing encrypted, no folders, no links, one fixed date. Any tool opens it. The reader here takes
exactly that form and nothing else: it follows the local headers, expects the very names and sizes
that `run.json` lists, and checks every SHA-256 on the way, so a file that was tampered with can
neither write elsewhere nor grow beyond the limit.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from saereport.run.copying import content_of
from saereport.run.schema import FileInfo
from saereport.run.store import RUN_FILE, RUN_FILE_LIMIT, Run, open_run
from saereport.util.errors import SaereportError
from saereport.util.inside import read_inside

BEGIN = "-----BEGIN SAEREPORT RUN-----"
END = "-----END SAEREPORT RUN-----"
"""The lines around the data; base64 has no `-`."""
TOTAL_LIMIT = 2**30
"""Bytes of a run that are taken out of one file."""
LINE = 4096
"""Characters a line, so that editors and diffs can show the file; a multiple of 4."""

_DATE = (1980, 1, 1, 0, 0, 0)
_LOCAL, _CENTRAL = b"PK\x03\x04", b"PK\x01\x02"
_HEADER = struct.Struct("<4s5H3I2H")
_PIECE = 2**20


def bundle(run: Run) -> str:
    """The run as text: base64 in lines, the same for the same run, between `BEGIN` and `END`.

    Raises:
        SaereportError: The run is damaged, or too large to be one file.
    """
    run.verify()
    files = sorted(run.info.files, key=lambda file: file.path)
    total = sum(file.bytes for file in files)
    if total > TOTAL_LIMIT:
        raise SaereportError(
            f"The run has {total / 2**20:,.0f} MiB; at most {TOTAL_LIMIT // 2**20:,} MiB fit into "
            "one file.",
            "Take some latents out of it with 'saereport extract'.",
        )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        about = read_inside(run.path, RUN_FILE, limit=RUN_FILE_LIMIT)
        contents = ((file.path, content_of(run, file.path)) for file in files)
        for path, content in chain([(RUN_FILE, about)], contents):
            entry = zipfile.ZipInfo(path, _DATE)
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, content)
    text = base64.b64encode(packed.getbuffer()).decode("ascii")
    return "\n".join([BEGIN, *(text[at : at + LINE] for at in range(0, len(text), LINE)), END])


@contextmanager
def unbundled(html: Path) -> Iterator[Run]:
    """The run inside another file, in a temporary folder for as long as the block lasts.

    Args:
        html: A file that `saereport` wrote with `--single-file`.

    Raises:
        SaereportError: There is no such file, it holds no run, or the run in it is damaged.
    """
    if not html.is_file():
        raise SaereportError(f"There is no file '{html}'.")
    with TemporaryDirectory(prefix="saereport-") as name:
        folder = Path(name).resolve()
        try:
            with html.open("rb") as stream:
                run = _extract(_Decoded(stream, html), folder, html)
        except SaereportError as error:
            message = error.message.replace(str(folder), str(html))
            raise SaereportError(message, error.hint) from error
        yield run


@contextmanager
def opened_run(path: Path) -> Iterator[Run]:
    """A run, the run of a report's folder, or the run inside a report's single file.

    Raises:
        SaereportError: There is none, or it is damaged.
    """
    if path.is_file():
        with unbundled(path) as run:
            yield run
    else:
        yield open_run(path)


class _Decoded:
    """The bytes of the run, decoded as they are asked for."""

    def __init__(self, stream: BinaryIO, html: Path) -> None:
        self._stream = stream
        self._html = html
        _go_behind_beginning(stream, html)
        self._text = self._bytes = b""
        self._ended = False

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes.

        Raises:
            SaereportError: The block ends before, or is not base64.
        """
        parts: list[bytes] = []
        missing = size
        while missing:
            if not self._bytes:
                self._more()
            part, self._bytes = self._bytes[:missing], self._bytes[missing:]
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def _more(self) -> None:
        if self._ended:
            raise _damaged(self._html, "the run in it ends too early")
        piece = self._stream.read(_PIECE)
        text, end, _ = (self._text + piece).partition(b"-")
        self._ended = bool(end) or not piece
        text = text.translate(None, b"\r\n")
        whole = len(text) if self._ended else len(text) - len(text) % 4
        self._text = text[whole:]
        try:
            self._bytes = base64.b64decode(text[:whole], validate=True)
        except binascii.Error as error:
            raise _damaged(self._html, "the run in it is not base64") from error


def _go_behind_beginning(stream: BinaryIO, html: Path) -> None:
    """Let the stream stand at what follows the last `BEGIN`."""
    begin = BEGIN.encode("ascii")
    at = stream.seek(0, io.SEEK_END)
    rest = b""
    while at:
        # Backwards, with the beginning of what was read before: the words may lie across pieces.
        start = max(0, at - _PIECE)
        stream.seek(start)
        piece = stream.read(at - start)
        found = (piece + rest).rfind(begin)
        if found >= 0:
            stream.seek(start + found + len(begin))
            return
        at, rest = start, piece[: len(begin) - 1]
    raise SaereportError(
        f"'{html}' holds no run.",
        "Give a run's folder, a report's, or a file that was written with --single-file.",
    )


def _extract(data: _Decoded, folder: Path, html: Path) -> Run:
    size = _header(data, RUN_FILE, html)
    if size > RUN_FILE_LIMIT:
        raise _damaged(html, f"its {RUN_FILE} is larger than {RUN_FILE_LIMIT // 2**20} MiB")
    (folder / RUN_FILE).write_bytes(data.read(size))
    run = open_run(folder)
    files = sorted(run.info.files, key=lambda file: file.path)
    if len({file.path for file in files}) != len(files):
        raise _damaged(html, "it lists a file twice")
    if sum(max(file.bytes, 0) for file in files) > TOTAL_LIMIT:
        raise _damaged(html, f"the run in it is larger than {TOTAL_LIMIT // 2**20:,} MiB")
    for file in files:
        if _header(data, file.path, html) != file.bytes:
            raise _damaged(html, f"'{file.path}' has another size than {RUN_FILE} says")
        _copy(data, file, folder / file.path, html)
    if data.read(4) != _CENTRAL:
        raise _damaged(html, f"it holds a file that {RUN_FILE} does not list")
    return run


def _header(data: _Decoded, expected: str, html: Path) -> int:
    """The size of the next file, which must be the expected one and stored as it is."""
    fields = _HEADER.unpack(data.read(_HEADER.size))
    magic, _, flags, method, _, _, _, packed, size, n_name, n_extra = fields
    name = expected.encode("ascii")
    if magic != _LOCAL or n_name != len(name) or data.read(n_name) != name:
        raise _damaged(html, f"where '{expected}' should be there is something else")
    if flags or method or n_extra or packed != size:
        raise _damaged(html, f"'{expected}' is not stored plainly")
    return int(size)


def _copy(data: _Decoded, file: FileInfo, path: Path, html: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    missing = file.bytes
    with path.open("wb") as stream:
        while missing:
            part = data.read(min(missing, _PIECE))
            digest.update(part)
            stream.write(part)
            missing -= len(part)
    if digest.hexdigest() != file.sha256:
        raise _damaged(html, f"'{file.path}' in it does not have the SHA-256 of {RUN_FILE}")


def _damaged(html: Path, why: str) -> SaereportError:
    return SaereportError(f"'{html}' is damaged: {why}.", "Get it again from where it came from.")
