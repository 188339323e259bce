"""Where things lie and how they are linked: in a folder of pages, or in one file.

Page models name other pages by their path from the report's root. A layout makes the address of
such a path on a page, and the id of a place on it; a sink takes pages, data and downloads in.
"""

from __future__ import annotations

import posixpath
from typing import Protocol

from saereport.site.parts.registry import Item


class Layout(Protocol):
    """How the pages of a report refer to each other."""

    template: str
    """The template that the page's own one extends: around its content."""

    def href(self, here: str, address: str) -> str:
        """The address to write on a page.

        Args:
            here: Path of the page.
            address: A path from the report's root, with `#place` for a place on that page;
                `#place` alone is a place on this page; what has a scheme leads out of the report.
        """

    def at(self, here: str, name: str) -> str:
        """The id of a place on a page."""


class Sink(Protocol):
    """Takes in what a report consists of."""

    def add(self, item: Item) -> None:
        """Write a page, data or a download."""


def leads_out(address: str) -> bool:
    """Whether an address is one outside of the report."""
    return address.startswith("https:")


class FolderLayout:
    """A page is a file; addresses are relative, so that a report opens from a disk."""

    template = "base.html"

    def href(self, here: str, address: str) -> str:
        """See `Layout`."""
        path, mark, place = address.partition("#")
        if leads_out(address) or not path:
            return address
        folder = posixpath.dirname(here)
        return posixpath.relpath(path, folder or ".") + mark + place

    def at(self, here: str, name: str) -> str:
        """See `Layout`."""
        return name


class SingleLayout:
    """A page is a section of one document: its ids lie behind its path, `methods.html#words`.

    Attributes:
        linked: Pages and downloads that an address was made of, each with a page that holds one.
    """

    template = "leaf.html"

    def __init__(self) -> None:
        self.linked: dict[str, str] = {}

    def href(self, here: str, address: str) -> str:
        """See `Layout`."""
        if leads_out(address):
            return address
        path, mark, place = address.partition("#")
        self.linked.setdefault(path or here, here)
        return f"#{path or here}{mark}{place}"

    def at(self, here: str, name: str) -> str:
        """See `Layout`."""
        return f"{here}#{name}"
