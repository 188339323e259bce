"""How often latents are active here, beside what the file that comes with the SAE says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from saereport.site import numbers
from saereport.site.blocks import Block
from saereport.site.context import SaeView

TABLE: Final = "shipped_sparsity"

MOST_POINTS: Final = 1500
"""Points that are drawn, evenly spread over the latents."""

FACTOR: Final = 10

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Agreement:
    """Two measurements of density.

    Attributes:
        shipped: log10 density by the file, of every latent.
        here: log10 density on this text.
        least: log10 of half a token of this text, below which nothing can be told: both are raised
            to it.
        correlation: Rank correlation of the two; NaN where one of them is the same for all.
        n_apart: Latents that differ by more than a factor of 10.
    """

    shipped: Values
    here: Values
    least: float
    correlation: float
    n_apart: int


def agreement(sae: SaeView) -> Agreement | None:
    """What the file says and what was measured; None where one of them is not there."""
    if TABLE not in sae.tables or "sae_activity" not in sae.tables or sae.n_counted <= 0:
        return None
    run, slug = sae.report.run, sae.info.slug
    told, seen = (run.table(name, slug).sort_by("latent") for name in (TABLE, "sae_activity"))
    if told.column("latent").to_pylist() != seen.column("latent").to_pylist():
        return None
    least = float(np.log10(0.5 / sae.n_counted))
    counts = np.asarray(seen.column("n_active").to_numpy(), dtype=np.float64)
    here = np.log10(np.maximum(counts, 0.5) / sae.n_counted)
    shipped = np.maximum(np.asarray(told.column("log10_density").to_numpy(), np.float64), least)
    apart = np.abs(shipped - here) > np.log10(FACTOR)
    return Agreement(shipped, here, least, rank_correlation(shipped, here), int(apart.sum()))


def rank_correlation(x: Values, y: Values) -> float:
    """Spearman's; of equal values the mean of their ranks. NaN where all of one side are equal."""
    ranks = []
    for values in (x, y):
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        ends = np.cumsum(counts)
        ranks.append((ends - (counts - 1) / 2)[inverse] - (len(values) + 1) / 2)
    a, b = ranks
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size else float("nan")


def blocks(sae: SaeView) -> list[Block]:
    """The two beside each other; or why the file is not used."""
    found = agreement(sae)
    if found is None:
        reason = sae.info.left_out.get(TABLE, "")
        return [{"b": "text", "text": f"Not compared: {reason}."}] if reason else []
    n = len(found.here)
    step = -(-n // MOST_POINTS)
    points = [
        [round(float(x), 3), round(float(y), 3)]
        for x, y in zip(found.shipped[::step], found.here[::step], strict=True)
    ]
    known = np.isfinite(found.correlation)
    some = f" Every {step}th latent is drawn." if step > 1 else ""
    return [
        {
            "b": "facts",
            "names": ["rank correlation", f"apart by more than {FACTOR} times"],
            "values": [
                numbers.value(found.correlation) if known else "–",
                numbers.count(found.n_apart),
            ],
            "notes": ["", f"of {numbers.plural(n, 'latent')}"],
        },
        {
            "b": "scatter",
            "title": "log10 density of the latents",
            "x": "by the SAE's own file",
            "y": "on this text",
            "diagonal": "as often",
            "told": False,
            "summary": "A point for each latent: log10 of the share of tokens on which it is "
            "active, as the file that comes with the SAE says, and on this text. What is never "
            "active, or less often than half a token here, is drawn at {least}." + some,
            "v": {"least": numbers.value(found.least)},
            "series": [{"name": "latent", "role": "accent", "points": points}],
        },
    ]
