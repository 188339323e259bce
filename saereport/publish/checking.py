"""The check of a site before it is published: everything in one list of findings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO

from saereport.plugins import load_plugins
from saereport.publish.data import check_data, check_record
from saereport.publish.findings import Finding, error
from saereport.publish.limits import FILE_BYTES, check_names, check_sizes
from saereport.publish.links import Site, check_page_links, check_reference
from saereport.publish.manifests import check_manifests
from saereport.publish.page import ReadPage, read_page
from saereport.publish.policy import check_policy
from saereport.publish.styles import style_references
from saereport.util.errors import SaereportError
from saereport.util.inside import open_inside, read_inside
from saereport.util.progress import Progress

ENOUGH_FOR_PROCESSES = 64
"""Pages from which on starting more processes is worth it."""

UNREAD = (".xhtml", ".xht", ".shtml", ".svg", ".xml")
"""Files that a browser opens as pages, with scripts and all, and whose content is not checked."""


def check(
    site: Path | str, *, processes: int = 1, progress: Progress | None = None
) -> tuple[Finding, ...]:
    """Everything that speaks against publishing a site.

    Args:
        site: The folder of a report, of a landing page with its reports, or any folder that holds
            such; or a single HTML file.
        processes: How many processes may read pages at the same time.
        progress: Where to show progress.

    Returns:
        The findings, sorted by file and line.

    Raises:
        SaereportError: There is nothing at `site`.
    """
    load_plugins()
    path = Path(site)
    said = progress or Progress(quiet=True)
    if path.is_file():
        return tuple(sorted(set(_of_file(path))))
    if not path.is_dir():
        raise SaereportError(f"There is no site at '{path}'.", "Name the folder of a report.")
    return tuple(sorted(set(_of_folder(path, processes, said))))


def is_page(path: str) -> bool:
    """Whether a server sends the file as HTML."""
    return path.lower().endswith((".html", ".htm"))


def _of_file(path: Path) -> Iterator[Finding]:
    sizes = {path.name: path.stat().st_size}
    yield from check_sizes(sizes)
    yield from check_names(sizes)
    if not is_page(path.name):
        yield error(path.name, 0, "html", "a single file is an HTML page")
        return
    pages = {path.name: _read_page(path.open("rb"))}
    yield from _of_pages(pages, Site(frozenset(sizes), pages))


def _of_folder(folder: Path, processes: int, progress: Progress) -> Iterator[Finding]:
    sizes: dict[str, int] = {}
    for path, problem in _walk(folder):
        relative = path.relative_to(folder).as_posix()
        if problem:
            yield error(relative, 0, "name", problem)
        else:
            sizes[relative] = path.stat().st_size
            if relative.lower().endswith(UNREAD):
                yield error(relative, 0, "policy", "a page of this kind cannot be checked")
    yield from check_sizes(sizes)
    yield from check_names(sizes)
    yield from check_manifests(folder, sizes)
    if "index.html" not in sizes and not any(name.endswith("/index.html") for name in sizes):
        yield error("", 0, "link", "there is no index.html, so the site's address shows nothing")
    pages = _read_pages(folder, sorted(sizes), processes, progress)
    site = Site(frozenset(sizes), pages)
    yield from _of_pages(pages, site)
    for relative in sizes:
        if relative.endswith(".css"):
            for reference in style_references(_text(folder, relative)):
                yield from check_reference(relative, reference, site)
        elif relative.endswith(".js"):
            with open_inside(folder, relative) as stream:
                yield from check_data(relative, stream, site)


def _walk(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every file below a folder, and what forbids to look into it; links are not followed."""
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        path = Path(entry.path)
        if entry.is_symlink():
            yield path, "a symbolic link is not published; put the file itself there"
        elif entry.is_dir():
            if entry.name == ".git":
                yield path, "the history of a repository does not belong into a site"
            else:
                yield from _walk(path)
        elif entry.is_file():
            yield path, ""
        else:
            yield path, "neither a file nor a folder"


def _text(folder: Path, relative: str) -> str:
    return read_inside(folder, relative).decode("utf-8", "replace")


def _read_pages(
    folder: Path, paths: Iterable[str], processes: int, progress: Progress
) -> dict[str, ReadPage]:
    wanted = [path for path in paths if is_page(path)]
    read_one = partial(_read_file, folder)
    with progress.bar("pages", len(wanted), " pages") as bar:
        if processes > 1 and len(wanted) >= ENOUGH_FOR_PROCESSES:
            with ProcessPoolExecutor(processes) as pool:
                read = _counted(pool.map(read_one, wanted, chunksize=8), bar.advance)
                return dict(zip(wanted, read, strict=True))
        return dict(zip(wanted, _counted(map(read_one, wanted), bar.advance), strict=True))


def _counted(pages: Iterable[ReadPage], advance: Callable[[int], None]) -> Iterator[ReadPage]:
    for page in pages:
        advance(1)
        yield page


def _read_file(folder: Path, relative: str) -> ReadPage:
    return _read_page(open_inside(folder, relative))


def _read_page(stream: BinaryIO) -> ReadPage:
    """A page as far as it can be published: what is larger is found by its size."""
    with stream:
        return read_page(stream.read(FILE_BYTES))


def _of_pages(pages: dict[str, ReadPage], site: Site) -> Iterator[Finding]:
    for path, page in pages.items():
        for line, rule, message in page.faults:
            yield error(path, line, rule, message)
        yield from check_policy(path, page)
        yield from check_page_links(path, page, site)
        for record in page.records:
            yield from check_record(path, page, record, site)
        for code in page.inline:
            if code.tag == "style":
                for reference in style_references(code.text, code.line):
                    yield from check_reference(path, reference, site, page)
