"""How well predictions agree with what was measured by intervention."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

OPPOSITE = "opposite sign"
MORE = "more than twice the prediction"
LESS = "less than half the prediction"


def correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Pearson's correlation; None for fewer than two different values on either side."""
    try:
        return statistics.correlation([x for x, _ in pairs], [y for _, y in pairs])
    except statistics.StatisticsError:
        return None


def verdict(predicted: float, measured: float) -> str:
    """Where a linear prediction fails: in sign, or by more than a factor of two; else empty."""
    if predicted * measured < 0:
        return OPPOSITE
    if abs(measured) > 2 * abs(predicted):
        return MORE
    return LESS if abs(measured) < abs(predicted) / 2 else ""
