from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saereport.visible import visible, visible_text


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


@given(st.text(max_size=40))
def test_labels_keep_spaces_and_lose_controls(text: str) -> None:
    shown = visible_text(text)
    hidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert not [char for char in shown if unicodedata.category(char) in hidden]


def test_a_label_with_line_breaks_is_one_line() -> None:
    assert visible_text("one\r\ntwo\n three\tfour") == "one two  three four"
