"""Find the templates, and copy the fixed files (style, scripts, Plotly) into a report."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

from saereport.util.errors import SaereportError

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
SCRIPTS = ("pages.js",)
"""Bundled from `templates/scripts/`; its sources are listed there in `SHA256SUMS`."""
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
