import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saereport.config.selection import parse_selection, shown_latents, tracked_latents
from saereport.util.errors import SaereportError, UsageError


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

    def shown(words: str, n_tokens: int = 1000, seed: int = 0) -> list[int]:
        selection = parse_selection(words)
        return shown_latents(selection, tracked, n_active, n_tokens, seed).tolist()

    assert shown("live") == [0, 2, 3]
    assert shown("top:2") == [0, 2]
    assert shown("top:9") == [0, 2, 3]
    # Live is above 1e-4: of 30,000 tokens more than 3.
    assert shown("live", 30_000) == [2]
    assert shown("live:0", 30_000) == [0, 2, 3]
    assert shown("live:3e-3") == [2]
    assert shown("live:0.29%") == [0, 2, 3]
    assert shown("live:0.5") == []
    two = {tuple(shown("live:1e-4:2", seed=seed)) for seed in range(20)}
    assert two == {(0, 2), (0, 3), (2, 3)}
    assert shown("live:1e-4:2", seed=1) == shown("live:1e-4:2", seed=1)
    assert shown("live:1e-4:9") == [0, 2, 3]


@pytest.mark.parametrize(
    ("words", "written"),
    [
        ("1 2 3", "1,2,3"),
        ("1, 2\t3\n4", "1,2,3,4"),
        ("1;2", "1,2"),
        ("5 - 9", "5-9"),
        ("5–9 12", "5-9,12"),
        ("5—9", "5-9"),
        ("5−9", "5-9"),
        ("5..9", "5-9"),
        ("5 … 9", "5-9"),
        ("5 to 9", "5-9"),
        ("10 20-30 40", "10,20-30,40"),
        ("４７，324", "47,324"),
        ("٣", "3"),
        ("14_057", "14057"),
        ("ALL", "all"),
        (" Live ", "live"),
        ("live:1e-4", "live:0.0001"),
        ("LIVE: 0.01%", "live:0.0001"),
        ("live = .001 : 1k", "live:0.001:1000"),
        ("live:2E-5:200", "live:2e-05:200"),
        ("live:0", "live:0"),
        ("random: 50", "random:50"),
        ("Random:1k", "random:1000"),
        ("top 1,000", "top:1000"),
        ("top:1.5M", "top:1500000"),
        ("random:２５", "random:25"),
    ],
)
def test_what_a_person_means_is_read(words: str, written: str) -> None:
    assert parse_selection(words).words == written
    assert parse_selection(written) == parse_selection(words)


NONSENSE = [
    *("", " ", "a", "3-", "5-2", "top:0", "random:", "random", "1,,2", ",1", "1,", "-1", "1.5"),
    *("1 .5", "1e3", "0x1F", "1²", "½", "1-2-3", "all,1", "random:50,3", "random:1 2", "top:10.5"),
    *(
        "live:",
        "live:1",
        "live:-1e-4",
        "live:x",
        "live:0.1:0",
        "live:0.1:x",
        "live:5:200",
        "live 1 2",
    ),
    *("9" * 5000, "1-" + "9" * 10, "random:" + "9" * 5000, "47 and 324", "\ud800", "#47"),
]


@pytest.mark.parametrize("words", NONSENSE, ids=lambda words: ascii(words[:12]))
def test_nonsense_is_refused_as_usage(words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_selection(words)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("1,000", "'000' begins with a zero"),
        ("0:10", "Write '0-10', which holds both ends"),
        ("10k", "'10k' can mean one latent or that many"),
        ("1M", "random:1M"),
        ("007", "begins with a zero"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused_with_both(words: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_selection(words)


@given(st.lists(st.integers(0, 999), min_size=1, max_size=8), st.text(" ,\t", min_size=1))
def test_digits_are_never_joined(latents: list[int], between: str) -> None:
    """Whatever stands between two numbers, they stay two numbers, or are refused."""
    try:
        selection = parse_selection(between.join(map(str, latents)))
    except UsageError:
        return
    assert selection.ranges == tuple((latent, latent) for latent in latents)


@given(st.text(max_size=12) | st.text("0123456789 -–,.:_kMe", max_size=12))
def test_any_words_are_read_or_refused(words: str) -> None:
    with contextlib.suppress(UsageError):
        selection = parse_selection(words)
        assert parse_selection(selection.words) == selection


def test_out_of_range_names_the_latent_and_the_width() -> None:
    with pytest.raises(SaereportError, match=r"Latent 100 is out of range.*0 to 99"):
        chosen("0-100")
