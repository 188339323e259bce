"""Continuations: with keys kept and without, steered and not, and how tokens are drawn."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.utils import generic

from saereport.intervene import generating
from saereport.intervene.generating import (
    NotFinite,
    Sampling,
    continued,
    drawn,
    fastest,
    keeps_keys,
)
from saereport.intervene.steering import Direction, Form, direction_of, steering
from saereport.sources.forward import forward
from saereport.sources.hooks import parse_hook
from saereport.sources.model_loading import load_model
from tests.factories import tiny_tokens

FAMILIES = ("gpt2", "gemma2", "falcon-7b")
PLACES = ("blocks.1.hook_resid_post", "blocks.0.hook_mlp_out")
SAMPLED = Sampling(1.0, 1.0, frozenset())
FORMS: tuple[Form, ...] = ("additive", "orthogonal", "projection_cap")
SPANS = ((0, None), (6, None), (2, 5), (4, 9), (8, 10))


@pytest.fixture(scope="module", params=["HookedTransformer", *FAMILIES])
def model(request: pytest.FixtureRequest, tiny: Any, families: Callable[[str], Path]) -> Any:
    if request.param == "HookedTransformer":
        return tiny
    return load_model(families(request.param))


def numbers(rows: int, new: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((rows, new), dtype=np.float32))


def adding(model: Any, sizes: list[float], place: str = PLACES[0]) -> dict[str, Any]:
    vector = torch.randn(model.d_model, generator=torch.Generator().manual_seed(3))
    size = torch.tensor(sizes)[:, None, None]
    return {place: lambda a: a + size * vector}


def slowly(model: Any, prompts: torch.Tensor, edits: dict[str, Any], at: torch.Tensor) -> Any:
    """The whole sequence run anew for each token, and each token drawn in a loop over tokens."""
    tokens = prompts.clone()
    for step in range(at.shape[1]):
        with torch.no_grad():
            logits = forward(model, tokens, edits=edits, logits=True).logits[:, -1].double()
        row = []
        for scores, number in zip(logits, at[:, step].tolist(), strict=True):
            p = scores.softmax(0)
            total, found = 0.0, -1
            for token in sorted(range(len(p)), key=lambda t: -float(p[t])):
                total += float(p[token])
                found = token
                if total > number:
                    break
            row.append(found)
        tokens = torch.cat([tokens, torch.tensor(row)[:, None]], dim=1)
    return tokens[:, prompts.shape[1] :].tolist()


@pytest.mark.parametrize("place", PLACES)
def test_text_with_keys_kept_is_that_without(model: Any, place: str) -> None:
    prompts, at = tiny_tokens(4, 6), numbers(4, 10)
    edits = adding(model, [0.0, 0.3, -1.0, 3.0], place)
    assert keeps_keys(model, prompts, edits)
    kept = continued(model, prompts, edits, at, SAMPLED, keep_keys=True)
    again = continued(model, prompts, edits, at, SAMPLED, keep_keys=False)
    assert kept == again == slowly(model, prompts, edits, at)
    assert {len(one) for one in kept} == {10}
    assert continued(model, prompts, edits, at, SAMPLED, keep_keys=True) == kept


@pytest.mark.parametrize("family", FAMILIES)
def test_the_model_without_the_bridge_writes_the_same(
    families: Callable[[str], Path], family: str
) -> None:
    bridge = load_model(families(family))
    prompts, at = tiny_tokens(4, 6), numbers(4, 8)
    for place in (*PLACES, "blocks.1.attn.hook_z"):
        vector = torch.randn(bridge.width(parse_hook(place)), generator=torch.manual_seed(5))
        direction, strengths = Direction({place: vector}), torch.tensor([0.0, 0.5, -1.0, 2.0])
        step = fastest(bridge, prompts, steering(direction, torch.ones(4), "additive"))
        assert step is not None
        edits = partial(steering, direction, strengths, "additive", (3, 10))
        fast = continued(bridge, prompts, edits, at, SAMPLED, keep_keys=step)
        assert fast == continued(bridge, prompts, edits, at, SAMPLED)


@pytest.mark.parametrize("family", [*FAMILIES, "llama", "bloom", "mixtral"])
def test_kept_keys_have_one_name_wherever_they_are_given(
    families: Callable[[str], Path], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Transformers warns of each attention that gets them by its new name and by the old one."""
    logged: list[str] = []
    monkeypatch.setattr(generic.logger, "warning_once", logged.append)
    bridge, prompts, at = load_model(families(family)), tiny_tokens(2, 6), numbers(2, 4)
    # Trials swallow errors, so warnings are gathered and not made errors.
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        step = fastest(bridge, prompts, adding(bridge, [1.0, -1.0]))
        texts = [continued(bridge, prompts, {}, at, SAMPLED)]
        if step is not None:
            texts.append(continued(bridge, prompts, {}, at, SAMPLED, keep_keys=step))
    assert keeps_keys(bridge, prompts, {})
    assert texts[0] == texts[-1]
    said = [*logged, *(str(one.message) for one in told)]
    assert not [one for one in said if "past_key_values" in one]


def test_a_way_that_leaves_out_an_edit_is_not_taken(
    families: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from saereport.sources import bare

    bridge, prompts = load_model(families("gpt2")), tiny_tokens(2, 6)
    edits = adding(bridge, [1.0, -1.0])
    assert fastest(bridge, prompts, edits) is not None
    monkeypatch.setattr(bare, "_editing", lambda *_: lambda: None)
    assert fastest(bridge, prompts, edits) is None


def test_each_token_is_run_once_where_keys_are_kept(
    tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths = []
    real = generating.forward

    def counting(model: Any, tokens: torch.Tensor, **options: Any) -> Any:
        widths.append(tokens.shape[1])
        return real(model, tokens, **options)

    monkeypatch.setattr(generating, "forward", counting)
    continued(tiny, tiny_tokens(2, 6), {}, numbers(2, 5), SAMPLED)
    assert widths == [6, 1, 1, 1, 1]


def test_strength_zero_is_no_steering_token_for_token(model: Any) -> None:
    prompts, at = tiny_tokens(3, 6).repeat(2, 1), numbers(3, 6).repeat(2, 1)
    vector = torch.randn(model.d_model, generator=torch.Generator().manual_seed(1))
    direction = Direction({PLACES[0]: 5 * vector})
    strengths = torch.tensor([0.0, 0.0, 0.0, 4.0, 4.0, 4.0])
    plain = continued(model, prompts, {}, at, SAMPLED)
    assert plain[:3] == plain[3:]
    for form in FORMS:
        for span in SPANS:
            edits = partial(steering, direction, strengths, form, span)
            found = continued(model, prompts, edits, at, SAMPLED)
            assert found[:3] == plain[:3]
            assert form == "projection_cap" or found[3:] != plain[3:]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("span", SPANS)
def test_a_span_of_positions_is_steered_alike_with_keys_kept_and_without(
    model: Any, form: Form, span: tuple[int, int | None]
) -> None:
    prompts, at = tiny_tokens(4, 6), numbers(4, 8)
    vector = torch.randn(model.d_model, generator=torch.Generator().manual_seed(1))
    direction = Direction({PLACES[0]: vector, PLACES[1]: -vector})
    strengths = torch.tensor([0.0, 1.5, -1.5, 0.2])
    edits = partial(steering, direction, strengths, form, span)
    kept = continued(model, prompts, edits, at, SAMPLED, keep_keys=True)
    assert kept == continued(model, prompts, edits, at, SAMPLED, keep_keys=False)

    def by_hand(vector: torch.Tensor) -> Any:
        u = vector / vector.norm()

        def edit(a: torch.Tensor) -> torch.Tensor:
            a = a.clone()
            for row, strength in enumerate(strengths.tolist()):
                for p in range(
                    span[0], a.shape[1] if span[1] is None else min(span[1], a.shape[1])
                ):
                    along = float(a[row, p] @ u)
                    if form == "additive":
                        a[row, p] += strength * vector
                    elif strength and form == "orthogonal":
                        a[row, p] += (strength * float(vector.norm()) - along) * u
                    elif strength and along > strength * float(vector.norm()):
                        a[row, p] -= (along - strength * float(vector.norm())) * u
            return a

        return edit

    places = {name: by_hand(vector) for name, vector in direction.vectors.items()}
    assert kept == slowly(model, prompts, places, at)


def test_a_token_is_less_likely_each_time_that_it_was_drawn(tiny: Any) -> None:
    prompts, at = tiny_tokens(3, 6), numbers(3, 20)
    found = continued(tiny, prompts, {}, at, Sampling(0.7, 0.9, frozenset(), 1.5))
    for prompt, own, text in zip(prompts, at.tolist(), found, strict=True):
        tokens = prompt.tolist()
        for number in own:
            with torch.no_grad():
                scores = forward(tiny, torch.tensor([tokens]), logits=True).logits[0, -1].double()
            for token in tokens[6:]:
                scores[token] -= 1.5
            p = (scores / 0.7).softmax(0)
            order = p.argsort(descending=True).tolist()
            kept, total = [], 0.0
            for token in order:
                kept.append(token)
                total += float(p[token])
                if total >= 0.9:
                    break
            passed = 0.0
            for token in kept:
                passed += float(p[token])
                if passed > number * total:
                    break
            tokens.append(token)
        assert tokens[6:] == text
    greedy = continued(tiny, prompts, {}, at, Sampling(0.0, 1.0, frozenset(), 100.0))
    assert all(len(set(text)) == 20 for text in greedy)


@given(
    st.integers(2, 700),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1.0, 0.95, 0.5, 1e-4]),
    st.sampled_from([0.1, 3.0]),
    st.booleans(),
)
def test_the_likeliest_tokens_alone_give_what_the_whole_order_gives(
    d_vocab: int, seed: int, top_p: float, spread: float, alike: bool
) -> None:
    rng = np.random.default_rng(seed)
    logits = spread * rng.standard_normal((6, d_vocab))
    if alike:
        logits = np.round(logits)
    at = rng.random(6, dtype=np.float32)
    at[0] = np.float32(1) - np.float32(2**-24)
    found = drawn(torch.tensor(logits, dtype=torch.float32), torch.tensor(at), 0.7, top_p)
    for row, number, token in zip(logits.astype(np.float32) / 0.7, at, found.tolist(), strict=True):
        order = np.argsort(-row, kind="stable")
        p = np.exp(row[order].astype(np.float64) - row.max())
        cumulative = np.cumsum(p / p.sum())
        if top_p < 1 and np.abs(cumulative - top_p).min() < 1e-5:
            continue  # rounding decides whether that token is the last
        last = min(int((cumulative < top_p).sum()), d_vocab - 1)
        edge = float(number) * (cumulative[last] if top_p < 1 else 1.0)
        place = int(np.flatnonzero(order == token)[0])
        # Single precision decides at the edges.
        assert place <= last or cumulative[last] - top_p < 1e-5
        assert cumulative[place] > edge - 1e-5
        assert place == 0 or cumulative[place - 1] <= edge + 1e-5


def test_steering_raises_what_the_latent_writes(tiny: Any, tiny_sae: Callable[..., Any]) -> None:
    """At the end of the last layer a large strength leaves nothing but the latent's direction."""
    sae = tiny_sae("jumprelu", hook_name="blocks.2.hook_resid_post")
    edits = steering(direction_of(sae, 4, 1e5), torch.ones(2), "additive")
    greedy = Sampling(0.0, 1.0, frozenset())
    (one, other) = continued(tiny, tiny_tokens(2, 5), edits, numbers(2, 4), greedy)
    with torch.no_grad():
        top = int(tiny.model.unembed(tiny.model.ln_final(sae.W_dec[4][None, None])).argmax())
    assert one == other == [top] * 4


def test_equal_numbers_give_equal_text_and_others_another(tiny: Any) -> None:
    prompts = tiny_tokens(1, 6).repeat(2, 1)
    same = continued(tiny, prompts, {}, numbers(1, 10).repeat(2, 1), SAMPLED)
    assert same[0] == same[1]
    other = continued(tiny, prompts, {}, numbers(2, 10, seed=5), SAMPLED)
    assert other[0] != other[1]


def test_a_text_ends_at_the_token_that_ends_it(tiny: Any) -> None:
    prompts, at = tiny_tokens(3, 6), numbers(3, 12)
    whole = continued(tiny, prompts, {}, at, SAMPLED)
    stop = whole[0][4]
    ended = continued(tiny, prompts, {}, at, Sampling(1.0, 1.0, frozenset([stop])))
    for text, cut in zip(whole, ended, strict=True):
        assert cut == (text[: text.index(stop) + 1] if stop in text else text)
    assert len(ended[0]) <= 5


def test_the_end_of_a_text_is_attended_to_like_any_token(tiny: Any) -> None:
    """The tiny tokeniser pads with EOS; with keys kept, TransformerLens would hide it."""
    prompts = tiny_tokens(2, 6)
    prompts[:, 2:4] = 1
    prompts[0, 5] = 1
    at = numbers(2, 6)
    kept = continued(tiny, prompts, {}, at, SAMPLED, keep_keys=True)
    assert kept == continued(tiny, prompts, {}, at, SAMPLED, keep_keys=False)


def test_logits_that_are_no_numbers_are_told_by_row(tiny: Any) -> None:
    edits = adding(tiny, [0.0, float("inf"), 0.0])
    with pytest.raises(NotFinite) as caught:
        continued(tiny, tiny_tokens(3, 6), edits, numbers(3, 4), SAMPLED)
    assert caught.value.rows == [1]


def test_keys_that_change_what_comes_out_are_not_kept(
    tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = generating.forward

    def forgetting(model: Any, tokens: torch.Tensor, **options: Any) -> Any:
        return real(model, tokens, **{**options, "cache": None})

    monkeypatch.setattr(generating, "forward", forgetting)
    assert not keeps_keys(tiny, tiny_tokens(2, 6), {})


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0, -1.0]])
    at = (torch.arange(4000) + 0.5) / 4000
    for temperature in (1.0, 0.5):
        found = drawn(logits.expand(4000, 4), at, temperature, 1.0)
        shares = torch.bincount(found, minlength=4) / 4000
        expected = (logits[0] / temperature).softmax(0)
        torch.testing.assert_close(shares, expected, rtol=0, atol=1e-3)


def test_top_p_keeps_the_fewest_tokens_that_reach_the_share() -> None:
    logits = torch.tensor([0.1, 0.4, 0.2, 0.3]).log()[None]
    at = (torch.arange(1000) + 0.5) / 1000

    def shares(top_p: float) -> list[float]:
        found = drawn(logits.expand(1000, 4), at, 1.0, top_p)
        return (torch.bincount(found, minlength=4) / 1000).tolist()

    assert shares(0.39) == [0, 1, 0, 0]
    assert shares(0.6) == pytest.approx([0, 4 / 7, 0, 3 / 7], abs=2e-3)
    assert shares(0.85) == pytest.approx([0, 4 / 9, 2 / 9, 3 / 9], abs=2e-3)
    assert shares(1.0) == pytest.approx([0.1, 0.4, 0.2, 0.3], abs=2e-3)


def test_temperature_zero_takes_the_likeliest_the_first_of_equals() -> None:
    logits = torch.tensor([[0.0, 2.0, 2.0], [3.0, 1.0, 2.0]])
    assert drawn(logits, torch.tensor([0.99, 0.99]), 0.0, 1.0).tolist() == [1, 0]


def test_the_last_number_below_one_still_gives_a_token() -> None:
    logits = torch.zeros(1, 50_000)
    last = torch.tensor([np.nextafter(np.float32(1), np.float32(0))])
    assert 0 <= int(drawn(logits, last, 1.0, 1.0)) < 50_000
