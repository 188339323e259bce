"""Columns of lists and words behave as the Python lists that they stand for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saereport.util.ragged import Ragged, Words

LISTS = st.lists(st.lists(st.integers(-9, 9), max_size=4), max_size=7)


def plain(ragged: Ragged) -> list[list[int]]:
    return [one.tolist() for one in ragged]


@given(LISTS, st.slices(7), st.lists(st.integers(0, 6), max_size=9))
def test_lists_as_arrays_are_what_they_were(
    lists: list[list[int]], part: slice, rows: list[int]
) -> None:
    ragged = Ragged.of(lists, np.int64)
    assert plain(ragged) == lists
    assert len(ragged) == len(lists)
    assert [ragged[at].tolist() for at in range(-len(lists), len(lists))] == lists * 2
    assert plain(ragged[part]) == lists[part]
    rows = [row for row in rows if row < len(lists)]
    assert plain(ragged[np.array(rows, dtype=np.int64)]) == [lists[row] for row in rows]
    mask = np.arange(len(lists)) % 2 == 0
    assert plain(ragged[mask]) == lists[::2]
    assert plain(Ragged.concatenate([ragged, ragged[:2]])) == lists + lists[:2]
    assert ragged.lengths.tolist() == [len(one) for one in lists]
    assert Ragged.of(ragged) is ragged


def test_lists_of_one_length() -> None:
    rows = np.arange(6).reshape(3, 2)
    assert plain(Ragged.of_rows(rows)) == rows.tolist()
    assert plain(Ragged.of_rows(rows[:0])) == []
    assert len(Ragged.of_rows(np.zeros((3, 0)))) == 3
    with pytest.raises(IndexError):
        Ragged.of_rows(rows)[3]


@pytest.mark.parametrize("offsets", [[], [0], [0, 2], [1, 3], [0, 2, 1, 3]])
def test_offsets_that_are_none_are_refused(offsets: list[int]) -> None:
    with pytest.raises(ValueError, match="offsets"):
        Ragged(np.zeros(3), np.array(offsets, dtype=np.int64))


@given(st.lists(st.integers(0, 2), max_size=9), st.slices(9))
def test_words_as_codes_are_what_they_were(codes: list[int], part: slice) -> None:
    words = ("a", "", "c")
    column = Words(np.array(codes, dtype=np.int8), words)
    named = [words[code] for code in codes]
    assert list(column) == named
    assert [column[at] for at in range(len(codes))] == named
    assert list(column[part]) == named[part]
    assert list(column[np.arange(len(codes)) % 2 == 0]) == named[::2]
    assert list(Words.tiled(("x", "y"), 2)) == ["x", "y", "x", "y"]
