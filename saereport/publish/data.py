"""Addresses that scripts will make of a report's data: links to latents, and cells with an `href`.

The rows of `latents.js` become links to articles, and all other data, of whatever part and whether
its plug-in is installed here or not, names pages of latents and has cells that link somewhere. Data
is read a piece at a time, however long its lines are.
"""

from __future__ import annotations

import io
import json
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

from saereport.publish.findings import Finding, error
from saereport.publish.links import Site, check_reference
from saereport.publish.page import ReadPage, Record, Reference
from saereport.site.parts.registry import REPORT_DATA

TABLE = "latents.js"
MOST_FINDINGS = 200
"""Findings in one script: what is wrong everywhere is said often enough."""
_RECEIVER = b"(self.saereport=self.saereport||[]).push("
_PIECE = 2**20
"""Bytes that are looked at together."""
_OVERLAP = 4096
"""Bytes of a long line that are looked at twice: no address is longer."""
_HEAD = re.compile(rb'"kind":"latents","sae":("(?:[^"\\]|\\.){0,500}")')
_ROW = re.compile(rb"\[(\d{1,15}),")
_ADDRESS = re.compile(
    rb'"((?:[a-z0-9][a-z0-9._-]{0,200}/)?l\d{4,15}\.html#latent-\d{1,15})"'
    rb'|"href":("(?:[^"\\]|\\.){0,2000}")'
)


@dataclass(frozen=True)
class _Script:
    """A data script, or a record in one file.

    Attributes:
        path: The file.
        line: Where the data begins in it.
        inside: In one file, where a folder has the data; empty for a script.
        root: The folder of the report.
        page: In one file, the page.
    """

    path: str
    line: int
    inside: str
    root: str
    page: ReadPage | None

    @property
    def folder(self) -> str:
        """The folder in which the pages of its latents lie."""
        at = posixpath.join(self.root, self.inside) if self.inside else self.path
        return posixpath.dirname(at)


def check_data(path: str, stream: BinaryIO, site: Site) -> Iterator[Finding]:
    """Findings about the addresses in one script, if it is data of a report."""
    root = _root(path, site)
    if root is not None and stream.read(len(_RECEIVER)) == _RECEIVER:
        yield from _first(_problems(_Script(path, 1, "", root, None), stream, site))


def check_record(path: str, page: ReadPage, record: Record, site: Site) -> Iterator[Finding]:
    """Findings about the addresses in one record of a report in one file."""
    stream = io.BytesIO(record.text.encode("utf-8", "replace"))
    script = _Script(path, record.line, record.path, posixpath.dirname(path), page)
    yield from _first(_problems(script, stream, site))


def _first(found: Iterator[Finding]) -> Iterator[Finding]:
    return islice(found, MOST_FINDINGS)


def _root(path: str, site: Site) -> str | None:
    """The folder of the report that a script belongs to; None where there is none."""
    folder = posixpath.dirname(path)
    while posixpath.join(folder, REPORT_DATA) not in site.files:
        if not folder:
            return None
        folder = posixpath.dirname(folder)
    return folder


def _problems(script: _Script, stream: BinaryIO, site: Site) -> Iterator[Finding]:
    is_table = posixpath.basename(script.inside or script.path) == TABLE
    for number, text, begins in _pieces(stream):
        line = script.line + number
        if is_table and begins and number == 0:
            head = _HEAD.search(text)
            if head is None or _string(head[1]) != posixpath.basename(script.folder):
                message = "the table does not say that it is of the SAE in this folder"
                yield error(script.path, line, "data", message)
                return
        row = _ROW.match(text) if is_table and begins else None
        if row and (script.folder, row[1].decode()) not in site.latents:
            message = f"the table lists latent {row[1].decode()}, and no page beside it shows it"
            yield error(script.path, line, "anchor", message)
        for found in dict.fromkeys(_ADDRESS.findall(text)):
            yield from _of_address(script, line, found, site)


def _of_address(
    script: _Script, line: int, found: tuple[bytes, bytes], site: Site
) -> Iterator[Finding]:
    address = found[0].decode() or _string(found[1])
    # What a cell links to is written by our scripts, with `noreferrer`.
    reference = Reference(line, "a", "data", address, "noreferrer")
    if script.page is not None:
        if ":" not in address and not address.startswith(("/", "\\")):
            reference = Reference(line, "a", "data", f"#{address}", "noreferrer")
        yield from check_reference(script.path, reference, site, script.page)
        return
    # Data names addresses from the root of its report.
    base = posixpath.join(script.root, REPORT_DATA)
    for problem in check_reference(base, reference, site):
        yield Finding(script.path, line, problem.rule, problem.severity, problem.message)


def _string(text: bytes) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        return text.decode("utf-8", "replace")


def _pieces(stream: BinaryIO) -> Iterator[tuple[int, bytes, bool]]:
    """Lines from 0, those that are long in pieces; each says whether its line begins with it."""
    number, kept = 0, b""
    while part := stream.readline(_PIECE):
        yield number, kept + part, not kept
        if part.endswith(b"\n"):
            number, kept = number + 1, b""
        else:
            kept = part[-_OVERLAP:]
