"""Statistics of pairs where there is no room for all: against slow computations on the samples."""

from __future__ import annotations

import numpy as np
import pytest

from saereport.measure import Measurement, Setting
from saereport.util.priority import place_priorities
from tests.measure import slow
from tests.measure.test_statistics import rows_of, setting_for
from tests.measure.texts import Dense, random_dense


def levels(text: Dense) -> np.ndarray:
    """Leading zeros of every token's 64-bit priority, at most 31: int[n, ctx]."""
    n, context = text.counted.shape
    priority = place_priorities(np.arange(n)[:, None], np.arange(context)[None])
    return np.array([[min(64 - int(p).bit_length(), 31) for p in row] for row in priority])


def on_level(text: Dense, level: int) -> Dense:
    """The text with only the tokens of a level or above counted."""
    counted = text.counted & (levels(text) >= level)
    f = np.where(counted[:, :, None], text.f, 0).astype(np.float32)
    return Dense(f, text.tokens, counted, text.documents, text.d_vocab)


@pytest.mark.parametrize("most", [1, 6, 25])
def test_co_activation_is_measured_on_the_lowest_level_that_fits(most: int) -> None:
    text = random_dense(3, n=14, context=26)
    setting = setting_for(text, coactive_sample=most)
    table = text.measure(setting, [0, 5, 14]).result(np.arange(text.d_sae))["coactivation"]
    counted = int(text.counted.sum())
    sampled = 0
    for latent in range(1, text.d_sae):
        active = (text.f[:, :, latent] > 0) & text.counted
        n = int(active.sum())
        level = next(k for k in range(32) if (active & (levels(text) >= k)).sum() <= most)
        looked = active & (levels(text) >= level)
        x = text.f[:, :, latent].astype(np.float64)
        for row in rows_of(table, latent=latent):
            y = text.f[:, :, row["other"]].astype(np.float64)
            both, s = int((y[looked] > 0).sum()), int(looked.sum())
            m = int(((y > 0) & text.counted).sum())
            assert (row["n_both"], row["n_looked"]) == (both, s)
            together = n * both / s
            assert row["jaccard"] == pytest.approx(together / (n + m - together))
            a, b = x[text.counted], y[text.counted]
            mean = (x * y)[looked].mean() * n / counted
            spread = a.std() * b.std()
            assert row["pearson"] == pytest.approx(
                min(max((mean - a.mean() * b.mean()) / spread, -1), 1), abs=1e-12
            )
            correction = np.sqrt(max(1 - s / n, 0) / max(s - 1, 1))
            share = np.sqrt(both / s * (1 - both / s)) * correction
            slope = n * (n + m) / (n + m - together) ** 2
            assert row["jaccard_error"] == pytest.approx(slope * share, abs=1e-12)
            product = (x * y)[looked].std() * correction * n / counted / spread
            assert row["pearson_error"] == pytest.approx(min(product, 2.0), rel=1e-5, abs=1e-5)
            exact = s == n
            assert exact == (level == 0)
            if exact:
                assert row["jaccard_error"] == row["pearson_error"] == 0
                assert (both, row["jaccard"]) == slow.coactive(text, latent, row["other"])[::2]
            sampled += not exact
    assert sampled or most > 20


def test_the_errors_are_those_of_the_estimates() -> None:
    """Over many texts estimates are as far off as their errors say, and not to one side."""
    away: dict[str, list[tuple[float, float]]] = {"jaccard": [], "pearson": []}
    for seed in range(150):
        rng = np.random.default_rng(seed)
        text = random_dense(seed, n=40, context=32, d=3)
        # Places decide the sample, so each text is another draw; two latents that overlap in part.
        active = rng.random((2, *text.counted.shape)) < np.array([0.5, 0.4])[:, None, None]
        text.f[:, :, 0] = 0
        for i in (0, 1):
            size = rng.exponential(1.0, text.counted.shape) + 0.1
            text.f[:, :, 1 + i] = np.where(active[i] & text.counted, size, 0)
        shuffled = rng.permutation(text.f.reshape(-1, 3)[text.counted.reshape(-1)])
        text.f[text.counted] = shuffled
        setting = setting_for(text, coactive_sample=120, coactive_floor=1)
        table = text.measure(setting, [0, 40]).result(np.array([1]))["coactivation"]
        _, pearson, jaccard = slow.coactive(text, 1, 2)
        for order, true in (("jaccard", jaccard), ("pearson", pearson)):
            (row,) = (r for r in rows_of(table, latent=1, order="jaccard") if r["other"] == 2)
            away[order].append((row[order] - true, row[f"{order}_error"]))
    for order, found in away.items():
        off, error = np.array(found).T
        rms = np.sqrt((error**2).mean())
        assert abs(off.mean()) < 4 * rms / np.sqrt(len(off)), order
        assert 0.8 < np.sqrt((off**2).mean()) / rms < 1.25, order


@pytest.mark.parametrize("room", [1, 5, 12])
def test_tokens_are_counted_on_the_lowest_level_that_fits(room: int) -> None:
    text = random_dense(5, n=14, context=26)
    setting = setting_for(text, token_entries=room, tokens=50)
    found = text.measure(setting, [0, 2, 14]).result(np.arange(text.d_sae))["token_statistics"]
    level_of = levels(text)
    sampled = 0
    for latent in range(1, text.d_sae):
        active = (text.f[:, :, latent] > 0) & text.counted
        # An entry is of a token, a level and eight octaves of activation.
        exponent = (text.f[:, :, latent].view(np.int32) >> 23).clip(1) >> 3
        floor = next(
            k
            for k in range(32)
            if len(
                set(
                    zip(
                        text.tokens[active & (level_of >= k)],
                        level_of[active & (level_of >= k)],
                        exponent[active & (level_of >= k)],
                        strict=True,
                    )
                )
            )
            <= room
        )
        part = on_level(text, floor)
        expected = slow.token_table(part, latent)
        share = part.counted.sum() / text.counted.sum()
        rows = rows_of(found, latent=latent, order="share")
        assert {row["token"] for row in rows} == set(expected)
        for row in rows:
            n_token, n_active, mean, of_total, lift, low = expected[row["token"]]
            assert (row["n_token"], row["n_active"]) == (n_token, n_active)
            assert row["sampled"] == pytest.approx(share)
            assert row["mean_active"] == pytest.approx(mean)
            assert row["share"] == pytest.approx(of_total)
            assert row["lift"] == pytest.approx(lift)
            assert row["lift_low"] == pytest.approx(low)
        sampled += floor > 0
    assert sampled


def test_memory_has_the_bound_that_is_written_down() -> None:
    """`bounds.bytes_of` of a text that fills every share, and of one that does not."""
    from saereport.measure.bounds import bytes_of

    for n, sample, room in ((6, 500, 500), (60, 8, 8)):
        text = random_dense(1, n=n, context=24, d=40, d_vocab=13)
        setting = Setting(
            40,
            13,
            np.arange(40),
            top=5,
            before=2,
            after=2,
            coactive_sample=sample,
            token_entries=room,
        )
        measurement = text.measure(setting, [0, n])
        state = measurement.state()
        held = sum(array.nbytes for array in state.values())
        active = (text.f > 0).sum()
        l0 = active / text.counted.sum()
        assert held < bytes_of(setting, float(l0), 24, n_active=float(active) / 40)
    assert Measurement(setting).state().keys() == state.keys()


def test_a_floor_that_another_part_raised_holds_for_what_was_kept_before() -> None:
    """The other part has too many tokens for its one entry, and keeps none of a higher level."""
    text = random_dense(5, n=14, context=26)
    low = np.argwhere(text.counted & (levels(text) == 0))[:3]
    text.f[:] = 0
    for sequence, position in low:
        text.f[sequence, position, 1] = 1.0
    text.tokens[tuple(low.T)] = 3, 4, 5
    setting = setting_for(text, token_entries=1)
    whole = text.measure(setting, [0, 14]).result(np.array([1]))["token_statistics"]
    alone, rest = Measurement(setting), Measurement(setting)
    for part, places in ((alone, low[:1]), (rest, low[1:])):
        one = Dense(np.zeros_like(text.f), text.tokens, text.counted, text.documents, 13)
        for sequence, position in places:
            one.f[sequence, position, 1] = 1.0
        part.update(one.batch(0, 14))
    state = rest.state()
    assert not len(state["tokens.key"])
    assert state["tokens.floor"][1] == 1
    assert len(alone.state()["tokens.key"]) == 1
    alone.merge(rest)
    assert len(whole["token"]) == 0
    assert len(alone.result(np.array([1]))["token_statistics"]["token"]) == 0
