"""Probes against Newton's method on the same loss, and scores against pairs counted one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saereport.evaluate import logistic
from saereport.evaluate.logistic import fit, fit_many, scores, split


def planted(n: int, d: int, seed: int = 0, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) * rng.uniform(0.1, 50, d) + rng.normal(size=d) * 5
    logit = (x[:, 0] - x[:, 0].mean()) / x[:, 0].std() * 3 + noise * rng.normal(size=n)
    return x, logit > 0


def newton(x: np.ndarray, y: np.ndarray, c: float) -> tuple[np.ndarray, float]:
    """Weights in units of the features, by Newton's method on the standardised ones."""
    mean, scale = x.mean(axis=0), x.std(axis=0)
    z = np.column_stack([(x - mean) / scale, np.ones(len(x))])
    theta, ridge = np.zeros(z.shape[1]), np.diag([1 / c] * x.shape[1] + [0.0])
    for _ in range(60):
        p = 1 / (1 + np.exp(-z @ theta))
        gradient = z.T @ (p - y) + ridge @ theta
        theta -= np.linalg.solve((z * (p * (1 - p))[:, None]).T @ z + ridge, gradient)
    weights = theta[:-1] / scale
    return weights, float(theta[-1] - mean @ weights)


@pytest.mark.parametrize("c", [0.01, 1.0, 10.0])
def test_a_fit_is_that_of_newtons_method(c: float) -> None:
    x, y = planted(80, 6)
    weights, bias = newton(x, y, c)
    found = fit(x, y, c)
    np.testing.assert_allclose(found.weights, weights, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found.logits(x), x @ weights + bias, atol=5e-3)
    np.testing.assert_allclose(found.standardised, weights * x.std(axis=0), rtol=1e-3, atol=1e-5)


def test_what_does_not_vary_has_no_weight() -> None:
    x, y = planted(40, 3)
    x[:, 1] = 0.1 + 0.2
    found = fit(x, y)
    assert found.weights[1] == 0
    assert np.isfinite(found.logits(x)).all()


def test_many_features_are_held_by_a_ridge_that_fits_them() -> None:
    """With as many numbers as texts and noise in all but one, a weak ridge learns the noise."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(160, 150))
    y = x[:, 0] + 0.5 * rng.normal(size=160) > 0
    near, far = slice(0, 100), slice(100, 160)
    chosen = fit_many(x[near], y[near], 0)
    alone = {c: fit(x[near], y[near], c) for c in logistic.STRENGTHS}
    assert any(np.array_equal(chosen.weights, one.weights) for one in alone.values())
    assert not np.array_equal(chosen.weights, alone[1.0].weights)
    losses = {
        c: np.logaddexp(0, np.where(y[far], -1, 1) * one.logits(x[far])).mean()
        for c, one in alone.items()
    }
    mine = np.logaddexp(0, np.where(y[far], -1, 1) * chosen.logits(x[far])).mean()
    assert mine < losses[1.0]


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30).filter(
        lambda rows: len({y for _, y in rows}) == 2
    )
)
@settings(max_examples=60)
def test_scores_are_those_of_pairs(rows: list[tuple[int, bool]]) -> None:
    logits, y = np.array([float(x) for x, _ in rows]), np.array([label for _, label in rows])
    found = scores(logits, y, with_intervals=False)
    right = [(x > 0) == label for x, label in rows]
    assert found.accuracy.value == pytest.approx(sum(right) / len(rows))
    of = [x for x, label in rows if label]
    against = [x for x, label in rows if not label]
    wins = math.fsum((a > b) + (a == b) / 2 for a in of for b in against)
    assert found.auc.value == pytest.approx(wins / len(of) / len(against))
    hit, passed = sum(x > 0 for x in of) / len(of), sum(x <= 0 for x in against) / len(against)
    assert found.balanced.value == pytest.approx((hit + passed) / 2)


def test_intervals_are_those_of_texts_drawn_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logistic, "RESAMPLES", 40)
    rng = np.random.default_rng(1)
    y = np.arange(32) % 8 < 3
    logits = np.round(rng.normal(size=32) + y, 1)
    found = scores(logits, y)
    draws = np.random.default_rng(logistic.SEED)
    n, m = int(y.sum()), int((~y).sum())
    a, b = draws.integers(0, n, (40, n)), draws.integers(0, m, (40, m))
    values = []
    for mine, others in zip(a, b, strict=True):
        picked = np.concatenate([logits[y][mine], logits[~y][others]])
        labels = np.concatenate([np.ones(n, bool), np.zeros(m, bool)])
        one = scores(picked, labels, with_intervals=False)
        values.append([one.accuracy.value, one.balanced.value, one.auc.value])
    ends = np.quantile(np.array(values), [0.025, 0.975], axis=0).T
    got = [found.accuracy.interval, found.balanced.interval, found.auc.interval]
    np.testing.assert_allclose(got, ends, rtol=1e-5)


def test_too_few_of_a_class_have_no_interval() -> None:
    y = np.arange(60) < 9
    assert scores(np.linspace(-1, 1, 60), y).auc.interval == ()
    y = np.arange(60) < 10
    assert len(scores(np.linspace(-1, 1, 60), y).auc.interval) == 2


def test_one_text_of_a_class_leaves_nothing_to_choose_by(recwarn: pytest.WarningsRecorder) -> None:
    x, _ = planted(12, 5)
    found = fit_many(x, np.arange(12) == 3, 0)
    assert not recwarn.list
    assert np.isfinite(found.weights).all()
    assert np.array_equal(found.weights, fit(x, np.arange(12) == 3, logistic.STRENGTHS[0]).weights)


@given(st.lists(st.sampled_from("abc"), min_size=6, max_size=60), st.integers(0, 5))
def test_each_class_gives_its_share(labels: list[str], seed: int) -> None:
    y = np.array(labels)
    apart = split(y, 0.3, seed)
    assert np.array_equal(apart, split(y, 0.3, seed))
    for one in set(labels):
        n, held = labels.count(one), int(apart[y == one].sum())
        assert held == (max(1, round(0.3 * n)) if n > 1 else 1)
