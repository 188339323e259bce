"""The pages of attribution graphs."""

from __future__ import annotations

from pathlib import Path

from saereport.site.context import Report
from saereport.site.pages import Pages


def write_graphs(report: Report, pages: Pages, folder: Path) -> dict[int, str]:
    """Write a page for each attribution graph.

    Returns:
        File name of the page, by the number of its prompt.
    """
    return {}
