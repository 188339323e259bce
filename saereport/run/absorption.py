"""Absorption as a run stores it, in the tables `absorption_words`, `_letters` and `_latents`."""

from __future__ import annotations

from math import isfinite
from typing import Final

from saereport.run.figures import Figure
from saereport.run.store import Run

ALL: Final = "*"
"""Letter of the means over all letters that count."""


def absorption_figures(run: Run, slug: str) -> dict[str, Figure]:
    """The figures that comparisons and gates know.

    Returns:
        `absorption.fraction` and `absorption.full`, the means over letters whose probe is good
        enough; nothing where there is none.

    Raises:
        SaereportError: The table is damaged.
    """
    if not run.has("absorption_letters", slug):
        return {}
    found = {}
    for row in run.table("absorption_letters", slug).to_pylist():
        if row["letter"] != ALL or not row["counts"] or not row["n_words"]:
            continue
        for name in ("fraction", "full"):
            ends = row[f"{name}_interval"]
            interval = (ends[0], ends[1]) if len(ends) == 2 and ends[0] <= ends[1] else None
            if isfinite(row[name]):
                n = row["n_words"]
                found[f"absorption.{name}"] = Figure(row[name], interval, n, n)
    return found
