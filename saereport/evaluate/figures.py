"""Figures of an SAE as a whole, and their intervals, from sums over sequences.

Every figure is a function of sums over all sequences. With the sums weighted by how often a
resample drew each sequence, the same function gives the figure of that resample.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import nan

import numpy as np

from saereport.evaluate.bootstrap import Estimates, intervals
from saereport.evaluate.sums import Activations, Counts, Fit, Floats, Largest, Losses
from saereport.run.figures import FEWEST_SEQUENCES, Figure

Figures = dict[str, Figure]
"""Metric to its figure."""

UNUSUAL = 1000
"""One token in so many, rounded up, is left out of the figures without the largest norms."""

ROUNDING = 1e-12
"""A variance below this share of the mean square is what rounding leaves."""


@dataclass(frozen=True, eq=False)
class Unusual:
    """The tokens of largest norm, summed over each sequence.

    Attributes:
        n: How many, int64 `[sequences]`.
        square: Their squared norms, float64 `[sequences]`.
        total: Their activations, float64 `[sequences, d]`.
        error: Their squared errors, float64 `[sequences]`.
    """

    n: Counts
    square: Floats
    total: Floats
    error: Floats


@dataclass(frozen=True, eq=False)
class Runs:
    """What the runs of the model predict: as it is, and with something in the place of activations.

    Attributes:
        original: The model itself.
        spliced: With the SAE's reconstruction.
        zero: With zero.
        mean: With the mean activation.
    """

    original: Losses
    spliced: Losses
    zero: Losses
    mean: Losses


def n_unusual(n_tokens: int) -> int:
    """How many tokens have the largest norms: one in `UNUSUAL`, rounded up."""
    return -(-n_tokens // UNUSUAL)


def unusual_sums(largest: Largest, error: Floats, n_sequences: int) -> Unusual:
    """The sums over the tokens of largest norm.

    Args:
        largest: These tokens where the SAE writes.
        error: Squared error of each of them.
        n_sequences: Sequences of the text.
    """
    total = np.zeros((n_sequences, largest.acts.shape[1]))
    np.add.at(total, largest.sequence, largest.acts)

    def sums(values: Floats | None = None) -> Floats:
        found = np.bincount(largest.sequence, values, minlength=n_sequences)
        return np.asarray(found, dtype=np.float64)

    return Unusual(sums().astype(np.int64), sums(largest.square), total, sums(error))


def fit_figures(activations: Activations, fit: Fit, unusual: Unusual) -> Figures:
    """The metrics of `sae_metrics` that need activations only; of sequences with a token each."""
    estimates = partial(_fit_estimates, activations, fit, unusual)
    n, directed = int(activations.n.sum()), int(activations.n_directed.sum())
    usual = n - int(unusual.n.sum())
    over = {
        "cosine": directed,
        "l2_ratio": directed,
        "explained_variance_usual": usual,
        "mse_usual": usual,
    }
    return _figures(estimates, over, n, len(activations.n))


def loss_figures(runs: Runs) -> Figures:
    """The metrics of `sae_metrics` that need predictions."""
    # What has no prediction is no part of these figures, and is not drawn for their intervals.
    some = runs.original.n > 0
    n = int(runs.original.n.sum())
    figures = _figures(partial(_loss_estimates, runs, some), {}, n, int(some.sum()))
    for share, name in (("ce_recovered", "ce_added_zero"), ("ce_recovered_mean", "ce_added_mean")):
        gap = figures[name]
        if gap.value <= 0:
            # There is nothing to recover.
            figures[share] = replace(figures[share], value=nan, interval=None)
        elif gap.interval is not None and gap.interval[0] <= 0:
            # The share of what may be nothing can be anything.
            figures[share] = replace(figures[share], interval=None)
    return figures


def _figures(
    estimates: Callable[[Floats | None], Estimates],
    over: dict[str, int],
    n_tokens: int,
    n_sequences: int,
) -> Figures:
    found = intervals(estimates, n_sequences, FEWEST_SEQUENCES)
    return {
        name: Figure(float(values[0]), found[name], over.get(name, n_tokens), n_sequences)
        for name, values in estimates(None).items()
    }


def _summed(weights: Floats | None, values: np.ndarray) -> Floats:
    """Weighted sums over sequences, `[resamples, ...]`; without weights the one plain sum."""
    if weights is None:
        return np.asarray(values.sum(axis=0, dtype=np.float64))[None]
    return np.asarray(weights @ values)


def _fit_estimates(
    activations: Activations, fit: Fit, unusual: Unusual, weights: Floats | None
) -> Estimates:
    over = partial(_summed, weights)
    n, directed = over(activations.n), over(activations.n_directed)
    square, total, error = over(activations.square), over(activations.total), over(fit.error)
    usual = n - over(unusual.n)
    usual_error = error - over(unusual.error)
    usual_square, usual_total = square - over(unusual.square), total - over(unusual.total)
    return {
        "explained_variance": _explained(n, error, square, total),
        "explained_variance_usual": _explained(usual, usual_error, usual_square, usual_total),
        "mse": _ratio(error, n),
        "mse_usual": _ratio(usual_error, usual),
        "cosine": _ratio(over(fit.cosine), directed),
        "l2_ratio": _ratio(over(fit.ratio), directed),
        "l0": _ratio(over(fit.l0), n),
        "l1": _ratio(over(fit.l1), n),
    }


def _explained(n: Floats, error: Floats, square: Floats, total: Floats) -> Floats:
    mean_square, means = _ratio(square, n), _ratio(total, n[:, None])
    variance = mean_square - np.square(means).sum(axis=1)
    known = np.where(variance > ROUNDING * mean_square, variance, 0)
    return 1 - _ratio(_ratio(error, n), known)


def _loss_estimates(runs: Runs, some: np.ndarray, weights: Floats | None) -> Estimates:
    over = partial(_summed, weights)
    n = over(runs.original.n[some])
    ce, kl = {}, {}
    for name in ("original", "spliced", "zero", "mean"):
        losses: Losses = getattr(runs, name)
        ce[name] = _ratio(over(losses.cross_entropy[some]), n)
        kl[name] = _ratio(over(losses.divergence[some]), n)
    added = {name: ce[name] - ce["original"] for name in ("spliced", "zero", "mean")}
    return {
        **{f"ce_{name}": values for name, values in ce.items()},
        **{f"ce_added_{name}": values for name, values in added.items()},
        **{f"kl_{name}": kl[name] for name in added},
        "ce_recovered": 1 - _ratio(added["spliced"], added["zero"]),
        "ce_recovered_mean": 1 - _ratio(added["spliced"], added["mean"]),
        "kl_recovered": 1 - _ratio(kl["spliced"], kl["zero"]),
        "kl_recovered_mean": 1 - _ratio(kl["spliced"], kl["mean"]),
    }


def _ratio(above: Floats, below: Floats) -> Floats:
    """Quotients; NaN where there is nothing to divide by."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(above / np.where(below == 0, np.nan, below))
