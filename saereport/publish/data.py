"""Addresses that scripts will make of a report's data: the latents that its tables list.

The rows of `latents.js` become links to articles, and the data of other parts, such as graphs and
prompts, names pages of latents; a row or a name without its article would be a link to nothing.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator

from saereport.publish.findings import Finding, error
from saereport.publish.links import Site, check_reference
from saereport.publish.page import Reference
from saereport.site.parts import page_folders

TABLE = "latents.js"
_RECEIVER = "(self.saereport=self.saereport||[]).push("
_HEAD = re.compile(r'"kind":"latents","sae":("(?:[^"\\]|\\.)*")')
_ROW = re.compile(r"\[(\d{1,15}),")
_ADDRESS = re.compile(r'"((?:[a-z0-9][a-z0-9._-]*/)?l\d{4,}\.html#latent-\d+)"')


def reads_data(path: str) -> bool:
    """Whether a file is one that `check_data` looks into."""
    return posixpath.basename(path) == TABLE or (path.endswith(".js") and _root(path) is not None)


def _root(path: str) -> str | None:
    """The folder of the report whose part's data this is; None if it is no part's."""
    folders = posixpath.dirname(path).split("/")
    known = page_folders()
    found = [place for place, name in enumerate(folders) if name in known]
    return "/".join(folders[: found[-1]]) if found else None


def check_data(path: str, text: str, site: Site) -> Iterator[Finding]:
    """Findings about the addresses in one data script."""
    if not text.startswith(_RECEIVER):
        return
    if posixpath.basename(path) == TABLE:
        yield from _table(path, text, site)
        return
    # Data names addresses from the root of its report.
    base = posixpath.join(_root(path) or "", "report.js")
    for number, line in enumerate(text.split("\n"), start=1):
        for address in dict.fromkeys(_ADDRESS.findall(line)):
            reference = Reference(number, "a", "data", address)
            for finding in check_reference(base, reference, site):
                yield error(path, number, finding.rule, finding.message)


def _table(path: str, text: str, site: Site) -> Iterator[Finding]:
    lines = text.split("\n")
    head = _HEAD.search(lines[0])
    folder = posixpath.dirname(path)
    if head is None or posixpath.basename(folder) != json.loads(head[1]):
        yield error(path, 1, "data", "the table does not say that it is of the SAE in this folder")
        return
    for number, line in enumerate(lines, start=1):
        row = _ROW.match(line)
        if row and (folder, row[1]) not in site.latents:
            message = f"the table lists latent {row[1]}, and no page beside it shows that latent"
            yield error(path, number, "anchor", message)
