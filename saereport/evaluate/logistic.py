"""Probes: logistic regression with a ridge, and how well one tells two classes apart.

The loss is that of scikit-learn's `LogisticRegression`: the sum over texts of the negative log
likelihood plus `|w|^2 / (2 C)`, the intercept free. Features are standardised before: each less its
mean over the training texts, divided by its standard deviation there; one that does not vary is 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from saereport.evaluate.bootstrap import RESAMPLES, SEED, percentile_interval

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Values of C among which that of a probe on many numbers is chosen."""
FEWEST_OF_A_CLASS = 10
"""Texts of each class without which there is no interval."""
_TOGETHER = 2**22


@dataclass(frozen=True, eq=False)
class LinearProbe:
    """A linear probe in the units of its features.

    Attributes:
        weights: float64 `[n_features]`; the logit is `x @ weights + bias`.
        bias: The intercept.
        scale: Standard deviation of each feature over the training texts, 0 where it is constant.
    """

    weights: Floats
    bias: float
    scale: Floats

    def logits(self, x: NDArray[np.floating]) -> Floats:
        """The log odds of the concept, float64 `[n]`."""
        return np.asarray(x, np.float64) @ self.weights + self.bias

    @property
    def standardised(self) -> Floats:
        """Weights for features in units of their standard deviation."""
        return self.weights * self.scale


def fit(x: NDArray[np.floating], y: Bools, c: float = 1.0) -> LinearProbe:
    """The ridge logistic regression of `y` on standardised features.

    Args:
        x: Features `[n, n_features]`.
        y: Whether each text has the concept, bool `[n]`; both must occur.
        c: Inverse strength of the ridge, as in scikit-learn.
    """
    x = np.asarray(x, np.float64)
    mean, scale = x.mean(axis=0), x.std(axis=0)
    # What rounding alone makes vary is constant.
    scale = np.where(scale > 1e-9 * np.abs(mean), scale, 0.0)
    z = (x - mean) * np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
    sign = np.where(y, 1.0, -1.0)

    def loss(theta: Floats) -> tuple[float, Floats]:
        w, margin = theta[:-1], sign * (z @ theta[:-1] + theta[-1])
        pull = -sign * expit(-margin)
        value = float(np.logaddexp(0.0, -margin).sum() + w @ w / (2 * c))
        return value, np.append(z.T @ pull + w / c, pull.sum())

    start = np.zeros(z.shape[1] + 1)
    share = y.mean()
    start[-1] = np.log(share / (1 - share))
    options = {"maxiter": 1000, "maxcor": 20, "ftol": 1e-12, "gtol": 1e-6}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x
    weights = found[:-1] * np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
    return LinearProbe(weights, float(found[-1] - mean @ weights), scale)


def fit_many(x: NDArray[np.floating], y: Bools, seed: int) -> LinearProbe:
    """`fit` for many features, `C` chosen by a fifth of the training texts.

    With one text of a class nothing can be set apart, and `C` is the smallest.

    Args:
        x: Features `[n, n_features]`.
        y: Whether each text has the concept, bool `[n]`; both must occur.
        seed: Of which texts that fifth is.
    """
    if min(int(y.sum()), int((~y).sum())) < 2:
        return fit(x, y, STRENGTHS[0])
    apart = split(y, 0.2, seed)
    losses = []
    for c in STRENGTHS:
        margin = fit(x[~apart], y[~apart], c).logits(x[apart])
        losses.append(float(np.logaddexp(0.0, np.where(y[apart], -margin, margin)).sum()))
    return fit(x, y, STRENGTHS[int(np.argmin(losses))])


def split(y: NDArray[np.generic], share: float, seed: int) -> Bools:
    """Which texts are held out: of each class this share, at least one, and one stays.

    Args:
        y: A class for each text, `[n]`.
        share: Part of each class that is held out.
        seed: Of the draw.
    """
    rng = np.random.default_rng(seed)
    apart = np.zeros(len(y), bool)
    for one in np.unique(y):
        places = rng.permutation(np.flatnonzero(y == one))
        n = min(max(1, round(share * len(places))), max(1, len(places) - 1))
        apart[places[:n]] = True
    return apart


# ---- how well a probe does


@dataclass(frozen=True)
class Score:
    """A share between 0 and 1 with the ends of its interval; nothing where it has none."""

    value: float
    interval: tuple[float, ...] = ()


@dataclass(frozen=True)
class ProbeScores:
    """How well logits tell two classes apart.

    Attributes:
        accuracy: Share of texts on the right side of 0.
        balanced: Mean of that share over the two classes.
        auc: Probability that a text of the concept has the higher logit, ties counted half.
    """

    accuracy: Score
    balanced: Score
    auc: Score


def scores(logits: Floats, y: Bools, *, with_intervals: bool = True) -> ProbeScores:
    """How well logits tell held-out texts apart.

    Args:
        logits: Of each text, `[n]`; 0 counts as not the concept.
        y: Whether each has the concept, bool `[n]`; both must occur.
        with_intervals: Whether intervals are wanted: 95 % by the bootstrap over texts, drawn anew
            within each class, where each has `FEWEST_OF_A_CLASS`.
    """
    right = (logits > 0) == y
    of, against = np.flatnonzero(y), np.flatnonzero(~y)
    hits, passes, wins = right[of], right[against], _wins(logits[of], logits[against])
    share = len(of) / len(y)

    def all_of(hit: Floats, passed: Floats) -> list[Floats]:
        return [share * hit + (1 - share) * passed, (hit + passed) / 2]

    plain = [float(one) for one in all_of(np.array(hits.mean()), np.array(passes.mean()))]
    values = [*plain, float(wins.mean())]
    ends: list[tuple[float, ...]] = [(), (), ()]
    if with_intervals and min(len(of), len(against)) >= FEWEST_OF_A_CLASS:
        found: list[list[Floats]] = [[], [], []]
        for a, b in _class_draws(len(of), len(against)):
            rows = all_of(a @ hits / len(of), b @ passes / len(against))
            rows.append(_drawn_auc(a, b, logits[of], logits[against]))
            for place, row in enumerate(rows):
                found[place].append(row)
        ends = [percentile_interval(np.concatenate(one)) or () for one in found]
    return ProbeScores(*(Score(value, end) for value, end in zip(values, ends, strict=True)))


def _wins(of: Floats, against: Floats) -> Floats:
    """For each text of the concept the share of the others that it is above, ties half."""
    order = np.sort(against)
    below = np.searchsorted(order, of, "left")
    equal = np.searchsorted(order, of, "right") - below
    share: Floats = (below + equal / 2) / len(against)
    return share


def _drawn_auc(a: Floats, b: Floats, of: Floats, against: Floats) -> Floats:
    """The area under the curve of resamples `a` `[r, n_of]`, `b` `[r, n_against]`."""
    order = np.argsort(against, kind="stable")
    total = np.concatenate([np.zeros((len(b), 1)), np.cumsum(b[:, order], axis=1)], axis=1)
    ranked = against[order]
    below = total[:, np.searchsorted(ranked, of, "left")]
    up_to = total[:, np.searchsorted(ranked, of, "right")]
    area: Floats = (a * (below + up_to)).sum(axis=1) / (2 * len(of) * len(against))
    return area


def _class_draws(n: int, m: int) -> Iterator[tuple[Floats, Floats]]:
    """Resamples of two classes, some at a time: how often each text was drawn."""
    rng = np.random.default_rng(SEED)
    step = max(1, _TOGETHER // (n + m))
    for start in range(0, RESAMPLES, step):
        rows = min(step, RESAMPLES - start)
        yield _drawn(rng, rows, n), _drawn(rng, rows, m)


def _drawn(rng: np.random.Generator, rows: int, n: int) -> Floats:
    chosen = rng.integers(0, n, (rows, n)) + n * np.arange(rows)[:, None]
    return np.bincount(chosen.reshape(-1), minlength=rows * n).reshape(rows, n).astype(np.float64)
