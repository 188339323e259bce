"""Pages of a report as tests read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup


def soup(path: Path) -> BeautifulSoup:
    """A page."""
    return BeautifulSoup(path.read_text("utf-8"), "html.parser")


def cells(table: Any) -> list[list[str]]:
    """The text of the cells of a table, row by row, headings first."""
    return [[c.get_text(" ", strip=True) for c in row.select("th, td")] for row in table("tr")]
