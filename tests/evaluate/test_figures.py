"""Figures of a whole SAE from sums over sequences, with faults planted in the sums."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from saereport.evaluate import bootstrap as resampling
from saereport.evaluate.figures import (
    Figures,
    Runs,
    fit_figures,
    loss_figures,
    n_unusual,
    unusual_sums,
)
from saereport.evaluate.sums import Activations, Fit, Largest, Losses, largest_of
from saereport.evaluate.warnings import doubts
from saereport.run.figures import Figure

N, LENGTH = 40, 50


def losses(mean: float, spread: float, seed: int, kl: float) -> Losses:
    rng = np.random.default_rng(seed)
    count = np.full(N, LENGTH)
    return Losses(
        count, LENGTH * (mean + spread * rng.normal(size=N)), LENGTH * kl * rng.uniform(0.5, 1.5, N)
    )


def runs(gap: float, lost: float, noise: float = 0.0) -> Runs:
    """Sequences that differ much, and in which ablation costs `gap` nats and the SAE `lost`."""
    original = losses(4.5, 0.4, 0, 0.0)
    rng = np.random.default_rng(5)

    def worse(by: float, kl: float) -> Losses:
        shift = LENGTH * (by + noise * rng.normal(size=N))
        shift += LENGTH * by - shift.mean()
        return replace(
            original,
            cross_entropy=original.cross_entropy + shift,
            divergence=LENGTH * kl * rng.uniform(0.5, 1.5, N),
        )

    return Runs(original, worse(lost, 0.01), worse(gap, 0.08), worse(2 * gap, 0.1))


def fit(seed: int = 0) -> Figures:
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(N, LENGTH, 6))
    error = 0.2 * rng.uniform(0.5, 1.5, (N, LENGTH))
    square = (a**2).sum(axis=2)
    activations = Activations(
        np.full(N, LENGTH), np.full(N, LENGTH), square.sum(axis=1), a.sum(axis=1)
    )
    ones = np.full(N, float(LENGTH))
    found = Fit(error.sum(axis=1), 0.9 * ones, ones, 3 * ones, ones)
    chosen = largest_of(square.reshape(-1), n_unusual(N * LENGTH))
    largest = Largest(chosen // LENGTH, square.reshape(-1)[chosen], a.reshape(-1, 6)[chosen])
    unusual = unusual_sums(largest, error.reshape(-1)[chosen], N)
    return fit_figures(activations, found, unusual)


def test_a_share_of_a_small_gap() -> None:
    """The attention SAE of a known case: a share of 1.12 of 0.047 nats."""
    planted = runs(gap=0.047, lost=-0.0057, noise=0.02)
    found = loss_figures(planted)
    share, gap = found["ce_recovered"], found["ce_added_zero"]
    assert share.value == pytest.approx(1 + 0.0057 / 0.047)
    assert gap.value == pytest.approx(0.047)
    assert (share.n_tokens, share.n_sequences) == (N * LENGTH, N)
    ce = [getattr(planted, name).cross_entropy for name in ("original", "spliced", "zero")]

    def recovered(original: np.ndarray, own: np.ndarray, zero: np.ndarray, axis: int) -> np.ndarray:
        return (zero.sum(axis) - own.sum(axis)) / (zero.sum(axis) - original.sum(axis))

    by_scipy = stats.bootstrap(
        ce,
        recovered,
        paired=True,
        n_resamples=4000,
        method="percentile",
        rng=np.random.default_rng(9),
    ).confidence_interval
    assert share.interval is not None
    assert gap.interval is not None
    assert share.interval == pytest.approx(tuple(by_scipy), abs=0.02)
    assert share.interval[0] < 1.1 < share.interval[1]
    low, high = share.interval
    said = doubts(fit() | found)
    assert said == (
        "Zero ablation costs the model only 0.047 nats of cross-entropy, so the share recovered of "
        f"it means little: 1.121 (95 % interval {low:.3f} to {high:.3f}).",
        "The share of cross-entropy recovered is above 1: with the SAE the model predicts this "
        f"text better than without ({found['ce_spliced'].value:.4f} nats against "
        f"{found['ce_original'].value:.4f}).",
    )
    closer = loss_figures(runs(gap=0.6, lost=-0.001, noise=0.02))
    (line,) = doubts(fit() | closer)
    assert line.endswith(", which may be chance: the interval begins below 1.")
    # The gap is that of pairs: the sequences' own spread is no part of it.
    original = found["ce_original"]
    assert gap.half_width < original.half_width / 5


def test_a_gap_that_may_be_none() -> None:
    found = loss_figures(runs(gap=0.004, lost=0.001, noise=0.03))
    assert found["ce_added_zero"].interval[0] < 0  # type: ignore[index]
    assert found["ce_recovered"].value == pytest.approx(0.75)
    assert found["ce_recovered"].interval is None
    assert found["kl_recovered"].interval is not None
    (zero, mean) = doubts(fit() | found)
    assert "only 0.0040 nats" in zero
    assert "0.750 (no interval)" in zero
    assert mean.startswith("Mean ablation costs the model only 0.0080 nats")


@pytest.mark.parametrize("gap", [0.0, -0.01])
def test_no_gap(gap: float) -> None:
    """Where ablation costs nothing there is no share, rather than one of any size and sign."""
    found = loss_figures(runs(gap=gap, lost=0.001))
    assert np.isnan(found["ce_recovered"].value)
    assert np.isnan(found["ce_recovered_mean"].value)
    said = doubts(fit() | found)
    assert len(said) == 2
    assert all("costs the model nothing" in line for line in said)


def test_what_is_well_is_not_doubted() -> None:
    assert doubts(fit() | loss_figures(runs(gap=8.0, lost=0.1))) == ()
    worse = doubts(fit() | loss_figures(runs(gap=1.0, lost=1.2)))
    assert len(worse) == 1
    assert "below 0" in worse[0]


def test_squared_error_that_hangs_on_few_tokens() -> None:
    figures = fit() | loss_figures(runs(gap=8.0, lost=0.1))
    figures["mse"] = Figure(10.0, None, 2000, N)
    figures["mse_usual"] = Figure(4.0, None, 1998, N)
    assert doubts(figures) == (
        "The squared error hangs on few tokens: 10 over all 2,000, "
        "4 without the 2 of largest norm.",
    )


def test_unusual_tokens() -> None:
    square = np.zeros(2001)
    square[[4, 700, 1500, 1999]] = [5, 9, 5, 5]
    # One in a thousand, rounded up; of equal norms the first ones.
    assert [n_unusual(n) for n in (1, 1000, 1001, 2001)] == [1, 1, 2, 3]
    assert largest_of(square, 3).tolist() == [4, 700, 1500]
    assert largest_of(square[:2], 3).tolist() == [0, 1]


def test_one_token() -> None:
    """It is the one of largest norm, so nothing is left without it."""
    one = Activations(np.array([1]), np.array([1]), np.array([4.0]), np.array([[2.0]]))
    own = Fit(*(np.array([1.0]) for _ in range(5)))
    largest = Largest(np.array([0]), np.array([4.0]), np.array([[2.0]]))
    found = fit_figures(one, own, unusual_sums(largest, np.array([1.0]), 1))
    assert found["mse"].value == 1
    for name in ("mse_usual", "explained_variance", "explained_variance_usual"):
        assert np.isnan(found[name].value)
    assert all(figure.interval is None for figure in found.values())


def test_too_few_sequences_for_an_interval() -> None:
    found = [
        resampling.intervals(lambda w: {"mean": (w @ w.T)[:, 0]}, n, 10)["mean"] is None
        for n in (1, 9, 10)
    ]
    assert found == [True, True, False]


def test_intervals_hold_the_truth_as_often_as_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over 300 texts of 60 sequences whose lengths differ; about 95 % hold the true ratio."""
    monkeypatch.setattr(resampling, "RESAMPLES", 400)
    rng, held = np.random.default_rng(1), 0
    for _ in range(300):
        n = rng.integers(5, 50, 60)
        value = n * (2 + 0.3 * rng.normal(size=60))
        ends = resampling.intervals(lambda w: {"r": (w @ value) / (w @ n)}, 60, 10)["r"]  # noqa: B023
        assert ends is not None
        held += ends[0] <= 2 <= ends[1]
    assert 0.90 < held / 300 < 0.985


def test_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "_TOGETHER", 300)
    parts = list(resampling.draws(20))
    assert {len(part) for part in parts} <= {15, 5}
    drawn = np.concatenate(parts)
    assert drawn.shape == (resampling.RESAMPLES, 20)
    assert (drawn.sum(axis=1) == 20).all()
    np.testing.assert_array_equal(drawn, np.concatenate(list(resampling.draws(20))))
    # Binomial: each sequence once on average, with variance 1 - 1/n.
    assert drawn.mean(axis=0) == pytest.approx(1, abs=0.1)
    assert drawn.var() == pytest.approx(1 - 1 / 20, abs=0.05)
