"""The pages of prompts, and their index."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from saereport.site.context import Report
from saereport.site.pages import Pages


def write_prompts(report: Report, pages: Pages, folder: Path, graphs: Mapping[int, str]) -> None:
    """Write the index of the prompts and a page for each.

    Args:
        report: The report.
        pages: Renders templates.
        folder: The folder of the Circuits part.
        graphs: File name of the page of a prompt's attribution graph, by prompt.
    """
