"""Columns of numbers: what each lacks of the longest."""

from __future__ import annotations

from saereport.site.aligning import MOST, aligned, lined_up


def test_numbers_lack_what_the_longest_has() -> None:
    assert aligned(["60", "66.1", "7.25", "−0.0171"]) == ["e4", "d3", "d2", ""]
    assert aligned(["5 %", "10.5 %", "< 0.001 %", "0 %"]) == ["e3", "d2", "", "e3"]
    assert aligned(["×129", "+1.5", "1,234"]) == ["e1", "", "e1"]
    assert aligned(["1", "12", "1,234"]) == ["", "", ""]


def test_powers_of_ten_and_what_is_no_number() -> None:
    assert aligned(["1.2", "1.23×10⁻⁵", "–", "dead", ""]) == ["d1", "", "", "", ""]
    assert aligned(["1.2", "a 1.2"]) is None
    assert aligned(["1.2", {"text": "3"}]) is None
    assert aligned(["", "–"]) is None
    assert aligned([]) is None


def test_no_number_lacks_more_than_the_style_has() -> None:
    assert aligned(["1", "0.123456789"]) == [f"e{MOST}", ""]


def test_the_first_column_names_the_rows() -> None:
    assert lined_up([["1", "2.5", "a"], ["2", "2", "b"]]) == [None, ["", "e1"], None]
    assert lined_up([]) == []
