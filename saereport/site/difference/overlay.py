"""Two histograms over each other, as paths for an SVG drawing: no script is needed to see them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from saereport.site import numbers

WIDTH, HEIGHT = 240, 56
"""Of the drawing, in its own units."""


@dataclass(frozen=True)
class Overlay:
    """Both histograms as shares of their own active tokens, on one logarithmic axis.

    Attributes:
        before: Filled outline before, a path; empty where there is no histogram.
        after: Line after, likewise.
        low: Activation at the left end, as text.
        high: Activation at the right end, as text.
        summary: What the drawing shows, in a sentence.
    """

    before: str
    after: str
    low: str
    high: str
    summary: str


def overlay(
    before: tuple[int, tuple[int, ...]], after: tuple[int, tuple[int, ...]]
) -> Overlay | None:
    """Lay two logarithmic histograms over each other; None where neither has a count.

    Args:
        before: Number of the first bin (four bins an octave) and the counts before.
        after: The same after.
    """
    sides = [side for side in (before, after) if sum(side[1])]
    if not sides:
        return None
    low = min(first for first, _ in sides)
    high = max(first + len(counts) for first, counts in sides)
    shares = [_shares(side, low, high) for side in (before, after)]
    top = max(max(side, default=0.0) for side in shares) or 1.0
    medians = [_median(side) for side in (before, after)]
    said = [
        f"{name} half of the activations lie below {numbers.value(value)}"
        for name, value in zip(("before", "after"), medians, strict=True)
        if value is not None
    ]
    text = ", ".join(said)
    return Overlay(
        before=_steps(shares[0], top, closed=True),
        after=_steps(shares[1], top, closed=False),
        low=numbers.value(edge(low)),
        high=numbers.value(edge(high)),
        summary=f"Histograms of the activations on a logarithmic scale: {text}.",
    )


def edge(number: int) -> float:
    """Lower edge of a bin: octaves in four parts of equal width."""
    octave, part = divmod(number, 4)
    return float(2.0**octave * (1 + part / 4))


def _shares(side: tuple[int, tuple[int, ...]], low: int, high: int) -> list[float]:
    first, counts = side
    total = sum(counts)
    if not total:
        return []
    shares = [0.0] * (high - low)
    for place, count in enumerate(counts, first - low):
        shares[place] = count / total
    return shares


def _median(side: tuple[int, tuple[int, ...]]) -> float | None:
    first, counts = side
    total = sum(counts)
    if not total:
        return None
    reached = next(i for i, n in enumerate(accumulate(counts)) if 2 * n >= total)
    return edge(first + reached + 1)


def _steps(shares: list[float], top: float, *, closed: bool) -> str:
    """A stair through the shares; closed at the bottom, so that it can be filled, or open."""
    if not shares:
        return ""
    width = WIDTH / len(shares)
    points = [f"M0 {HEIGHT}"]
    for place, share in enumerate(shares, 1):
        points.append(f"V{HEIGHT - share / top * (HEIGHT - 4):.1f}H{place * width:.1f}")
    points.append(f"V{HEIGHT}")
    return "".join(points) + ("Z" if closed else "")
