"""Shares of a few, and differences of two, with their intervals."""

from __future__ import annotations

from math import sqrt

import numpy as np

from saereport.measure.statistics.tokens import wilson_lower


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share.

    Args:
        hits: Successes.
        trials: Of so many; the interval of none is all that a share can be.

    Source: Wilson (1927).
    """
    if not trials:
        return 0.0, 1.0
    low, not_high = wilson_lower(
        np.array([hits, trials - hits]), np.array([trials, trials])
    ).tolist()
    return float(low), 1.0 - float(not_high)


def difference(
    hits: int, trials: int, hits_before: int, trials_before: int
) -> tuple[float, float, float]:
    """A difference of two shares with Newcombe's 95 % interval, from Wilson's of each.

    Args:
        hits: Successes.
        trials: Of so many, at least one.
        hits_before: Successes of what it is compared with.
        trials_before: Of so many, at least one.

    Returns:
        The difference, and the lower and the upper end. Both are taken for independent samples.

    Source: Newcombe, "Interval estimation for the difference between independent proportions"
    (1998), method 10.
    """
    now, before = hits / trials, hits_before / trials_before
    (low, high), (low_before, high_before) = (
        wilson(hits, trials),
        wilson(hits_before, trials_before),
    )
    found = now - before
    return (
        found,
        found - sqrt((now - low) ** 2 + (high_before - before) ** 2),
        found + sqrt((high - now) ** 2 + (before - low_before) ** 2),
    )
