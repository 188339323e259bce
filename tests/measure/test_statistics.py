"""Every statistic against an independent slow computation."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from saereport.measure import Measurement, Setting
from saereport.measure.statistics.coactivation import _best
from saereport.measure.statistics.order import KEPT, LargestValues, rank_of
from saereport.run.tables import QUANTILES, TABLES
from tests.measure import slow
from tests.measure.texts import Dense, random_dense

SEED = 11


def setting_for(text: Dense, **changes: object) -> Setting:
    standard: dict = {
        "latents": np.arange(text.d_sae),
        "seed": SEED,
        "top": 6,
        "before": 3,
        "after": 2,
        "intervals": 4,
        "interval_examples": 3,
        "quantile_edges": (0.25, 0.5, 0.9),
        "quantile_examples": 3,
        "tokens": 4,
        "coactive": 3,
        "coactive_floor": 1,
    }
    return Setting(text.d_sae, text.d_vocab, **{**standard, **changes})


@pytest.fixture(scope="module", params=[0, 1])
def text(request: pytest.FixtureRequest) -> Dense:
    return random_dense(request.param, n=14, context=26)


@pytest.fixture(scope="module")
def measured(text: Dense) -> Measurement:
    return text.measure(setting_for(text), [0, 3, 4, 9, 14])


@pytest.fixture(scope="module")
def tables(text: Dense, measured: Measurement) -> dict:
    return measured.result(np.arange(text.d_sae))


def rows_of(table: dict, **where: object) -> list[dict]:
    rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    return [row for row in rows if all(row[key] == value for key, value in where.items())]


def test_tables_match_the_contract(tables: dict, measured: Measurement) -> None:
    assert set(tables) == set(measured.tables)
    for name, table in tables.items():
        spec = TABLES[name]
        assert tuple(table) == spec.names, name
        assert len({len(column) for column in table.values()}) == 1
        keys = list(zip(*(table[key] for key in spec.key), strict=True))
        assert keys == sorted(keys), name
        assert len(keys) == len(set(keys)), name


def test_activity(text: Dense, tables: dict) -> None:
    counted = int(text.counted.sum())
    for row in rows_of(tables["activity"]):
        n, maximum, mean, std = slow.moments(text, row["latent"])
        assert (row["n_active"], row["max"]) == (n, maximum)
        assert row["density"] == n / counted
        assert row["mean_active"] == pytest.approx(mean, rel=1e-14)
        assert row["std_active"] == pytest.approx(std, rel=1e-12)
        if n < 2:
            assert not len(row["quantile_values"])
            continue
        for q, value in zip(QUANTILES, row["quantile_values"], strict=True):
            exact = slow.order_statistic(text, row["latent"], q)
            assert value == pytest.approx(exact, rel=1 / 64)
            from_top = n - math.ceil(Fraction(str(q)) * n)
            if from_top < KEPT:
                assert value == exact


def test_histograms(text: Dense, tables: dict) -> None:
    for row in rows_of(tables["activation_histogram"]):
        if row["latent"] == 0:
            assert (row["exponent"], row["log_first"], list(row["log_counts"])) == (0, 0, [])
            assert sum(row["counts"]) == 0
            continue
        exponent, counts = slow.linear_histogram(text, row["latent"], 64)
        assert (row["exponent"], row["counts"].tolist()) == (exponent, counts)
        by_bin = slow.log_histogram(text, row["latent"])
        first, last = min(by_bin), max(by_bin)
        assert row["log_first"] == first
        assert row["log_counts"].tolist() == [by_bin.get(b, 0) for b in range(first, last + 1)]


def test_top_examples(text: Dense, tables: dict) -> None:
    context = text.f.shape[1]
    for latent in range(text.d_sae):
        rows = rows_of(tables["examples"], latent=latent, group="top")
        found = [(row["activation"], row["sequence"], row["position"]) for row in rows]
        assert found == slow.top(text, latent, 6, 3, 2)
        assert [row["rank"] for row in rows] == list(range(len(rows)))
        for row in rows:
            s, p = row["sequence"], row["position"]
            assert (row["start"], row["stop"]) == (max(p - 3, 0), min(p + 3, context))
            assert row["document"] == text.documents[s, p]
            active = np.flatnonzero(text.f[s, :, latent])
            assert row["active_positions"].tolist() == active.tolist()
            assert row["active_values"].tolist() == text.f[s, active, latent].tolist()


def test_groups_hold_exact_counts(text: Dense, tables: dict) -> None:
    for latent in range(text.d_sae):
        values = [v for v, _, _ in slow.events(text, latent)]
        for family, n_groups in (("interval", 4), ("quantile", 4)):
            rows = [
                r
                for r in rows_of(tables["example_groups"], latent=latent)
                if r["group"].startswith(family)
            ]
            assert len(rows) == (n_groups if values else 0)
            if not rows:
                continue
            assert rows[0]["lower"] == 0
            assert rows[-1]["upper"] == max(values)
            assert sum(row["n_active"] for row in rows) == len(values)
            for low, high in itertools.pairwise(rows):
                assert low["upper"] == high["lower"]
            for b, row in enumerate(rows):
                inside = sum(row["lower"] < v <= row["upper"] for v in values)
                assert row["n_active"] == inside
                assert row["share"] == inside / len(values)
                if family == "interval":
                    assert abs(row["upper"] - (b + 1) / 4 * max(values)) <= max(values) / 512
                elif len(values) <= KEPT:
                    expected = slow.groups(text, latent, (0.25, 0.5, 0.9))[b]
                    assert row["n_active"] == len(expected)
                    assert not expected or row["upper"] == expected[-1]


def test_group_examples_are_the_first_by_priority(text: Dense, tables: dict) -> None:
    context = text.f.shape[1]
    for group in rows_of(tables["example_groups"]):
        latent, name = group["latent"], group["group"]
        ordered = slow.drawn(text, latent, group["lower"], group["upper"], SEED)
        expected = slow.without_overlap(ordered, 3, 3, 2, context)
        expected.sort(key=lambda e: (-e[0], e[1], e[2]))
        rows = rows_of(tables["examples"], latent=latent, group=name)
        assert [(r["activation"], r["sequence"], r["position"]) for r in rows] == expected


def test_tokens(text: Dense, tables: dict) -> None:
    for latent in range(text.d_sae):
        table = slow.token_table(text, latent)
        by_share = sorted(table, key=lambda t: (-table[t][3], t))[:4]
        by_lift = sorted(table, key=lambda t: (-round(table[t][5], 12), -table[t][1], t))[:4]
        for order, expected in (("share", by_share), ("lift", by_lift)):
            rows = rows_of(tables["token_statistics"], latent=latent, order=order)
            assert [row["token"] for row in rows] == expected
            for row in rows:
                n_token, n_active, mean, share, lift, low = table[row["token"]]
                assert (row["n_token"], row["n_active"]) == (n_token, n_active)
                assert row["mean_active"] == pytest.approx(mean, rel=1e-14)
                assert row["share"] == pytest.approx(share, rel=1e-14)
                assert row["lift"] == pytest.approx(lift, rel=1e-14)
                assert row["lift_low"] == pytest.approx(low, rel=1e-12)


@pytest.mark.parametrize("tracked", ["all", "some"])
def test_coactivation(text: Dense, tracked: str) -> None:
    latents = np.arange(text.d_sae) if tracked == "all" else np.array([1, 4, 7])
    setting = setting_for(text, latents=latents)
    table = text.measure(setting, [0, 6, 14]).result(latents)["coactivation"]
    for latent in latents:
        others = [other for other in range(text.d_sae) if other != latent]
        pairs = {other: slow.coactive(text, latent, other) for other in others}
        pairs = {other: pair for other, pair in pairs.items() if pair[0]}
        for order, at in (("pearson", 1), ("jaccard", 2)):
            rows = rows_of(table, latent=latent, order=order)
            expected = sorted(pairs, key=lambda o: (-pairs[o][at], o))[:3]
            assert [row["other"] for row in rows] == expected
            for row in rows:
                both, pearson, jaccard = pairs[row["other"]]
                assert row["n_both"] == both
                assert row["pearson"] == pytest.approx(pearson, rel=1e-9, abs=1e-12)
                assert row["jaccard"] == jaccard


def test_constant_latent_has_no_correlation() -> None:
    text = random_dense(3)
    text.f[:, :, 1] = np.where(text.counted, np.float32(2.0), np.float32(0.0))
    table = text.measure(setting_for(text), [0, 12]).result(np.array([1]))["coactivation"]
    assert not rows_of(table, order="pearson")
    assert all(row["pearson"] == 0 for row in rows_of(table, order="jaccard"))


@pytest.mark.parametrize("n", [1, 5, 64, 70])
def test_best_of_long_and_short_rows(n: int) -> None:
    rng = np.random.default_rng(n)
    lengths = np.array([0, 3, 200, 64, 1, 63, 500, 0])
    start = np.concatenate([[0], np.cumsum(lengths)])
    row = np.repeat(np.arange(len(lengths)), lengths)
    column = np.concatenate([np.sort(rng.permutation(600)[:length]) for length in lengths])
    values = rng.integers(0, 50, len(row)).astype(float)
    values[rng.random(len(row)) < 0.1] = -np.inf
    found, rank = _best(values, start, row, column, n)
    for i in range(len(lengths)):
        mine = [j for j in np.flatnonzero(row == i) if np.isfinite(values[j])]
        expected = sorted(mine, key=lambda j: (-values[j], column[j]))[:n]
        assert found[row[found] == i].tolist() == expected
        assert rank[row[found] == i].tolist() == list(range(len(expected)))


def test_partners_by_chance_are_not_listed() -> None:
    text = random_dense(5, n=20)
    text.f[:, :, 7:] = 0
    text.counted[1, 3:8], text.f[1, 3:8, 1] = True, 1.0
    text.f[1, 3:7, 7], text.f[1, 3:8, 8] = 1.0, 1.0  # 4 tokens together with any other: too few
    table = text.measure(setting_for(text, coactive_floor=5), [0, 20]).result(np.array([7, 8]))
    pairs = rows_of(table["coactivation"])
    assert all(row["n_both"] >= 5 for row in pairs)
    assert not [row for row in pairs if row["latent"] == 7]
    assert [row["other"] for row in pairs if row["order"] == "jaccard"] == [1]


def test_ties_of_correlation_go_to_the_smaller_index() -> None:
    """Activations that are multiples of one another correlate alike, up to rounding."""
    rng = np.random.default_rng(2)
    text = random_dense(6, n=30)
    shape = rng.exponential(1.0, text.f.shape[:2]).astype(np.float32)
    shape *= (rng.random(shape.shape) < 0.2) & text.counted
    # Powers of two times a common factor round differently in sums, not in the correlation.
    for latent, factor in ((8, 1.0), (7, 3.0), (6, 0.7), (5, 1.1), (4, 5.3)):
        text.f[:, :, latent] = shape * np.float32(factor)
    for latents in (np.arange(text.d_sae), np.array([3, 8])):
        setting = setting_for(text, coactive=4, latents=latents)
        result = text.measure(setting, [0, 7, 30]).result(np.array([8]))
        for order in ("pearson", "jaccard"):
            found = [row["other"] for row in rows_of(result["coactivation"], order=order)]
            assert found == [4, 5, 6, 7]


def test_a_token_seen_once_does_not_outrank_one_seen_often() -> None:
    text = random_dense(7, n=40, d_vocab=200)
    text.tokens[text.tokens < 5] = 9
    text.tokens[:, 5:9], text.tokens[0, 12] = 3, 4
    text.counted[:, 5:9] = text.counted[0, 12] = True
    text.f[:, :, 2] = 0
    text.f[:, 5:9, 2][np.arange(160).reshape(40, 4) % 5 > 0] = 1.0  # 128 of 160 occurrences
    text.f[0, 12, 2] = 9.0  # the one occurrence of token 4
    rows = rows_of(
        text.measure(setting_for(text), [0, 40]).result(np.array([2]))["token_statistics"],
        order="lift",
    )
    assert [row["token"] for row in rows] == [3, 4]
    assert rows[0]["lift"] < rows[1]["lift"]
    assert rows[0]["lift_low"] > rows[1]["lift_low"]
    assert [(row["n_active"], row["n_token"]) for row in rows] == [(128, 160), (1, 1)]


@pytest.mark.parametrize("n", [1, 2, 3, 29, 30, 99, 100, 6400, 9000])
def test_the_highest_group_is_never_empty_of_distinct_activations(n: int) -> None:
    """Activations that all lie in one or two bins, where bins alone would leave groups empty."""
    rng = np.random.default_rng(n)
    text = random_dense(0, n=-(-n // 20), context=21, d=1)
    text.counted[:, 1:], text.counted[:, 0] = True, False
    text.f[:] = 0
    # Distinct by construction: consecutive floats from 5.0 on, in random order.
    values = (np.float32(5.0).view(np.int32) + 40 * rng.permutation(n)).astype(np.int32)
    sequence, position = np.divmod(np.arange(n), 20)
    text.f[sequence, position + 1, 0] = values.view(np.float32)
    inner = (0.5, 0.9, 0.99)
    setting = setting_for(text, quantile_edges=inner, latents=np.arange(1))
    found = text.measure(setting, [0, len(text.f)]).result(np.arange(1))
    rows = [r for r in rows_of(found["example_groups"]) if r["group"].startswith("quantile")]
    expected = [len(part) for part in slow.groups(text, 0, inner)]
    assert expected[-1] == n - math.floor(Fraction("0.99") * n)
    assert rows[-1]["n_active"] == min(expected[-1], KEPT - 1)
    if n <= KEPT:
        assert [row["n_active"] for row in rows] == expected
    assert sum(row["n_active"] for row in rows) == n
    assert all(low["upper"] == high["lower"] for low, high in itertools.pairwise(rows))
    drawn = [r for r in rows_of(found["examples"]) if r["group"] == rows[-1]["group"]]
    assert drawn or n > 12  # sampled sparsely where all lie in one quarter of an octave
    assert all(r["activation"] > rows[-1]["lower"] for r in drawn)


def test_of_one_activation_there_are_no_quantiles() -> None:
    text = random_dense(0, n=2)
    text.f[:] = 0
    text.counted[1, 3:5] = True
    text.f[1, 3, 0] = 2.5
    text.f[1, 3:5, 1] = 1.5, 2.5
    table = text.measure(setting_for(text), [0, 2]).result(np.array([0, 1, 2]))["activity"]
    assert [len(values) for values in table["quantile_values"]] == [0, 7, 0]
    assert table["std_active"].tolist() == [0.0, 0.5, 0.0]
    assert table["quantile_values"][1].tolist() == [1.5, 1.5, 1.5, 1.5, 2.5, 2.5, 2.5]


def test_largest_values_are_those_of_the_sorted_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("saereport.measure.statistics.order._WAITING", 50)
    rng = np.random.default_rng(4)
    row = np.sort(rng.integers(0, 5, 900))
    row = row[row != 3]
    value = rng.integers(1, 400, len(row)).astype(np.float32)
    whole, parts = LargestValues(5, "cpu"), [LargestValues(5, "cpu"), LargestValues(5, "cpu")]
    for at in range(0, len(row), 37):
        span = slice(at, at + 37)
        events = torch.from_numpy(row[span]), torch.from_numpy(value[span])
        whole.take(*events)
        parts[at % 2].take(*events)
    parts[0].merge(parts[1])
    for found in (whole, parts[0]):
        for r in range(5):
            expected = np.sort(value[row == r])[::-1][:KEPT]
            assert found.values[r, : len(expected)].tolist() == expected.tolist()
            assert not found.values[r, len(expected) :].any()


def test_ranks_have_no_error_of_the_product() -> None:
    for percent in range(1, 100):
        for n in (1, 7, 100, 999, 123_400, 10**9):
            q, exact = percent / 100, Fraction(percent, 100) * n
            assert rank_of(q, np.array([n]), up=True) == [math.ceil(exact)]
            assert rank_of(q, np.array([n]), up=False) == [math.floor(exact)]


def test_sae_activity_and_summary(text: Dense, measured: Measurement, tables: dict) -> None:
    active = (text.f > 0)[text.counted]
    assert tables["sae_activity"]["n_active"].tolist() == active.sum(axis=0).tolist()
    summary = measured.summary()
    per_token = active.sum(axis=1)
    assert summary["counted_tokens"] == len(per_token)
    assert summary["l0_mean"] == pytest.approx(per_token.mean())
    assert summary["l0_histogram"] == np.bincount(per_token).tolist()
    assert summary["never_active"] == int((active.sum(axis=0) == 0).sum())
    assert measured.n_active().tolist() == active.sum(axis=0).tolist()


def test_subset_of_tracked_latents_gives_the_same_numbers(text: Dense, tables: dict) -> None:
    latents = np.array([1, 5, 6])
    all_tracked = text.measure(setting_for(text), [0, 14]).result(latents)
    few_tracked = text.measure(setting_for(text, latents=latents), [0, 14]).result(latents)
    for name, table in all_tracked.items():
        for column in table:
            for few, other in zip(few_tracked[name][column], table[column], strict=True):
                np.testing.assert_array_equal(few, other)
        if name == "sae_activity":
            continue
        whole = [row for row in rows_of(tables[name]) if row["latent"] in latents]
        for row, expected in zip(rows_of(table), whole, strict=True):
            for column in table:
                np.testing.assert_array_equal(row[column], expected[column])


def test_only_what_was_tracked_can_be_reported(text: Dense) -> None:
    measurement = text.measure(setting_for(text, latents=np.array([1, 2])), [0, 14])
    with pytest.raises(ValueError, match="not tracked"):
        measurement.result(np.array([1, 3]))


def test_statistics_that_need_every_latent_can_be_left_out(text: Dense) -> None:
    measurement = Measurement(setting_for(text), all_latents=False)
    measurement.update(text.batch(0, 5))
    assert set(measurement.result(np.arange(3))) == {
        "activity",
        "activation_histogram",
        "examples",
        "example_groups",
        "token_statistics",
        "active_sketch",
    }
    assert measurement.summary() == {"counted_tokens": int(text.counted[:5].sum())}


def test_empty_text() -> None:
    text = random_dense(0, n=1)
    text.f[:] = 0
    for latents in (np.arange(text.d_sae), np.zeros(0, dtype=np.int64)):
        tables = text.measure(setting_for(text), [0, 1]).result(latents)
        assert len(tables["activity"]["latent"]) == len(latents)
        assert not len(tables["examples"]["latent"])
        assert not len(tables["example_groups"]["latent"])
        assert not len(tables["token_statistics"]["latent"])
        assert not len(tables["coactivation"]["latent"])


@pytest.mark.parametrize("edges", [(0.5, 0.5), (0.9, 0.2), (0.0,), (1.0,)])
def test_quantile_edges_ascend(edges: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="quantile edges"):
        Setting(4, 4, np.arange(4), quantile_edges=edges)
