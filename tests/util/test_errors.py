"""What an error came of."""

from __future__ import annotations

import pytest

from saereport.util.errors import came_of_memory, causes_of


def outer() -> None:
    try:
        try:
            raise MemoryError
        except MemoryError:
            _ = {}["missing"]
    except KeyError as error:
        raise ValueError("outer") from error


def test_causes_go_from_the_error_to_what_it_came_of() -> None:
    with pytest.raises(ValueError, match="outer") as caught:
        outer()
    found = [type(link) for link in causes_of(caught.value)]
    assert found == [ValueError, KeyError, MemoryError]
    assert came_of_memory(caught.value)


def test_causes_end_where_they_would_go_round() -> None:
    one, two = ValueError(), KeyError()
    one.__cause__, two.__cause__ = two, one
    assert causes_of(one) == [one, two]
    assert not came_of_memory(one)


def test_a_long_row_of_causes_is_cut() -> None:
    error = ValueError("0")
    for number in range(1, 40):
        later = ValueError(str(number))
        later.__cause__ = error
        error = later
    assert len(causes_of(error)) == 16
