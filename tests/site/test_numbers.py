from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saereport.site import numbers


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (14.249, "14.2"),
        (-3.0, "−3"),
        (0.01234, "0.0123"),
        (999.9, "1,000"),
        (12345.6, "12,346"),
        (1.234e-6, "1.23×10⁻⁶"),
        (1.2e12, "1.20×10¹²"),
    ],
)
def test_value(number: float, text: str) -> None:
    assert numbers.value(number) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (1e-7, "< 0.001 %"),
        (0.00123, "0.12 %"),
        (0.05, "5 %"),
        (0.1, "10 %"),
        (0.123, "12.3 %"),
        (0.9999, "> 99.9 %"),
        (1, "100 %"),
    ],
)
def test_percent(share: float, text: str) -> None:
    assert numbers.percent(share) == text


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
