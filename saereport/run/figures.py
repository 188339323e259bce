"""Figures of an SAE as a whole, as a run stores them in `sae_metrics`."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Final

from saereport.run.store import Run

SMALL_GAP: Final = 0.05
"""Nats: where an ablation costs less, a share recovered of them means little."""


FEWEST_SEQUENCES: Final = 10
"""With fewer sequences there is no interval: it would be far too short."""


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        value: The figure over all the tokens.
        interval: Ends of its 95 % interval, the lower one first; None where it has none.
        n_tokens: Tokens, or predictions, that it is over.
        n_sequences: Sequences that these lie in.
    """

    value: float
    interval: tuple[float, float] | None
    n_tokens: int
    n_sequences: int

    @property
    def half_width(self) -> float:
        """Half of the interval's length; 0 where there is none."""
        return (self.interval[1] - self.interval[0]) / 2 if self.interval else 0.0


def figures_of(run: Run, slug: str) -> dict[str, Figure]:
    """Name of a figure to what the run holds of it; empty where it was not measured.

    Args:
        run: The run.
        slug: The SAE.

    Raises:
        SaereportError: The table is damaged.
    """
    if not run.has("sae_metrics", slug):
        return {}
    found = {}
    for row in run.table("sae_metrics", slug).to_pylist():
        ends = row["interval"]
        interval = (ends[0], ends[1]) if len(ends) == 2 and ends[0] <= ends[1] else None
        if isfinite(row["value"]):
            found[row["metric"]] = Figure(
                row["value"], interval, row["n_tokens"], row["n_sequences"]
            )
    return found
