import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saereport.errors import SaereportError, UsageError
from saereport.selection import parse_selection, shown_latents, tracked_latents


def chosen(words: str, d_sae: int = 100, seed: int = 0) -> list[int]:
    return tracked_latents(parse_selection(words), d_sae, seed).tolist()


def test_lists_and_ranges_are_merged_and_sorted() -> None:
    assert chosen("14,0-3, 2-5") == [0, 1, 2, 3, 4, 5, 14]


@given(st.sets(st.integers(0, 99), min_size=1))
def test_any_list_comes_back(latents: set[int]) -> None:
    assert chosen(",".join(map(str, latents))) == sorted(latents)


def test_all_and_the_undecided_track_everything() -> None:
    for words in ("all", "live", "top:5"):
        assert chosen(words) == list(range(100))


def test_random_is_seeded_distinct_and_not_larger_than_the_sae() -> None:
    first = chosen("random:10", seed=1)
    assert first == chosen("random:10", seed=1)
    assert first != chosen("random:10", seed=2)
    assert len(set(first)) == 10
    assert chosen("random:500") == list(range(100))


def test_live_and_top_are_decided_by_activity_with_ties_to_the_lower_index() -> None:
    tracked = np.arange(5)
    n_active = np.array([3, 0, 7, 3, 0])
    assert shown_latents(parse_selection("live"), tracked, n_active).tolist() == [0, 2, 3]
    assert shown_latents(parse_selection("top:2"), tracked, n_active).tolist() == [0, 2]
    assert shown_latents(parse_selection("top:9"), tracked, n_active).tolist() == [0, 2, 3]


@pytest.mark.parametrize("words", ["", "a", "3-", "5-2", "top:0", "random:", "1,,2", "-1", "1.5"])
def test_nonsense_is_refused_as_usage(words: str) -> None:
    with pytest.raises(UsageError):
        parse_selection(words)


def test_out_of_range_names_the_latent_and_the_width() -> None:
    with pytest.raises(SaereportError, match=r"Latent 100 is out of range.*0 to 99"):
        chosen("0-100")
