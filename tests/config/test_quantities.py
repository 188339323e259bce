import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saereport.config.quantities import read_bytes, read_count, read_ids, read_length
from saereport.util.errors import UsageError


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("5", 5),
        ("0", 0),
        ("10k", 10_000),
        ("10 K", 10_000),
        ("1M", 1_000_000),
        ("1m", 1_000_000),
        ("1.5M", 1_500_000),
        ("2B", 2_000_000_000),
        ("3 million", 3_000_000),
        ("1e6", 1_000_000),
        ("2.5e3", 2500),
        ("1,000,000", 1_000_000),
        ("1_000_000", 1_000_000),
        ("1 000 000", 1_000_000),
        ("1\u202f000", 1000),
        ("1'000", 1000),
        ("２５", 25),
        ("4,000k", 4_000_000),
        ("7.0", 7),
    ],
)
def test_numbers_are_read_as_people_write_them(words: str, count: int) -> None:
    assert read_count(words) == count


@pytest.mark.parametrize(
    "words",
    [
        *("", "k", "many", "-5", "1 2 3", "1,2", "10,00", "1,000 000", "1.5", "1.0005k", "1e-3"),
        *("1²", "10 0", "nan", "inf", "1e99", "9" * 5000, "0x10", "1.000", "1.000.000", "\ud800"),
    ],
    ids=lambda words: ascii(words[:12]),
)
def test_what_is_no_whole_number_is_refused(words: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_count(words)
    assert len(str(caught.value)) < 6000


def test_a_length_of_4k_could_be_two() -> None:
    assert read_length("4,096") == 4096
    with pytest.raises(UsageError, match="'4k' can mean 4,000 or 4,096"):
        read_length("4k")


def test_bytes_have_units() -> None:
    assert [read_bytes(w) for w in ("8GB", "8 GiB", "512")] == [8 * 10**9, 8 * 2**30, 512]
    for words in ("8G", "lots", "-1", "1.5GB"):
        with pytest.raises(UsageError):
            read_bytes(words)


def test_token_ids_are_parted_by_commas_or_spaces() -> None:
    assert read_ids("1, 504,414 7") == [1, 504, 414, 7]
    assert read_ids("-100") == [-100]  # refused later, by the model's vocabulary
    for words in ("", "1,", "1,a", "1,000", "1.5", "9" * 30):
        with pytest.raises(UsageError):
            read_ids(words)


@given(st.text(max_size=10) | st.text("0123456789 ,._'kMe", max_size=10))
def test_any_words_are_read_or_refused(words: str) -> None:
    for reader in (read_count, read_length, read_bytes, read_ids):
        with contextlib.suppress(UsageError):
            reader(words)
