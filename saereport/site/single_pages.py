"""Take a report's own pages apart, and make them fit beside each other in one document.

The pages come from the templates, which write every attribute in double quotes and escape `<`, `>`
and `"` wherever they put in a value. So a start tag is `<name ...>` without `<` or `>` inside, and
an attribute ends at the next quote: two regular expressions find them all, whatever a token or a
label holds. A page that does not keep to this is a mistake in a template and stops the building.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

_TAG = re.compile(r"<[a-zA-Z][^<>]*>")
_ATTRIBUTE = re.compile(r' ([a-zA-Z-]+)="([^"<>]*)"')
_PAGE = re.compile(
    r"\A<!doctype html>\n<html(?P<root>[^<>]*)>\n<head>\n(?P<head>.*)</head>\n"
    r"<body[^<>]*>\n(?P<before>.*?<main\b[^<>]*>\n?)(?P<main>.*)(?P<after></main>.*)</body>\n</html>\n*\Z",
    re.DOTALL,
)
_TITLE = re.compile(r"<title>([^<>]*)</title>")
_SCRIPT = re.compile(r'<script src="([^"<>]*)"[^<>]*></script>')

NAMES = frozenset(
    {"id", "for", "headers", "list", "aria-labelledby", "aria-describedby", "aria-controls"}
)
"""Attributes that hold ids; `templates/static/single.js` knows the same ones."""
ADDRESSES = frozenset({"href", "data-home"})
FORBIDDEN = frozenset(
    {"src", "srcset", "action", "style", "poster", "data", "usemap", "xlink:href"}
)
"""Attributes that would refer to another file, or that the policy forbids."""


@dataclass(frozen=True)
class Page:
    """One page of a report's folder, with links and ids as the single file needs them.

    Attributes:
        path: Its path in the report, such as `resid-l10/l0000.html`.
        kind: What `data-page` says.
        sae: What `data-sae` says, or empty.
        title: Its title, still escaped.
        needs: Paths of the data scripts that it loads at once, in order.
        before: HTML of the body up to and with the opening of `<main>`.
        main: HTML inside `<main>`.
        after: HTML from the closing of `<main>` on.
        files: Files that it offers for download.
    """

    path: str
    kind: str
    sae: str
    title: str
    needs: tuple[str, ...]
    before: str
    main: str
    after: str
    files: tuple[str, ...]


def read_page(path: str, html: str, pages: Collection[str]) -> Page:
    """Take a page apart, and turn its links to pages of the report into `#<page>#<place>`.

    Args:
        path: Where it lies in the report.
        html: Its text.
        pages: The paths of all pages of the report.

    Raises:
        ValueError: The page is not as the templates make them, or refers to what is not there.
    """
    parts = _PAGE.match(html)
    title = _TITLE.search(html)
    if parts is None or title is None:
        raise ValueError(f"'{path}' is not a page of a report")
    root = dict(_ATTRIBUTE.findall(parts["root"]))
    folder = posixpath.dirname(path)
    scripts = [_joined(folder, source) for source in _SCRIPT.findall(parts["head"])]
    files: dict[str, None] = {}

    def inside(text: str) -> str:
        return _rewritten(text, path, pages, files)

    return Page(
        path=path,
        kind=root["data-page"],
        sae=root.get("data-sae", ""),
        title=title[1],
        needs=tuple(script for script in scripts if not script.startswith("assets/")),
        before=inside(parts["before"]),
        main=inside(parts["main"]),
        after=inside(parts["after"]),
        files=tuple(files),
    )


def prefixed(html: str, prefix: str) -> str:
    """The same HTML with `prefix` before each id, wherever it is named."""

    def change(name: str, value: str) -> str:
        if name not in NAMES:
            return value
        return " ".join(prefix + part for part in value.split(" "))

    return _changed(html, change)


def _rewritten(html: str, path: str, pages: Collection[str], files: dict[str, None]) -> str:
    folder = posixpath.dirname(path)

    def change(name: str, value: str) -> str:
        if name in FORBIDDEN:
            raise ValueError(f"'{path}' has an attribute {name}=\"{value}\"")
        if name not in ADDRESSES or value == "#main" or re.match(r"[a-z]+:", value):
            return value
        target, _, place = value.partition("#")
        target = _joined(folder, target) if target else path
        if target not in pages:
            if not target.endswith(".json"):
                raise ValueError(f"'{path}' links to '{value}', which one file cannot hold")
            files[target] = None
        return f"#{target}#{place}" if place else f"#{target}"

    return _changed(html, change)


def _changed(html: str, change: Callable[[str, str], str]) -> str:
    def attribute(match: re.Match[str]) -> str:
        return f' {match[1]}="{change(match[1], match[2])}"'

    return _TAG.sub(lambda tag: _ATTRIBUTE.sub(attribute, tag[0]), html)


def _joined(folder: str, relative: str) -> str:
    return posixpath.normpath(posixpath.join(folder, relative))
