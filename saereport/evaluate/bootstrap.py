"""Intervals by the bootstrap over sequences.

The tokens of one sequence are alike, so what is drawn anew, with replacement, are whole sequences.
A figure is a function of sums over sequences, so a resample is a row of whole numbers that says how
often each sequence was drawn, and all resamples are taken at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

Estimates = Mapping[str, NDArray[np.float64]]
"""Name of a figure to its value in each resample."""

RESAMPLES = 2000
"""Resamples; the ends of an interval are then sure to about a thirtieth of its length."""

LEVEL = 0.95
"""How often an interval is to hold the figure of the text that the sequences were drawn from."""

SEED = 0
"""Of the draws; equal numbers of sequences are drawn alike, so figures can be compared."""

DIGITS = 6
"""Significant digits of an interval's ends: the rest is the rounding of sums."""

_TOGETHER = 2**22
"""Entries of the matrix of resamples that is held at a time."""


def draws(n: int, seed: int = SEED) -> Iterator[NDArray[np.float64]]:
    """The resamples of `n` sequences, some at a time.

    Yields:
        float64 `[resamples, n]`: how often each sequence was drawn; each row sums to `n`.
    """
    rng = np.random.default_rng(seed)
    step = max(1, _TOGETHER // n)
    for start in range(0, RESAMPLES, step):
        rows = min(step, RESAMPLES - start)
        chosen = rng.integers(0, n, (rows, n)) + n * np.arange(rows)[:, None]
        counted = np.bincount(chosen.reshape(-1), minlength=rows * n)
        yield counted.reshape(rows, n).astype(np.float64)


def intervals(
    estimates: Callable[[NDArray[np.float64]], Estimates], n: int, fewest: int
) -> dict[str, tuple[float, float] | None]:
    """The percentile interval of every figure.

    Args:
        estimates: The figures in each resample, from weights of sequences, float64
            `[resamples, n]`.
        n: Sequences.
        fewest: Sequences that an interval needs.

    Returns:
        Name of a figure to the 2.5 % and 97.5 % quantiles of its resamples; None where there are
        fewer sequences, or where some resample has no value or none that is finite.
    """
    if n < fewest:
        one = estimates(np.ones((1, n)))
        return dict.fromkeys(one)
    parts: dict[str, list[NDArray[np.float64]]] = {}
    for weights in draws(n):
        for name, values in estimates(weights).items():
            parts.setdefault(name, []).append(values)
    return {name: percentile_interval(np.concatenate(found)) for name, found in parts.items()}


def percentile_interval(values: NDArray[np.float64]) -> tuple[float, float] | None:
    """The middle `LEVEL` of the resampled values of one figure, float64 `[resamples]`."""
    if not np.isfinite(values).all():
        return None
    ends = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    low, high = (float(f"{end:.{DIGITS}g}") for end in ends)
    return low, high
