"""Sketches of active tokens, against a computation with Python's own integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from saereport.measure import Measurement, Setting
from saereport.util.priority import place_priorities, token_priorities
from tests.measure import slow
from tests.measure.texts import Dense, random_dense, same

CONTEXT = 24


def priority(sequence: int, position: int) -> int:
    """splitmix64's finaliser of a token's place, one step at a time."""
    mask = 2**64 - 1
    x = ((sequence << 32) + position + 0x9E3779B97F4A7C15) & mask
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
    return x ^ (x >> 31)


def sketches(text: Dense, latents: list[int], edges: list[int], seed: int = 0) -> dict:
    setting = Setting(text.d_sae, text.d_vocab, np.array(latents), seed=seed)
    return text.measure(setting, edges).result(np.array(latents))["active_sketch"]


@pytest.fixture(scope="module")
def text() -> Dense:
    return random_dense(3, n=40, context=CONTEXT)


@given(
    st.integers(1, 2**31 - 1),
    arrays.arrays(np.int64, 5, elements=st.integers(0, 2**31 - 1)),
)
def test_priorities_are_a_hash_of_the_place_alone(context: int, tokens: np.ndarray) -> None:
    places = [(int(token) // context, int(token) % context) for token in tokens]
    expected = [priority(*place) for place in places]
    assert token_priorities(tokens, context).tolist() == expected
    assert place_priorities(*np.array(places).T).tolist() == expected


def test_a_sketch_holds_the_active_tokens_of_lowest_priority(text: Dense) -> None:
    table = sketches(text, list(range(9)), [0, 7, 8, 30, 40])
    assert table["latent"].tolist() == list(range(9))
    for latent in range(9):
        events = sorted(slow.events(text, latent), key=lambda event: priority(*event[1:]))[:64]
        assert table["tokens"][latent].tolist() == [s * CONTEXT + p for _, s, p in events]
        assert table["values"][latent].tolist() == [value for value, _, _ in events]
    sizes = [len(tokens) for tokens in table["tokens"]]
    assert sizes[:2] == [0, 64]
    assert 0 < sizes[2] < 64


def test_other_latents_and_the_seed_do_not_matter(text: Dense) -> None:
    whole = sketches(text, list(range(9)), [0, 40])
    for column in ("tokens", "values"):
        whole[column] = [whole[column][latent] for latent in (1, 4)]
    whole["latent"] = whole["latent"][[1, 4]]
    few = sketches(text, [1, 4], [0, 13, 40], seed=9)
    same({"active_sketch": few}, {"active_sketch": whole})


def test_what_two_sketches_share_estimates_the_jaccard_overlap() -> None:
    rng = np.random.default_rng(5)
    n, context, pairs = 120, 40, 60
    common, own = (rng.random((n, context, 2 * pairs)) < rate for rate in (0.06, 0.04))
    active = own | np.repeat(common[:, :, :pairs], 2, axis=2)
    base = random_dense(5, n=n, context=context, d=2)
    text = Dense(active.astype(np.float32), base.tokens, active[:, :, 0] | True, base.documents, 13)
    tokens = sketches(text, list(range(2 * pairs)), [0, n])["tokens"]
    errors = []
    for left in range(0, 2 * pairs, 2):
        a, b = tokens[left].tolist(), tokens[left + 1].tolist()
        union = sorted({*a, *b}, key=lambda token: priority(*divmod(token, context)))[:64]
        estimate = len(set(a) & set(b) & set(union)) / 64
        x, y = active[:, :, left], active[:, :, left + 1]
        errors.append(estimate - (x & y).sum() / (x | y).sum())
    assert abs(np.mean(errors)) < 4 * 0.0625 / np.sqrt(pairs)
    assert 0.03 < np.std(errors) < 0.09  # sqrt(J (1 - J) / 64) for J of about a half


def test_nothing_is_kept_beyond_what_a_sketch_holds() -> None:
    measurement = Measurement(Setting(3, 5, np.arange(3)), ["sketch"])
    text = random_dense(1, n=400, context=CONTEXT, d=3, d_vocab=5)
    for start in range(0, 400, 8):
        measurement.update(text.batch(start, start + 8))
    assert len(measurement.state()["sketch.row"]) <= 3 * 64
