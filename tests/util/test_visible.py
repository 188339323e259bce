from __future__ import annotations

import itertools
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saereport.util.visible import DOTTED_CIRCLE, running, visible, visible_text


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b" the", "␣the"),
        (b"\n\n\t", "↵↵⇥"),
        (b"\r\n", "<0x0D>↵"),
        (b"\x00\x1b[31m\x7f", "<0x00><0x1B>[31m<0x7F>"),
        (b"\xe2\x82", "<0xE2><0x82>"),
        (b"a\xffb", "a<0xFF>b"),
        (b"\xed\xa0\x80", "<0xED><0xA0><0x80>"),
        ("é 漢字".encode(), "é␣漢字"),
        ("\u202eabc".encode(), "<U+202E>abc"),
        ("\u200b\u200d\ufeff".encode(), "<U+200B><U+200D><U+FEFF>"),
        ("\u00a0\u3000".encode(), "<U+00A0><U+3000>"),
        ("\u2028".encode(), "<U+2028>"),
        ("\ue000".encode(), "<U+E000>"),
        ("\ufe0f".encode(), "<U+FE0F>"),
        ("\u0301".encode(), "◌\u0301"),
        ("e\u0301".encode(), "e\u0301"),
        ("␣↵⇥".encode(), "<U+2423><U+21B5><U+21E5>"),
        (b"<b>&amp;", "<b>&amp;"),
        (b"", ""),
        ("عربي".encode(), "عربي"),
    ],
)
def test_bytes_become_visible(data: bytes, shown: str) -> None:
    assert visible(data) == shown


@given(st.binary(max_size=40))
def test_nothing_invisible_is_left(data: bytes) -> None:
    shown = visible(data)
    hidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}
    assert not [char for char in shown if unicodedata.category(char) in hidden]
    assert bool(shown) == bool(data)


@pytest.mark.parametrize(
    "text",
    [
        "می\u200cخواهم",  # Persian: two parts of a word that would else be joined
        "نامه\u200cها",
        "क्\u200dष and क्\u200cष",  # Hindi: which form the letters take
        "ක්\u200dෂ",  # Sinhala
        "ന്\u200d",  # Malayalam, at the end of a word
        "👩\u200d👩\u200d👧",
        "👩🏽\u200d🚀 launched",
        "❤\ufe0f\u200d🔥 and ☀\ufe0f",
    ],
)
def test_joiners_stay_where_they_change_what_is_seen(text: str) -> None:
    assert visible_text(text) == text
    assert "<U+" in visible(text.encode()), "tokens are told apart by what they are"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("pay\u200dpal", "pay<U+200D>pal"),
        ("pay\u200cpal", "pay<U+200C>pal"),
        ("\u200cمی", "<U+200C>می"),
        ("می\u200c", "می<U+200C>"),
        ("می\u200dخ", "می<U+200D>خ"),  # they are joined anyway
        ("می\u200c\u200cخ", "می<U+200C><U+200C>خ"),
        ("می\u200c pal", "می<U+200C> pal"),
        ("👩\u200d", "👩<U+200D>"),
        ("\u200d👩", "<U+200D>👩"),
        ("a\u200d👩", "a<U+200D>👩"),
        ("a\ufe0f", "a<U+FE0F>"),
        ("क\u200dष", "क<U+200D>ष"),
        ("👩\u200b👩", "👩<U+200B>👩"),
        ("漢\u200d字", "漢<U+200D>字"),
    ],
)
def test_joiners_that_nobody_sees_are_shown(text: str, shown: str) -> None:
    assert visible_text(text) == shown


@given(st.text(max_size=40))
def test_labels_keep_spaces_and_lose_controls(text: str) -> None:
    shown = visible_text(text)
    hidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    joiners = "\u200c\u200d"
    assert not [c for c in shown if unicodedata.category(c) in hidden and c not in joiners]


def test_a_label_with_line_breaks_is_one_line() -> None:
    assert visible_text("one\r\ntwo\n three\tfour") == "one two  three four"


def test_characters_over_several_tokens_are_read_whole() -> None:
    # Hebrew, with a space before it and a token that ends one letter and begins the next.
    assert running([b"<s>", b" \xd7", b"\x95\xd7", b"\x91", b"ok"]) == [
        (0, 1, "<s>"),
        (1, 2, "␣ו"),
        (2, 2, "ב"),
        (4, 1, "ok"),
    ]
    # An emoji in four tokens; a character that never ends; bytes that are none.
    assert running([bytes([byte]) for byte in "😀".encode()]) == [(0, 4, "😀")]
    assert running([b"\xf0\x9f", b"\x98", b"a"]) == [
        (0, 1, "<0xF0><0x9F>"),
        (1, 1, "<0x98>"),
        (2, 1, "a"),
    ]
    assert running([b"\xed\xa0", b"\x80"]) == [(0, 1, "<0xED><0xA0>"), (1, 1, "<0x80>")]
    # What turns the text around is seen all the same.
    assert running([b"\xe2\x80", b"\xae", b"x"]) == [(0, 2, "<U+202E>"), (2, 1, "x")]
    assert running([]) == []


@given(st.text(max_size=12), st.data())
def test_text_cut_anywhere_is_read_as_it_was(text: str, data: st.DataObject) -> None:
    whole = text.encode()
    cuts = sorted(data.draw(st.sets(st.integers(1, max(len(whole) - 1, 1)), max_size=6)))
    edges = [0, *(cut for cut in cuts if cut < len(whole)), len(whole)]
    tokens = [whole[a:b] for a, b in itertools.pairwise(edges)]
    pieces = running(tokens)
    plain = "".join(visible(char.encode()) for char in text)
    assert "".join(piece for _, _, piece in pieces).replace(DOTTED_CIRCLE, "") == plain.replace(
        DOTTED_CIRCLE, ""
    )
    covered = sorted({i for first, count, _ in pieces for i in range(first, first + count)})
    assert covered == list(range(len(tokens)))


@given(st.lists(st.binary(max_size=3), max_size=20))
def test_any_bytes_are_read_without_loss_of_place(tokens: list[bytes]) -> None:
    pieces = running(tokens)
    firsts = [first for first, _, _ in pieces]
    assert firsts == sorted(firsts)
    covered = {i for first, count, _ in pieces for i in range(first, first + count)}
    assert covered == set(range(len(tokens)))
