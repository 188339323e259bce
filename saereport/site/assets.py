"""Find the templates, and copy the fixed files (style, scripts, Plotly) into a report."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

from saereport.errors import SaereportError

STYLES = (
    "tokens.css",
    "layout.css",
    "parts.css",
    "circuits.css",
    "graph.css",
    "blind.css",
    "collections.css",
    "examples.css",
    "print.css",
)
SCRIPTS = (
    "core.js",
    "format.js",
    "actions.js",
    "downloads.js",
    "markdown.js",
    "view.js",
    "brush.js",
    "pins.js",
    "notes.js",
    "lists.js",
    "figures.js",
    "examples.js",
    "attributions.js",
    "blocks.js",
    "blind.js",
    "latents.js",
    "heatmap.js",
    "circuits.js",
    "graph-data.js",
    "graph-state.js",
    "graph-layout.js",
    "graph-draw.js",
    "graph-panel.js",
    "graph-controls.js",
    "graph-checks.js",
    "graph.js",
    "scroll.js",
    "filters.js",
    "table.js",
    "sae.js",
    "overview.js",
    "compare.js",
    "page.js",
)
EARLY = "theme.js"
PLOTLY = "plotly-cartesian.min.js"
VENDORED = (PLOTLY, "plotly-LICENSE")


def templates() -> Path:
    """The folder with templates, styles, scripts and vendored files.

    Raises:
        SaereportError: The installation is incomplete.
    """
    package = Path(str(resources.files("saereport")))
    for folder in (package / "_templates", package.parent / "templates"):
        if (folder / "base.html").is_file():
            return folder
    raise SaereportError(
        f"The templates are missing beside '{package.name}'.", "Install saereport again."
    )


def copy_assets(target: Path) -> None:
    """Put everything that pages share into `target` (the report's `assets` folder)."""
    target.mkdir()
    source = templates()
    for name in (*STYLES, EARLY, *SCRIPTS):
        shutil.copyfile(source / "static" / name, target / name)
    for name in VENDORED:
        shutil.copyfile(source / "vendor" / name, target / name.lower())
