"""What is said of steered text, against loops over tokens; the window it works in."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saereport.evaluate.proportions import difference, wilson
from saereport.evaluate.steering import (
    LARGEST,
    AtStrength,
    best,
    judged,
    latent_gauge,
    more_often,
    occurrences,
    perplexity,
    window,
    word_finder,
)

PROMPT = [0, 5, 9]
TEXTS = [[7, 8, 1], [11], [3, 99, 42, 17, 6]]
RESID, Z = "blocks.1.hook_resid_post", "blocks.1.attn.hook_z"


@pytest.mark.parametrize(
    ("architecture", "hook"), [("jumprelu", RESID), ("topk", RESID), ("standard", Z)]
)
def test_each_text_is_judged_alone(
    tiny: Any, tiny_sae: Callable[..., Any], architecture: str, hook: str
) -> None:
    sae, latents = tiny_sae(architecture, hook_name=hook), [3, 11, 40]
    found = [judged(tiny, latent_gauge(sae, latent), PROMPT, TEXTS) for latent in latents]
    for i, text in enumerate(TEXTS):
        tokens = torch.tensor([[*PROMPT, *text]])
        with torch.no_grad():
            logits = tiny.model(tokens)[0].double()
        nats = 0.0
        for place, token in enumerate(text, len(PROMPT)):
            nats -= float(logits[place - 1].log_softmax(0)[token])
        f = sae.encode(tiny.run(tokens, [hook])[hook])[0, len(PROMPT) :]
        # EOS, the last token of the first text, is no text.
        counted = [place for place, token in enumerate(text) if token > 1]
        for row, latent in zip(found, latents, strict=True):
            own = [float(f[place, latent]) for place in counted]
            assert row[i].n_tokens == len(text)
            assert row[i].nats == pytest.approx(nats, rel=1e-5)
            assert row[i].perplexity == pytest.approx(math.exp(nats / len(text)), rel=1e-5)
            assert row[i].mean == pytest.approx(sum(own) / len(own), rel=1e-4, abs=1e-6)
            assert row[i].peak == pytest.approx(max(own), rel=1e-4, abs=1e-6)
    assert any(one.peak > 0 for row in found for one in row)


def test_a_text_of_special_tokens_alone_has_no_activation(
    tiny: Any, tiny_sae: Callable[..., Any]
) -> None:
    gauge = latent_gauge(tiny_sae("jumprelu", hook_name=RESID), 3)
    (one,) = judged(tiny, gauge, PROMPT, [[1]])
    assert (one.mean, one.peak, one.n_tokens) == (0.0, 0.0, 1)


def test_a_perplexity_that_is_too_large_is_the_largest_that_is_stored() -> None:
    assert perplexity(2 * math.log(8), 2) == pytest.approx(8)
    assert perplexity(1e6, 1) == LARGEST
    assert perplexity(0.0, 0) == 1.0


def slow_fisher(now: int, of_now: int, before: int, of_before: int) -> float:
    hits, total = now + before, of_now + of_before
    ways = [
        math.comb(hits, k) * math.comb(total - hits, of_now - k)
        for k in range(now, min(hits, of_now) + 1)
    ]
    return sum(ways) / math.comb(total, of_now)


@pytest.mark.parametrize("counts", [(5, 20, 0, 20), (3, 3, 0, 3), (4, 4, 0, 4), (7, 9, 6, 12)])
def test_chance_is_reckoned_by_counting_the_ways(counts: tuple[int, int, int, int]) -> None:
    assert more_often(*counts) == pytest.approx(slow_fisher(*counts))


def found(*rows: tuple[float, int, int, float], n: int = 20) -> list[AtStrength]:
    """Strength, texts with a top token, texts with the latent active, perplexity."""
    return [AtStrength(strength, n, top, active, p) for strength, top, active, p in rows]


def test_the_window_lies_between_the_first_effect_and_twice_the_perplexity() -> None:
    below, plain = (-4, 20, 20, 99), (0, 1, 4, 10)
    rows = found(below, plain, (0.5, 3, 4, 11), (1, 9, 5, 14), (2, 16, 9, 19.9), (4, 20, 9, 20))
    assert window(rows) == (1.0, 4.0)
    assert window(rows[::-1]) == (1.0, 4.0)


def test_what_excites_the_latent_is_an_effect_as_well() -> None:
    rows = found((0, 0, 4, 10), (0.5, 0, 8, 11), (1, 0, 14, 14), (2, 0, 20, 25))
    assert window(rows) == (1.0, 2.0)


def test_two_signs_are_looked_for_so_each_has_half_of_the_chance() -> None:
    p = slow_fisher(8, 20, 2, 20)
    assert 0.025 < p < 0.05
    assert window(found((0, 2, 0, 10), (1, 8, 0, 10))) == (0.0, 0.0)


def test_many_strengths_share_the_chance() -> None:
    p = slow_fisher(9, 20, 2, 20)
    assert 0.025 / 2 < p < 0.025
    plain, strong = (0, 2, 0, 10), (1, 9, 0, 10)
    assert window(found(plain, strong)) == (1.0, 0.0)
    assert window(found(plain, strong, (2, 2, 0, 10))) == (0.0, 0.0)
    # Those below zero are not looked at.
    assert window(found((-1, 9, 0, 10), plain, strong)) == (1.0, 0.0)


def test_there_may_be_no_window() -> None:
    assert window(found((0, 5, 3, 10), (1, 6, 3, 12), (2, 5, 4, 19))) == (0.0, 0.0)
    # Of three texts no share can be shown to be larger.
    assert window(found((0, 0, 0, 10), (8, 3, 3, 12), n=3)) == (0.0, 0.0)
    assert window(found((0, 0, 0, 10), (8, 4, 0, 12), n=4)) == (8.0, 0.0)
    # A share that was large before is not an effect.
    assert window(found((0, 20, 20, 10), (8, 20, 20, 12))) == (0.0, 0.0)


def test_top_tokens_are_counted_as_often_as_they_stand_there() -> None:
    assert occurrences([3, 4, 3, 9], np.array([3, 9, 12], dtype=np.int32)) == 3
    assert occurrences([3], np.zeros(0, dtype=np.int32)) == 0


def test_the_best_strength_is_the_clearest_below_breaking() -> None:
    plain = (0, 1, 0, 10)
    rows = found(plain, (0.5, 3, 0, 11), (1, 9, 0, 14), (2, 9, 0, 15), (4, 20, 0, 20))
    most = best(rows)
    assert (most.strength, most.effect, most.perplexity_ratio) == (1.0, pytest.approx(0.4), 1.4)
    assert most.interval[0] < 0.4 < most.interval[1]
    assert best(found(plain, (1, 20, 0, 20))).strength == 0.0
    # What breaks the text goes on breaking it, whatever a larger strength reads like.
    assert best(found(plain, (1, 2, 0, 20), (2, 20, 0, 12))).strength == 0.0
    assert best(found((-2, 20, 0, 10), plain)).strength == 0.0


def test_shares_have_the_intervals_that_are_published() -> None:
    """Newcombe (1998), table II, columns a to h of method 10; Wilson's by solving the quadratic."""
    published = {
        (56, 70, 48, 80): (0.0524, 0.3339),
        (9, 10, 3, 10): (0.1705, 0.8090),
        (6, 7, 2, 7): (0.0582, 0.8062),
        (5, 56, 0, 29): (-0.0381, 0.1926),
        (0, 10, 0, 20): (-0.1611, 0.2775),
        (0, 10, 0, 10): (-0.2775, 0.2775),
        (10, 10, 0, 20): (0.6791, 1.0000),
        (10, 10, 0, 10): (0.6075, 1.0000),
    }
    for counts, ends in published.items():
        _, low, high = difference(*counts)
        assert (low, high) == pytest.approx(ends, abs=6e-5)
    z = 1.959963984540054
    for hits, n in ((0, 20), (3, 20), (20, 20), (1, 1)):
        for end in wilson(hits, n):
            assert n * (hits / n - end) ** 2 == pytest.approx(z * z * end * (1 - end), abs=1e-9)
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.integers(0, 30), st.integers(1, 30), st.integers(0, 30), st.integers(1, 30))
def test_a_difference_lies_in_its_interval_and_turns_with_its_sides(
    hits: int, n: int, hits_before: int, n_before: int
) -> None:
    hits, hits_before = min(hits, n), min(hits_before, n_before)
    now, low, high = difference(hits, n, hits_before, n_before)
    assert -1 - 1e-9 <= low <= now + 1e-12
    assert now - 1e-12 <= high <= 1 + 1e-9
    turned = difference(hits_before, n_before, hits, n)
    assert turned == pytest.approx((-now, -high, -low), abs=1e-12)


@pytest.mark.parametrize(
    ("words", "text", "n"),
    [
        (["oh"], "Oh, ohio OH-oh! (oh) oho", 4),
        (["of course", "course"], "Of\n  course; a racecourse, of courses", 1),
        (["c++"], "C++, c++11 c+", 2),
        (["ß"], "STRASSE ß ss", 2),
        (["猫"], "小猫在猫", 2),
        (["."], "a.b.", 2),
        (["oh"], "", 0),
        (["o.h"], "oxh", 0),
    ],
)
def test_words_are_found_alone_in_upper_or_lower_case(words: list[str], text: str, n: int) -> None:
    assert word_finder(words)(text) == n
