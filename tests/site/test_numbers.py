from __future__ import annotations

import json
from decimal import ROUND_HALF_UP, Context, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saereport.site import jsonwriter, numbers
from tests.site.number_cases import CASES


@pytest.mark.parametrize(("form", "number", "text"), CASES)
def test_a_number_reads_so(form: str, number: float, text: str) -> None:
    assert getattr(numbers, form)(number) == text


@given(st.floats(-1e12, 1e12))
def test_what_is_in_the_data_reads_as_the_number_does(number: float) -> None:
    read = json.loads(jsonwriter.dumps(number))
    assert numbers.value(read) == numbers.value(number)
    assert numbers.shown(read) == numbers.shown(number)


@given(st.floats(-999, 999).filter(lambda number: abs(number) >= 1e-4))
def test_a_value_is_rounded_once(number: float) -> None:
    """Not from the data to fewer digits again: 14.249 is not 14.25 and so 14.3."""
    exact = Decimal(number)
    for digits in (3, 2):
        once = Context(prec=digits, rounding=ROUND_HALF_UP).plus(exact)
        read = Decimal(json.loads(jsonwriter.dumps(number), parse_float=str))
        assert Context(prec=digits, rounding=ROUND_HALF_UP).plus(read) == once


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "never"),
        (1, "1 in 1 tokens"),
        (0.9, "1 in 1.11 tokens"),
        (0.05, "1 in 20 tokens"),
        (0.023, "1 in 43.5 tokens"),
        (0.00943, "1 in 106 tokens"),
        (0.0012048, "1 in 830 tokens"),
        (1 / 999.6, "1 in 1,000 tokens"),
        (1 / 12345, "1 in 12,300 tokens"),
        (1 / 2_345_678, "1 in 2,350,000 tokens"),
    ],
)
def test_one_in(share: float, text: str) -> None:
    assert numbers.one_in(share) == text


@given(st.floats(1e-9, 1))
def test_one_in_is_within_half_a_per_cent(share: float) -> None:
    shown = float(numbers.one_in(share).split()[2].replace(",", ""))
    assert abs(shown * share - 1) <= 0.00501


def test_sizes_and_plurals() -> None:
    assert numbers.size(999) == "999 B"
    assert numbers.size(1_234_567) == "1.23 MB"
    assert numbers.plural(1, "token") == "1 token"
    assert numbers.plural(2304, "latent") == "2,304 latents"
