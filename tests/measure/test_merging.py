"""Any split, any batches, any order of merging and any checkpoint give the same result."""

from __future__ import annotations

import io
import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saereport.measure import Measurement, SequenceStore, Setting
from saereport.measure.batch import SortedEvents, TrackedLatents
from saereport.measure.statistics.candidates import SAMPLED, Candidates, stratum_of
from saereport.measure.statistics.floats import priorities
from tests.measure.texts import Dense, random_dense, same, texts

quick = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


bounded = st.fixed_dictionaries(
    {"coactive_sample": st.sampled_from([1, 3, 1000]), "token_entries": st.sampled_from([1, 2, 99])}
)
"""Room for pairs that even a small text overfills, or that it does not."""


def setting_for(text: Dense, **changes: object) -> Setting:
    standard: dict = {
        "latents": np.arange(text.d_sae),
        "seed": 5,
        "top": 3,
        "before": 1,
        "after": 1,
        "intervals": 3,
        "interval_examples": 2,
        "quantile_edges": (0.5,),
        "quantile_examples": 2,
        "tokens": 3,
        "coactive": 2,
    }
    return Setting(text.d_sae, text.d_vocab, **{**standard, **changes})


def through_file(measurement: Measurement) -> Measurement:
    """The same measurement, from a checkpoint that was written and read."""
    file = io.BytesIO()
    np.savez(file, **measurement.state())
    file.seek(0)
    with np.load(file, allow_pickle=False) as saved:
        fresh = Measurement(measurement.setting)
        fresh.restore(dict(saved))
    return fresh


@pytest.fixture(params=["sort at once", "sort in blocks", "put off sorting"])
def eager(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """When candidates are sorted out must not matter, nor how many at a time."""
    if request.param == "sort in blocks":
        monkeypatch.setattr("saereport.measure.waiting._BLOCK_ON_CPU", 7)
    if request.param != "put off sorting":
        for module in ("candidates", "tokens", "coactivation", "sketch", "order"):
            monkeypatch.setattr(f"saereport.measure.statistics.{module}._WAITING", 0)
        monkeypatch.setattr("saereport.measure.statistics.coactivation._PAIRS_ON_CPU", 5)


@pytest.fixture(autouse=True)
def small_sketches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sketches that even a small text overfills."""
    monkeypatch.setattr("saereport.measure.statistics.sketch.SKETCHED", 4)


@quick
@given(text=texts(), data=st.data())
def test_any_split_merges_to_the_same(eager: None, text: Dense, data: st.DataObject) -> None:
    n = len(text.f)
    setting = setting_for(text, **data.draw(bounded))
    latents = setting.latents
    whole = text.measure(setting, [0, n]).result(latents)
    part_of = data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    parts = []
    for part in data.draw(st.permutations(range(3))):
        measurement = Measurement(setting)
        for s in data.draw(st.permutations([s for s in range(n) if part_of[s] == part])):
            measurement.update(text.batch(s, s + 1))
        parts.append(through_file(measurement) if data.draw(st.booleans()) else measurement)
    if data.draw(st.booleans()):
        parts[1].merge(parts[2])
        parts[0].merge(parts[1])
    else:
        parts[0].merge(parts[1])
        parts[0].merge(parts[2])
    same(parts[0].result(latents), whole)
    assert parts[0].summary() == text.measure(setting, [0, n]).summary()


@quick
@given(text=texts(), data=st.data())
def test_front_to_back_is_the_same_to_the_bit(
    eager: None, text: Dense, data: st.DataObject
) -> None:
    n = len(text.f)
    setting = setting_for(text, **data.draw(bounded))
    whole = text.measure(setting, [0, n]).result(setting.latents)
    cuts = data.draw(st.lists(st.integers(0, n), max_size=4))
    edges = sorted({0, n, *cuts})
    measurement = Measurement(setting)
    for start, stop in itertools.pairwise(edges):
        measurement.update(text.batch(start, stop))
        if data.draw(st.booleans()):
            measurement = through_file(measurement)
        elif data.draw(st.booleans()):
            measurement.state()  # a checkpoint must leave no trace in what goes on
    same(measurement.result(setting.latents), whole)


def test_a_state_is_not_shared_with_its_source() -> None:
    text = random_dense(6)
    setting = setting_for(text)
    source = text.measure(setting, [0, 5])
    state = {key: array.copy() for key, array in source.state().items()}
    copy = Measurement(setting)
    copy.restore(state)
    copy.update(text.batch(5, 12))
    for key, array in source.state().items():
        np.testing.assert_array_equal(array, state[key])


def test_state_of_other_statistics_is_refused() -> None:
    text = random_dense(6)
    measurement = Measurement(setting_for(text))
    with pytest.raises(ValueError, match="other statistics"):
        measurement.restore(Measurement(setting_for(text), ["activity"]).state())


def test_sampled_examples_depend_on_the_seed_and_nothing_else() -> None:
    text = random_dense(8, n=30)
    results = [
        text.measure(setting_for(text, seed=seed), [0, 10, 30]).result(np.array([1]))["examples"]
        for seed in (5, 5, 6)
    ]
    same({"examples": results[0]}, {"examples": results[1]})
    assert list(results[0]["position"]) != list(results[2]["position"])


def test_samples_are_uniform() -> None:
    """Over many seeds every event of a group is drawn about equally often."""
    text = random_dense(9, n=4, context=12, d=2)
    text.f[:] = 0
    text.f[:, 1:, 1] = 1 + np.arange(44, dtype=np.float32).reshape(4, 11) / 44
    text.counted[:] = True
    text.counted[:, 0] = False
    drawn = np.zeros((4, 12))
    runs = 400
    for seed in range(runs):
        setting = setting_for(
            text, seed=seed, before=0, after=0, intervals=1, interval_examples=4, top=0
        )
        measurement = Measurement(setting, ["examples"])
        measurement.update(text.batch(0, 4))
        table = measurement.result(np.array([1]))["examples"]
        chosen = [g == "interval:0" for g in table["group"]]
        np.add.at(drawn, (table["sequence"][chosen], table["position"][chosen]), 1)
    expected = runs * 4 / 44
    chi2 = ((drawn[:, 1:] - expected) ** 2 / expected).sum()
    assert chi2 < 80  # 43 degrees of freedom: a fair draw exceeds this once in two thousand


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Candidates, their activations and their sequences do not grow with the text."""
    for module in ("candidates", "sequences", "tokens", "coactivation"):
        monkeypatch.setattr(f"saereport.measure.statistics.{module}._WAITING", 0)
    setting = Setting(
        3,
        5,
        np.arange(3),
        top=3,
        before=1,
        after=1,
        intervals=2,
        coactive_sample=32,
        token_entries=8,
    )
    measurement, store = Measurement(setting), SequenceStore()
    sizes = []
    for i in range(150):
        text = random_dense(i, n=4, context=16, d=3, d_vocab=5)
        batch = text.batch(0, 4)
        moved = replace(batch, first=4 * i)
        measurement.update(moved)
        store.add(4 * i, text.tokens, text.counted, text.documents)
        if store.full:
            store.keep(measurement.sequences())
        if i % 50 == 49:
            measurement.state()
            store.keep(measurement.sequences())
            state = {**measurement.state(), **store.state()}
            sizes.append(sum(a.nbytes for k, a in state.items() if "histogram" not in k))
    assert sizes[2] < 1.3 * sizes[1]


@quick
@given(text=texts(), data=st.data())
def test_sequence_store(text: Dense, data: st.DataObject) -> None:
    n = len(text.f)
    stores = [SequenceStore(), SequenceStore()]
    for s in data.draw(st.permutations(range(n))):
        parts = text.tokens, text.counted, text.documents
        stores[data.draw(st.integers(0, 1))].add(s, *(part[s : s + 1] for part in parts))
    fresh = SequenceStore()
    fresh.restore(stores[1].state())
    stores[0].merge(fresh)
    wanted = np.array(sorted(data.draw(st.sets(st.integers(0, n - 1)))), dtype=np.int64)
    stores[0].keep(wanted)
    table = stores[0].result(wanted)
    assert table["sequence"].tolist() == wanted.tolist()
    for i, s in enumerate(wanted):
        assert table["tokens"][i].tolist() == text.tokens[s].tolist()
        assert table["counted"][i].tolist() == text.counted[s].tolist()
        assert table["documents"][i].tolist() == text.documents[s].tolist()
    missing = np.array([n], dtype=np.int64)
    with pytest.raises(ValueError, match="not kept"):
        stores[0].result(missing)


@pytest.mark.parametrize("block", [7, 1 << 20])
def test_a_sample_is_of_the_lowest_priorities_of_each_stratum(
    monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    """Of every latent, also of those that are not in the first block that is sorted out."""
    monkeypatch.setattr("saereport.measure.waiting._BLOCK_ON_CPU", block)
    text = random_dense(3, n=400, context=16, d=8)
    latents = np.arange(1, text.d_sae)  # 0 is never active
    found = Candidates(latents, "cpu", top=1, reach=2, size=2, seed=5)
    rows = TrackedLatents(latents, text.d_sae)
    for first in range(0, 400, 20):
        prepared = SortedEvents(text.batch(first, first + 20), rows)
        found.choose(prepared)
        found.update(prepared)
        found.compact()
    kept = found.state()
    sampled = (kept["wanted"] & SAMPLED) > 0
    kept["latent"] = latents[kept["row"]]
    columns = [kept[name][sampled].tolist() for name in ("latent", "sequence", "position")]
    sequence, position, latent = np.nonzero(text.f * text.counted[:, :, None])
    value = text.f[sequence, position, latent].astype(np.float32)
    priority = priorities(5, latent, sequence, position)
    groups: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    for i in np.argsort(priority):
        group = groups.setdefault((int(latent[i]), int(stratum_of(value[i : i + 1])[0])), [])
        if len(group) < 2:
            group.append((int(latent[i]), int(sequence[i]), int(position[i])))
    assert sorted(zip(*columns, strict=True)) == sorted(
        itertools.chain.from_iterable(groups.values())
    )
