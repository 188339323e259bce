"""Token sets: what is in the built-in ones, and what a user's file may hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from saereport.sources.token_sets import (
    BUILT_IN,
    TokenSet,
    WordSet,
    built_in_sets,
    own_sets,
    read_token_sets,
    script_of,
)
from saereport.sources.tokens import token_bytes
from saereport.util.errors import SaereportError, UsageError
from tests.factories import byte_tokenizer

TEXTS = [
    *(" the", "The", " John", "john", "JOHN", "12", "٣", " ", "\n", "?!", " €", "Paris", "naïve"),
    *("привет", "αβγ", "مرحبا", "שלום", "नमस्ते", "漢字", "ひらカナ", "ﾅ", "한국", "ไทย", "Ａ"),
    *("hello привет", "x2", "May", "him", "", "Monday", "´", "e\u0301"),
]
EXPECTED = {
    "leading_space": {" the", " John", " €", " "},
    "white_space": {" ", "\n"},
    "digits": {"12", "٣"},
    "punctuation": {"?!", " €", "´"},
    "capitalised": {"The", " John", "Paris", "May", "Monday"},
    "upper_case": {"JOHN"},
    "given_names": {" John"},
    "pronouns": {"him"},
    "function_words": {" the", "The", "May"},
    "days": {"Monday"},
    "months": {"May"},
    "cyrillic": {"привет"},
    "greek": {"αβγ"},
    "arabic": {"مرحبا"},
    "hebrew": {"שלום"},
    "devanagari": {"नमस्ते"},
    "han": {"漢字"},
    "kana": {"ひらカナ", "ﾅ"},
    "hangul": {"한국"},
    "thai": {"ไทย"},
    "tamil": set(),
}


def words_of(sets: list[TokenSet]) -> dict[str, set[str]]:
    return {one.name: {TEXTS[token] for token in one.tokens} for one in sets}


def test_a_token_is_in_the_sets_that_its_text_fits() -> None:
    sets = built_in_sets({i: text.encode() for i, text in enumerate(TEXTS)})
    assert [one.name for one in sets] == list(BUILT_IN)
    assert not any(one.own or one.missing for one in sets)
    found = words_of(sets)
    for name, words in EXPECTED.items():
        assert found[name] == words, name
    # Letters of one script only; a mark on a letter is of no script of its own.
    assert {"naïve", "Ａ", "x2", "e\u0301", "the"} - found["latin"] == {"the"}
    assert "hello привет" not in found["latin"] | found["cyrillic"]


def test_bytes_that_are_no_text_alone_are_a_set() -> None:
    """Of a byte-level vocabulary: every byte from 0x80 on is a part of a character."""
    tokenizer = byte_tokenizer()
    ids = [i for i in range(len(tokenizer)) if i not in tokenizer.all_special_ids]
    texts = dict(zip(ids, token_bytes(tokenizer, ids), strict=True))
    sets = {one.name: one for one in built_in_sets(texts)}
    assert {texts[i] for i in sets["part_of_a_character"].tokens} == {
        bytes([i]) for i in range(0x80, 0x100)
    }
    assert len(sets["digits"].tokens) == 10
    assert len(sets["latin"].tokens) == 52


def test_letters_of_other_scripts_are_of_none() -> None:
    assert script_of("ⵣ") == ""
    assert script_of("a") == "latin"
    assert script_of("ー") == "kana"


def test_a_word_stands_for_the_tokens_that_are_it() -> None:
    texts = {
        i: text.encode() for i, text in enumerate(["a", " a", "b", " b", "c", " d", "e", "  b"])
    }
    texts |= {i: f"x{i}".encode() for i in range(10, 30)}
    asked = [WordSet("own", ("a", " b", "c", "d", "q r", 29))]
    (found,) = own_sets(texts, asked, "own.json")
    assert found == TokenSet("own", True, (0, 1, 3, 4, 5, 29), ("q r",))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("a", "b", "x", "y"), "only 2 tokens; 2 of 4 words are no single token, such as 'x', 'y'"),
        ((1, 2, 3), "only 3 tokens."),
        ((0, 77), "77 is no token that stands for text"),
        (tuple(range(18)), "its 18 tokens are nearly all of 20"),
    ],
)
def test_sets_that_cannot_be_tested_are_refused(words: tuple[Any, ...], said: str) -> None:
    texts = {i: chr(97 + i).encode() for i in range(20)}
    with pytest.raises(SaereportError) as caught:
        own_sets(texts, [WordSet("own", words)], "own.json")
    assert str(caught.value).startswith("own.json, set 'own': ")
    assert said in str(caught.value)


def test_a_file_is_json_or_yaml(tmp_path: Path) -> None:
    sets = {"colours": ["red", " green"], "ids": [3, 4]}
    (tmp_path / "a.json").write_text(json.dumps(sets))
    (tmp_path / "a.yaml").write_text("colours: [red, ' green', red]\nids: [3, 4]\n")
    expected = [WordSet("colours", ("red", " green")), WordSet("ids", (3, 4))]
    for name in ("a.json", "a.yaml"):
        assert read_token_sets(tmp_path / name) == expected


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", '{"a": ["b"', "a.json: column 11: a comma is missing, or what ends the list"),
        ("a.json", '{"a": ["b"],\n "c": }', "a.json: line 2, column 7: a value is missing"),
        ("a.json", '{"a": ["b"],\n c: []}', "line 2, column 2: a name in double quotes is missing"),
        ("a.json", '{"a" ["b"]}', "column 6: a colon is missing"),
        ("a.json", '{"a": ["b]}', "column 8: the text that begins here has no end"),
        ("a.json", '{"a": ["b"]} {}', "column 14: there is more behind the end"),
        ("a.json", '{"a": ["b"], "a": ["c"]}', "the name 'a' stands there twice"),
        ("a.json", "[" * 100_000, "a.json: "),
        ("a.json", "[1]", "holds no token sets"),
        ("a.json", "{}", "holds no token sets"),
        ("a.json", '{"a": "b"}', "set 'a': not a list of words"),
        ("a.json", '{"a": []}', "set 'a': not a list of words"),
        ("a.json", '{"a": ["b", null]}', "set 'a': 'None' is neither a word nor a token's id"),
        ("a.json", '{"a": ["b", -1]}', "'-1' is neither"),
        ("a.json", '{"a": [true]}', "'True' is neither"),
        ("a.json", '{"a": [""]}', "'' is neither"),
        ("a.json", '{"a": ["\\ud800"]}', "half a character"),
        ("a.json", '{" ": ["b"]}', "cannot be called ' '"),
        ("a.json", '{"digits": ["b"]}', "set 'digits': that is built in"),
        ("a.json", json.dumps({"x" * 61: ["b"]}), "cannot be called"),
        ("a.json", json.dumps({f"s{i}": ["b"] for i in range(201)}), "more than 200"),
        ("a.yaml", "a: [no]", "'False' is neither"),
        ("a.yaml", "1: [b]", "cannot be called '1'"),
        ("a.yaml", "a: [b\n", "a.yaml' is not YAML"),
        ("a.yaml", "", "holds no token sets"),
    ],
)
def test_what_is_no_token_set_is_refused(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises((SaereportError, UsageError)) as caught:
        read_token_sets(tmp_path / name)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SaereportError, match="no file of token sets"):
        read_token_sets(tmp_path / "none.json")
    with pytest.raises(SaereportError, match="is not a file"):
        read_token_sets(tmp_path)
    (tmp_path / "b.yaml").write_bytes(b"a: [\xff]\n")
    with pytest.raises(SaereportError, match="line 1: not UTF-8"):
        read_token_sets(tmp_path / "b.yaml")
