"""The logit lens of whole dictionaries, as a run stores it: kinds of latents, and figures."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from saereport.run.figures import Figure
from saereport.run.store import Run

Floats = NDArray[np.float64]

KINDS: Final = ("prediction", "suppression", "partition")
HEAVY: Final = 1.0
"""Excess kurtosis from which on a few tokens stand out."""
SKEWED: Final = 0.2
"""Skewness, to either side, from which on these are on one side."""
SIGNIFICANT: Final = 0.05
"""Corrected p-value up to which a token set counts as raised or lowered."""
EXTREMES: Final = 5
"""Latents listed of each kind."""
STRONGEST: Final = 3
"""Latents listed at each end of each token set."""


def moments_of(run: Run, slug: str) -> dict[str, NDArray[np.float64]]:
    """The columns of `lens_moments` of an SAE, float64; empty where the run does not hold it.

    Raises:
        SaereportError: The table is damaged.
    """
    if not run.has("lens_moments", slug):
        return {}
    rows = run.table("lens_moments", slug)
    return {name: rows.column(name).to_numpy().astype(np.float64) for name in rows.column_names}


def kinds_of(std: Floats, skewness: Floats, kurtosis: Floats) -> dict[str, NDArray[np.bool_]]:
    """Which latents are of each kind, bool[n] each; see the table `lens_moments`.

    Args:
        std: Standard deviations, [n].
        skewness: [n].
        kurtosis: Excess kurtosis, [n].
    """
    heavy = kurtosis >= HEAVY
    wide = std > np.median(std) if len(std) else np.zeros(0, dtype=np.bool_)
    return {
        "prediction": heavy & (skewness >= SKEWED),
        "suppression": heavy & (skewness <= -SKEWED),
        "partition": (kurtosis < 0) & wide,
    }


def farthest(std: Floats, skewness: Floats, kurtosis: Floats, n: int) -> dict[str, list[int]]:
    """Rows of the latents that are farthest towards each kind, at most `n` each.

    Of equal ones the earlier row comes first. Arguments as for `kinds_of`.
    """
    flat = kurtosis <= np.median(kurtosis) if len(kurtosis) else np.zeros(0, dtype=np.bool_)
    asked = {
        "prediction": (skewness > 0, kurtosis),
        "suppression": (skewness < 0, kurtosis),
        "partition": (flat & (std > 0), std),
    }
    found = {}
    for kind, (among, by) in asked.items():
        rows = np.flatnonzero(among)
        found[kind] = rows[np.argsort(-by[rows], kind="stable")[:n]].tolist()
    return found


def lens_figures(run: Run, slug: str) -> dict[str, Figure]:
    """The figures that comparisons and gates know; without intervals, since nothing is sampled.

    Returns:
        `lens.std`, `lens.kurtosis` (medians over the latents measured), and the shares
        `lens.prediction`, `lens.suppression`, `lens.partition`; where token sets were tested also
        `lens.enriched`, the share of tests that are significant.

    Raises:
        SaereportError: A table is damaged.
    """
    found: dict[str, Figure] = {}
    columns = moments_of(run, slug)
    if columns and len(columns["latent"]):
        n = len(columns["latent"])
        shape = (columns["std"], columns["skewness"], columns["kurtosis"])
        values = {name: float(np.median(columns[name])) for name in ("std", "kurtosis")}
        values |= {name: float(rows.mean()) for name, rows in kinds_of(*shape).items()}
        found = {f"lens.{name}": Figure(value, None, n, n) for name, value in values.items()}
    if run.has("token_set_counts", slug):
        rows = run.table("token_set_counts", slug).to_pylist()
        tests = sum(row["n_tested"] for row in rows)
        if tests:
            share = sum(row["n_raised"] + row["n_lowered"] for row in rows) / tests
            found["lens.enriched"] = Figure(share, None, tests, tests)
    return found
