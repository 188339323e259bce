"""The Circuits part of a report: an index of prompts, a page for each, and attribution graphs.

circuits/index.html            the prompts, what was found on each, averages over prompts
circuits/<slug>.html, .js      one prompt
circuits/<slug>-graph.html, .js, .json   its attribution graph
"""

from __future__ import annotations

from pathlib import Path

from saereport.site.circuits.graphs import write_graphs
from saereport.site.circuits.prompts import write_prompts
from saereport.site.context import Report
from saereport.site.pages import Pages

FOLDER = "circuits"


def write_circuits(report: Report, pages: Pages, folder: Path) -> None:
    """Write the Circuits part of a report, if its run has prompts.

    Args:
        report: The report.
        pages: Renders templates.
        folder: The report's folder.
    """
    if not report.has_circuits:
        return
    own = folder / FOLDER
    own.mkdir()
    graphs = write_graphs(report, pages, own)
    write_prompts(report, pages, own, graphs)
