"""Prompts as token ids: kinds, answers, names, and every way of asking for nonsense."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saereport.circuits.prompts import (
    PromptTokens,
    answer_token,
    make_prompts,
    prompt_slugs,
    shown,
    split_answer,
)
from saereport.config.circuits import PromptConfig
from tests.factories import BOS, EOS, byte_tokenizer, tiny_model


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny_model()


def one(
    model: Any, *, prepend_bos: bool = True, include_bos: bool = False, **asked: Any
) -> PromptTokens:
    return make_prompts(
        [PromptConfig(**asked)], model, prepend_bos=prepend_bos, include_bos=include_bos
    )[0]


def test_text_begins_with_bos_where_the_saes_want_it_and_only_once(model: Any) -> None:
    assert one(model, text="w5 w6 w7").tokens == (BOS, 5, 6, 7)
    assert one(model, text="<bos> w5 w6").tokens == (BOS, 5, 6)
    assert one(model, text="w5 w6 w7", prepend_bos=False).tokens == (5, 6, 7)


def test_token_ids_are_used_as_they_are(model: Any) -> None:
    prompt = one(model, tokens=(5, BOS, 6, EOS))
    assert (prompt.tokens, prompt.kind) == ((5, BOS, 6, EOS), "ids")
    assert prompt.counted == (True, False, True, False)


def test_bos_takes_part_only_when_it_is_asked_for(model: Any) -> None:
    assert one(model, text="w5 w6").counted == (False, True, True)
    assert one(model, text="w5 w6", include_bos=True).counted == (True, True, True)


def test_random_tokens_are_distinct_ordinary_seeded_and_repeated(model: Any) -> None:
    prompt = one(model, repeat_random=20, seed=3)
    drawn = prompt.tokens[1:21]
    assert prompt.tokens == (BOS, *drawn, *drawn)
    assert len(set(drawn)) == 20
    assert not set(drawn) & {BOS, EOS}
    assert all(0 <= token < 100 for token in drawn)
    assert (prompt.kind, prompt.period, prompt.first) == ("random", 20, 1)
    assert one(model, repeat_random=20, seed=3).tokens == prompt.tokens
    assert one(model, repeat_random=20, seed=4).tokens != prompt.tokens
    without = one(model, repeat_random=20, seed=3, prepend_bos=False)
    assert (without.tokens, without.first) == ((*drawn, *drawn), 0)


def test_all_ordinary_tokens_can_be_drawn_and_no_more() -> None:
    model = tiny_model(n_ctx=256)
    every = one(model, repeat_random=98)
    assert set(every.tokens) == set(range(100)) - {EOS}
    assert "only 98 ordinary tokens" in one(model, repeat_random=99).problem


@pytest.mark.parametrize(
    ("text", "answer", "expected"),
    [
        ("in the city of => Paris", None, ("in the city of", " Paris")),
        ("in the city of =>  Paris ", None, ("in the city of", " Paris")),
        ("1 + 1 =>2", None, ("1 + 1", "2")),
        ("x => y => z", None, ("x => y", " z")),
        ("no answer", None, ("no answer", None)),
        ("nothing =>", None, ("nothing", "")),
        ("nothing => ", None, ("nothing", "")),
        ("x => y", "z", ("x => y", " z")),
        ("x ", "z", ("x ", "z")),
        ("x", " z", ("x", " z")),
        ("x", "", ("x", "")),
        ("", "z", ("", " z")),
    ],
)
def test_the_answer_continues_the_text(
    text: str, answer: str | None, expected: tuple[str, str | None]
) -> None:
    assert split_answer(text, answer) == expected


def test_an_answer_of_several_tokens_says_which_is_followed(model: Any) -> None:
    prompt = one(model, text="w5 w6 => w7 w8")
    assert (prompt.tokens, prompt.answer) == ((BOS, 5, 6), 7)
    assert prompt.answer_note == (
        "The answer ' w7 w8' has 2 tokens; its first, 'w7' (7), is followed."
    )
    assert [note.topic for note in prompt.notes] == ["answer"]
    assert not prompt.problem


def test_an_empty_answer_is_noted_and_the_prompt_is_used(model: Any) -> None:
    prompt = one(model, text="w5 w6 =>")
    assert prompt.answer == -1
    assert prompt.answer_note == "The answer is empty."
    assert not prompt.problem


def test_an_answer_that_only_the_tokenizer_knows_is_not_followed(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(model), "d_vocab", 50)
    prompt = one(model, text="w5 w6 => w70")
    assert prompt.answer == -1
    assert prompt.answer_note == "The model has no logit for the answer ' w70'."
    assert not prompt.problem


def test_an_answer_keeps_its_leading_space_in_a_byte_vocabulary() -> None:
    tokenizer = byte_tokenizer()
    space, letter = tokenizer(" P", add_special_tokens=False)["input_ids"]
    assert answer_token(tokenizer, "city of", " P") == (
        space,
        f"The answer ' P' has 2 tokens; its first, ' ' ({space}), is followed. "
        "To follow what comes after it, end the prompt with it.",
    )
    assert answer_token(tokenizer, "city of", "P") == (letter, "")
    assert "its first, '<0xF0>' (" in answer_token(tokenizer, "city of", "😀")[1]
    assert answer_token(tokenizer, None, "P") == (letter, "")


@pytest.mark.parametrize(
    ("asked", "message", "kept"),
    [
        ({"text": ""}, "has no token that counts", (BOS,)),
        ({"text": "w5"}, "has one token that counts", (BOS, 5)),
        ({"text": " => w5"}, "has no token that counts", (BOS,)),
        ({"tokens": ()}, "has no token that counts", ()),
        ({"tokens": (BOS, EOS)}, "has no token that counts", (BOS, EOS)),
        ({"tokens": (5, 100)}, "Token 100 is not in the model's vocabulary of 100 tokens", ()),
        ({"tokens": (5, -1)}, "Token -1 is not in", ()),
        ({"text": "w5 " * 64}, "has 65 tokens, and the model's context holds 64", ()),
        ({"repeat_random": 32}, "has 65 tokens", ()),
    ],
)
def test_what_cannot_be_computed_on_says_why(
    model: Any, asked: dict[str, Any], message: str, kept: tuple[int, ...]
) -> None:
    prompt = one(model, **asked)
    assert message in prompt.problem
    assert [note.topic for note in prompt.notes] == ["prompt"]
    assert prompt.tokens == kept
    assert len(prompt.counted) == len(kept)


def test_a_prompt_as_long_as_the_context_is_none_too_long(model: Any) -> None:
    assert not one(model, text="w5 " * 63).problem


def test_names_are_kept_and_made_where_there_is_none(model: Any) -> None:
    assert one(model, text="w5  w6\n=> w7").name == "w5 w6"
    assert one(model, text="w5 w6", name="<b>\x1b[31m").name == "<b>\x1b[31m"
    assert one(model, text="w5 " * 60).name == ("w5 " * 60)[:71] + "…"
    assert one(model, tokens=(5, 6)).name == "Tokens 5, 6"
    assert one(model, repeat_random=5, seed=2).name == "5 random tokens, repeated (seed 2)"
    assert one(model, text="").name == "Empty prompt"


@pytest.mark.parametrize(
    ("names", "slugs"),
    [
        (["The Eiffel tower", "the eiffel TOWER!"], ["the-eiffel-tower", "the-eiffel-tower-2"]),
        (["../../etc/passwd"], ["etc-passwd"]),
        (["東京", "北京"], ["prompt", "prompt-2"]),
        (["index", "CON"], ["index-prompt", "con-prompt"]),
        (["a", "a graph"], ["a", "a-graph-prompt"]),
        (["graph"], ["graph-prompt"]),
        (["a", "a", "a-2"], ["a", "a-2", "a-2-2"]),
        (["x" * 500], ["x" * 48]),
    ],
)
def test_slugs(names: list[str], slugs: list[str]) -> None:
    assert prompt_slugs(names) == slugs


@given(st.lists(st.text(max_size=60), max_size=8))
def test_no_name_makes_a_slug_that_is_no_plain_file_name(names: list[str]) -> None:
    slugs = prompt_slugs(names)
    pages = [page for slug in slugs for page in (slug, f"{slug}-graph")]
    assert len(set(pages)) == 2 * len(names)
    for slug in slugs:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug)
        assert len(slug) < 64
        assert slug not in ("index", "con", "nul", "aux", "prn")


def test_the_terminal_never_sees_control_characters() -> None:
    assert shown("a\x1b[2Jb\u202ec\nd") == "a\\x1b[2Jb\\u202ec\\nd"
    assert shown("x" * 100, 10) == "x" * 10 + "…"


def test_a_prompt_beyond_the_limit_is_left_out_and_says_so() -> None:
    model = tiny_model()
    asked = [PromptConfig(text="w5 w6 w7"), PromptConfig(text="w5 w6")]
    long, short = make_prompts(asked, model, prepend_bos=True, include_bos=False, longest=3)
    assert "4 tokens, more than the 3" in long.problem
    assert "circuits.max_prompt" in long.notes[0].text
    assert long.tokens == ()
    assert not short.problem
    assert len(short.tokens) == 3
