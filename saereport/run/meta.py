"""Meta-SAEs, as a run stores them."""

from __future__ import annotations

from math import isfinite
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from saereport.run.figures import Figure
from saereport.run.store import Run
from saereport.util.visible import visible_text

N_ACTIVE: Final = 32
"""Bins of the number of active meta-latents, at most."""
CLEARLY: Final = 0.02
"""Explained variance by which rows at their other lengths must be explained better to be named."""


def binned_counts(n_active: NDArray[np.int64]) -> tuple[int, NDArray[np.int64]]:
    """Counts of whole numbers from 0 in up to `N_ACTIVE` bins, and the bins' width.

    The last bin holds the largest.
    """
    most = int(n_active.max(initial=0))
    width = most // N_ACTIVE + 1
    return width, np.bincount(n_active // width, minlength=most // width + 1)


def binned_uses(uses: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many meta-latents are active on 0, on 1, on 2 or 3, on 4 to 7, ... rows."""
    _, exponents = np.frexp(uses.astype(np.float64))
    return np.bincount(exponents)


def meta_saes_of(run: Run, slug: str) -> list[dict[str, Any]]:
    """The rows of `meta_saes` of an SAE; none where it has no meta-SAE.

    Raises:
        SaereportError: The table is damaged.
    """
    if not run.has("meta_saes", slug):
        return []
    found: list[dict[str, Any]] = run.table("meta_saes", slug).to_pylist()
    return found


def meta_saes_named(run: Run, slug: str) -> str:
    """The meta-SAEs of an SAE and what they were given, in words; empty where it has none.

    Raises:
        SaereportError: The table is damaged.
    """
    return ", ".join(
        visible_text(f"{row['meta']} ({row['rows']} rows, weights {row['weights'][:12]})")
        for row in meta_saes_of(run, slug)
    )


def meta_figures(run: Run, slug: str) -> dict[str, Figure]:
    """The figures of an SAE's meta-SAEs that comparisons and gates know.

    Returns:
        `meta.explained_variance`, `meta.active` and `meta.dead_share`; of several meta-SAEs the
        mean, which has no interval.

    Raises:
        SaereportError: The table is damaged.
    """
    rows = meta_saes_of(run, slug)
    if not rows:
        return {}
    n = rows[0]["n_latents"]
    values = {
        "explained_variance": [row["explained"] for row in rows],
        "active": [row["active"] for row in rows],
        "dead_share": [row["n_dead"] / max(row["n_meta"], 1) for row in rows],
    }
    ends = {"explained_variance": "explained_interval", "active": "active_interval"}
    found = {}
    for name, of in values.items():
        value = float(np.mean(of))
        interval = rows[0][ends[name]] if name in ends and len(rows) == 1 else []
        known = len(interval) == 2 and interval[0] <= interval[1]
        if isfinite(value):
            sampled = n if known else 0
            found[f"meta.{name}"] = Figure(
                value, (interval[0], interval[1]) if known else None, sampled, sampled
            )
    return found
