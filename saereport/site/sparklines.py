"""A latent's histogram as a small drawing: counts, bar heights, and an outline for SVG."""

from __future__ import annotations

from math import floor, log2

from saereport.site.context import LatentView


def histogram_counts(latent: LatentView) -> list[int]:
    """Counts of the non-zero activations in equal bins, the file's own where it was imported."""
    for name in ("activation_histogram", "given_histogram"):
        rows = latent.rows(name)
        if len(rows):
            counts: list[int] = rows["counts"][0]
            return counts
    return []


def outline(heights: list[int], width: int) -> str:
    """Bars as the outline of one SVG path over the line y = 20."""
    steps, at = [], 0
    for height in heights:
        steps.append(f"v{at - height}h{width}" if height != at else f"h{width}")
        at = height
    return f"M0 20{''.join(steps)}v{at}z" if any(heights) else ""


def sparkline(counts: list[int], bars: int = 32) -> list[int]:
    """A histogram as bar heights from 0 to 20, on a logarithmic scale, one for each of `bars`."""
    per_bar = max(1, -(-len(counts) // bars))
    sums = [sum(counts[i : i + per_bar]) for i in range(0, len(counts), per_bar)]
    top = log2(1 + max(sums, default=0)) or 1.0
    return [floor(20 * log2(1 + n) / top + 0.5) for n in sums]
