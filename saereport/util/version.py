"""The version of saereport; `pyproject.toml` and `CITATION.cff` say the same."""

from __future__ import annotations

__version__ = "0.1.0"
