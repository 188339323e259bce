"""GPT-2's alphabet: read, written, and told from text that only looks like it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saereport.util import byte_alphabet


@given(st.binary(max_size=12), st.booleans())
def test_bytes_come_back(data: bytes, spaces: bool) -> None:
    assert byte_alphabet.read(byte_alphabet.written(data, spaces=spaces)) == data


def test_an_apostrophe() -> None:
    assert byte_alphabet.read("âĢĻ") == "’".encode()
    assert byte_alphabet.read("Ġdon") == b" don"
    assert byte_alphabet.read("日") is None


@given(st.text(min_size=1, max_size=8), st.data())
def test_any_cut_of_text_is_a_piece(text: str, data: st.DataObject) -> None:
    whole = text.encode("utf-8", "ignore")
    low = data.draw(st.integers(0, len(whole)))
    high = data.draw(st.integers(low, len(whole)))
    assert byte_alphabet.is_piece(whole[low:high])


@pytest.mark.parametrize("data", [b"\xe9c", b"a\x80", b"\xc3\xc3", b"\xff"])
def test_what_is_no_piece(data: bytes) -> None:
    assert not byte_alphabet.is_piece(data)


@pytest.mark.parametrize(
    ("words", "used"),
    [
        (["Ġthe", "âĢĻ", "s"], True),
        ([" don", "âĢĻ", "t", "“", "—"], True),
        (["Ġthe", "Ġcat"], False),  # only the space: taken for a mark
        (["the", " cat"], False),
        (["café", "naïve", "éc", "ł", "stół", "Ã©"], False),
        (["zespół", "żółw", "kość", "mąż"], False),
        (["öğretmen", "değil", "ıŞ", "çocuk"], False),
        (["Größe", "Äpfel", "über", "ß"], False),
        (["Příliš", "žluťoučký", "kůň"], False),
        (["’", "“", "日本"], False),
    ],
)
def test_whether_words_are_written_so(words: list[str], used: bool) -> None:
    assert byte_alphabet.is_used(words) is used
