"""Where the pages of circuits lie."""

from __future__ import annotations

FOLDER = "circuits"
INDEX = f"{FOLDER}/index.html"


def prompt_page(slug: str) -> str:
    """Path of a prompt's page."""
    return f"{FOLDER}/{slug}.html"


def graph_page(slug: str) -> str:
    """Path of the page of a prompt's attribution graph."""
    return f"{FOLDER}/{slug}-graph.html"


def data_path(slug: str) -> str:
    """Path of the data of a prompt's page."""
    return f"{FOLDER}/{slug}.js"
