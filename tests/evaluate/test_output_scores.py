"""Output scores against TransformerLens's own passes, and controls against loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saereport.evaluate import output_scores as scores
from saereport.evaluate.bootstrap import draws
from saereport.evaluate.output_scores import (
    Traits,
    Turned,
    changes,
    compared,
    compared_with,
    draw_controls,
    rank_weighted,
)
from saereport.intervene.steering import Direction, direction_of
from tests.circuits import dense
from tests.factories import tiny_tokens

RESID, Z, MLP = "blocks.1.hook_resid_post", "blocks.1.attn.hook_z", "blocks.1.ln2.hook_normalized"
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "resid": ("jumprelu", {"hook_name": RESID}),
    "z": ("standard", {"hook_name": Z}),
    "transcoder": ("transcoder", {"hook_name": MLP}),
}
PROMPTS = [tuple(row[: 3 + i % 3]) for i, row in enumerate(tiny_tokens(7, 6).tolist())]


def test_what_is_the_same_for_all_may_be_given_once() -> None:
    generator = torch.Generator().manual_seed(0)
    plain = torch.randn((1, 300), generator=generator)
    top = torch.stack([torch.randperm(300, generator=generator)[:4] for _ in range(7)])
    for once, each in zip(
        rank_weighted(plain, top), rank_weighted(plain.repeat(7, 1), top), strict=True
    ):
        np.testing.assert_array_equal(once, each)


def slow_rank_weighted(logits: list[float], top: list[int]) -> tuple[float, list[float]]:
    """By sorting the whole vocabulary."""
    order = sorted(range(len(logits)), key=lambda token: (-logits[token], token))
    total = float(np.exp(np.array(logits) - max(logits)).sum())
    p = [float(np.exp(logit - max(logits))) / total for logit in logits]
    rank = min(order.index(token) for token in top)
    return (1 - rank / len(logits)) * max(p[token] for token in top), [p[token] for token in top]


@given(
    st.lists(st.sampled_from([-2.0, 0.0, 0.5, 3.0, 9.0]), min_size=4, max_size=12),
    st.data(),
)
def test_the_rank_weighted_probability_is_that_of_a_sorted_vocabulary(
    logits: list[float], data: Any
) -> None:
    ids = st.integers(0, len(logits) - 1)
    top = data.draw(st.lists(ids, min_size=1, max_size=4, unique=True))
    found, each = rank_weighted(torch.tensor([logits]), torch.tensor([top]))
    expected, probabilities = slow_rank_weighted(logits, top)
    assert found[0] == pytest.approx(expected)
    assert each[0].tolist() == pytest.approx(probabilities)


@pytest.mark.parametrize("kind", KINDS)
def test_every_change_is_what_a_pass_with_a_hook_gives(
    tiny: Any, tiny_sae: Callable[..., Any], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "MOST_ROWS", 5)
    sae = tiny_sae(KINDS[kind][0], **KINDS[kind][1])
    rng = np.random.default_rng(1)
    amounts = {3: 2.0, 7: -4.0, 11: 25.0}
    turned = [
        Turned(direction_of(sae, latent, amount), rng.choice(100, 4, replace=False))
        for latent, amount in amounts.items()
    ]
    found = changes(tiny, turned, PROMPTS, None)
    for one, (latent, amount), what in zip(found, amounts.items(), turned, strict=True):
        add = amount * sae.W_dec[latent]
        for number, prompt in enumerate(PROMPTS):
            with torch.no_grad():
                logits = [
                    dense.run(tiny, torch.tensor(prompt), edits, None)[-1].double().tolist()
                    for edits in ({}, {sae.write_point.name: lambda a, v=add: a + v})
                ]
            (before, p), (after, q) = (slow_rank_weighted(row, what.top.tolist()) for row in logits)
            assert one.score[number] == pytest.approx(after - before, abs=1e-6)
            assert one.before[number].tolist() == pytest.approx(p, abs=1e-6)
            assert one.after[number].tolist() == pytest.approx(q, abs=1e-6)
        assert one.usable


def test_nothing_added_changes_nothing_and_what_overflows_is_seen(
    tiny: Any, tiny_sae: Callable[..., Any]
) -> None:
    top = np.arange(4)
    still = Turned(direction_of(tiny_sae("jumprelu", hook_name=RESID), 2, 0.0), top)
    (one,) = changes(tiny, [still], PROMPTS, None)
    assert np.abs(one.score).max() < 1e-6
    wild = Turned(Direction({RESID: torch.full((32,), torch.inf)}), top)
    (other, again) = changes(tiny, [wild, still], PROMPTS, None)
    assert not other.usable
    assert again.usable
    assert changes(tiny, [], PROMPTS, None) == []


@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_controls_are_live_not_shown_and_drawn_once(seed: int, each: int) -> None:
    rng = np.random.default_rng(seed)
    traits = Traits(rng.poisson(2, 40), rng.choice([0.0, 0.5, 1.0, 2.0], 40))
    live = np.flatnonzero((traits.n_active > 0) & (traits.norms > 0))
    shown = np.sort(rng.choice(live, min(len(live), 5), replace=False))
    found = draw_controls(traits, shown, each, 0)
    drawn = np.concatenate(found) if found else np.zeros(0, int)
    assert len(set(drawn.tolist())) == len(drawn)
    assert len(drawn) == min(each * len(shown), len(live) - len(shown))
    assert set(drawn.tolist()) <= set(live.tolist()) - set(shown.tolist())


def test_controls_are_the_nearest_in_density_and_norm() -> None:
    rng = np.random.default_rng(5)
    traits = Traits(rng.integers(1, 5000, 60), rng.uniform(0.2, 3, 60))
    (found,) = draw_controls(traits, np.array([17]), 6, 0)
    others = [i for i in range(60) if i != 17]
    logs = np.log(np.stack([traits.n_active, traits.norms], axis=1))
    spread = logs[others].std(axis=0)
    far = {i: float(np.square((logs[i] - logs[17]) / spread).sum()) for i in others}
    assert found.tolist() == sorted(sorted(others, key=lambda i: (far[i], i))[:6])


def test_of_very_many_latents_a_seeded_sample_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scores, "CANDIDATES", 10)
    traits = Traits(np.full(200, 3), np.ones(200))
    one, same, other = (
        draw_controls(traits, np.array([0]), 10, seed)[0].tolist() for seed in (1, 1, 2)
    )
    assert one == same != other
    assert len(one) == 10


def test_a_latent_is_compared_with_those_nearest_to_it() -> None:
    places = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0], [5.0, 5.0]])
    own = np.array([[0.1, 0.0], [5.0, 4.0]])
    assert [one.tolist() for one in compared_with(own, places, 2)] == [[0, 1], [2, 3]]
    assert compared_with(own, places, 9)[0].tolist() == [0, 1, 2, 3]


def test_the_score_beside_its_controls() -> None:
    rng = np.random.default_rng(0)
    own, controls = rng.normal(0.3, 0.1, 12), rng.normal(0, 0.1, (8, 12))
    controls[0] = own
    found = compared(own, controls)
    assert found.score == pytest.approx(own.mean())
    assert found.control == pytest.approx(controls.mean())
    assert found.difference == pytest.approx(own.mean() - controls.mean())
    assert found.percentile == (7 + 0.5) / 8
    assert found.interval is not None
    assert found.interval[0] < found.score < found.interval[1]
    assert found.difference_interval is not None
    # Drawn anew by hand, with the same draws.
    weights = np.concatenate(list(draws(12)))
    means = weights @ (own - controls.mean(axis=0)) / 12
    expected = np.quantile(means, [0.025, 0.975]).tolist()
    assert list(found.difference_interval) == pytest.approx(expected, rel=1e-4)
    few = compared(own[:9], controls[:, :9])
    assert few.interval is None
    assert few.difference_interval is None
