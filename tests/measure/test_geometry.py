"""The geometry of dictionaries against slow computations, and what was planted is found."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage

from saereport.measure.geometry import clusters as joining
from saereport.measure.geometry import matching
from saereport.measure.geometry.chains import Match, chains
from saereport.measure.geometry.clusters import clusters
from saereport.measure.geometry.directions import directions_of
from saereport.measure.geometry.matching import (
    best_matches,
    by_chance,
    is_mutual,
    matched_by,
    mean_cosine,
    pairs_by_chance,
    random_directions,
    splits,
)


def unit(n: int, d: int, seed: int) -> torch.Tensor:
    rows = torch.randn((n, d), generator=torch.Generator().manual_seed(seed))
    return rows / rows.norm(dim=1, keepdim=True)


def near(row: torch.Tensor, n: int, noise: float, seed: int) -> torch.Tensor:
    """Unit rows near one."""
    rows = row + noise * unit(n, len(row), seed)
    return rows / rows.norm(dim=1, keepdim=True)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(2, 9), st.integers(0, 10**6))
def test_best_matches_are_those_of_the_whole_matrix(n: int, m: int, d: int, seed: int) -> None:
    one, other = unit(n, d, seed), unit(m, d, seed + 1)
    cosines = one.double().numpy() @ other.double().numpy().T
    # A few rows at a time.
    for memory in (8 * m, 64 * m, 2**20):
        for best, matrix in zip(
            best_matches(one, other, memory), (cosines, cosines.T), strict=True
        ):
            largest = matrix.max(axis=1)
            np.testing.assert_allclose(best.cosine, largest, atol=1e-6)
            reached = np.take_along_axis(matrix, best.row[:, None], axis=1)[:, 0]
            np.testing.assert_allclose(reached, largest, atol=1e-6)


def test_of_equal_cosines_the_smaller_number_is_taken() -> None:
    row = unit(1, 5, 0)
    one, other = row.repeat(4, 1), row.repeat(3, 1)
    for memory in (1, 2**20):
        best, back = best_matches(one, other, memory)
        assert best.row.tolist() == [0, 0, 0, 0]
        assert back.row.tolist() == [0, 0, 0]
        assert is_mutual(best, back).tolist() == [True, False, False, False]


@given(st.integers(0, 10**6))
def test_the_order_of_latents_changes_nothing_but_their_numbers(seed: int) -> None:
    one, other = unit(20, 8, seed), unit(33, 8, seed + 1)
    order = torch.randperm(33, generator=torch.Generator().manual_seed(seed))
    best, back = best_matches(one, other)
    moved, moved_back = best_matches(one, other[order])
    np.testing.assert_allclose(moved.cosine, best.cosine, atol=1e-6)
    assert order.numpy()[moved.row].tolist() == best.row.tolist()
    assert moved_back.row.tolist() == back.row[order.numpy()].tolist()
    groups = clusters(one, 0.2, 2, nearest=19)
    shuffle = torch.randperm(20, generator=torch.Generator().manual_seed(seed + 1))
    again = clusters(one[shuffle], 0.2, 2, nearest=19)
    assert {frozenset(c.rows.tolist()) for c in groups} == {
        frozenset(shuffle.numpy()[c.rows].tolist()) for c in again
    }


def test_a_latent_that_was_split_is_found_with_its_parts() -> None:
    wide = 64
    narrow = unit(40, wide, 0)
    # Latents 7 and 12 of the narrow one are 3 and 2 of the wide one; latent 39 has no match.
    kept = [i for i in range(39) if i not in (7, 12)]
    parts = [near(narrow[7], 3, 0.5, 1), near(narrow[12], 2, 0.5, 2), near(narrow[9], 1, 0.1, 3)]
    same = torch.cat([near(narrow[i], 1, 0.1, 10 + i) for i in kept])
    one, other = directions_of([narrow], 40), directions_of([*parts, same], 43)
    best, back = best_matches(one.rows, other.rows)
    # Latent 9 is there twice, so it counts as split too.
    found = {split.whole: split for split in splits(one, other, back, 0.6)}
    assert list(found) == [7, 9, 12] or list(found) == [7, 12, 9]
    assert sorted(found[7].parts.tolist()) == [0, 1, 2]
    assert sorted(found[12].parts.tolist()) == [3, 4]
    pair = other.rows[[0, 1, 2]].double().numpy()
    between = (pair @ pair.T)[np.triu_indices(3, 1)].mean()
    assert found[7].within == pytest.approx(between, abs=1e-6)
    assert np.all(np.diff(found[7].cosines) <= 0)
    assert np.flatnonzero(best.cosine < 0.6).tolist() == [39]
    assert not splits(one, other, back, 0.999)
    assert {row: len(g) for row, g in matched_by(back, 0.6).items()}[7] == 3


def test_chance_is_that_of_directions_with_the_same_moments() -> None:
    # All of the dictionary lies in 3 of 48 dimensions: by chance alone matches are close.
    basis = unit(3, 48, 0)
    flat = directions_of([unit(400, 3, 1) @ basis], 400).rows
    chance = by_chance(flat, flat, 0)
    assert len(chance) == 400
    assert np.median(chance) > 0.95
    spread = by_chance(unit(400, 48, 2), unit(400, 48, 3), 0)
    assert np.median(spread) < 0.6
    # In full space it is what real draws of that number reach.
    again, _ = best_matches(unit(400, 48, 4), unit(400, 48, 5))
    assert np.median(spread) == pytest.approx(np.median(again.cosine), abs=0.02)
    assert np.array_equal(spread, by_chance(unit(400, 48, 2), unit(400, 48, 3), 0))
    # Second moments of the draws are the dictionary's.
    (drawn,) = random_directions(flat, 4000, 1)
    moments = [(x.T @ x / len(x)).numpy() for x in (flat, drawn)]
    np.testing.assert_allclose(*moments, atol=0.02)


def test_long_dictionaries_are_drawn_and_asked_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = unit(300, 16, 0)
    monkeypatch.setattr(matching, "DRAWN", 64)
    monkeypatch.setattr(matching, "CHANCE_ROWS", 50)
    drawn = torch.cat(list(random_directions(rows, 300, 3)))
    assert drawn.shape == (300, 16)
    some = rows[torch.linspace(0, 299, 50, dtype=torch.float64).long()]
    expected = (some @ drawn.T).max(dim=1).values.numpy()
    np.testing.assert_allclose(by_chance(rows, rows, 3, memory=1), expected, atol=1e-6)
    assert 0 < pairs_by_chance(rows, 0.99, 0) < 0.9


def test_planted_clusters_are_found_and_the_rest_is_in_none() -> None:
    centres = unit(3, 96, 0)
    planted = [near(centres[k], n, 0.7, 5 + k) for k, n in enumerate((9, 6, 4))]
    rows = torch.cat([*planted, unit(120, 96, 9)])
    cut = pairs_by_chance(rows, 0.999, 0)
    # Of directions without order some lie together as well, by chance, but in no large cluster.
    found = clusters(rows, max(cut, 0.4), 3)
    assert [sorted(c.rows.tolist()) for c in found] == [
        list(range(9)),
        list(range(9, 15)),
        list(range(15, 19)),
    ]
    inside = planted[0].double().numpy()
    cohesion = (inside @ inside.T)[np.triu_indices(9, 1)].mean()
    assert found[0].cohesion == pytest.approx(cohesion, abs=1e-6)
    assert np.all(np.diff(found[0].cosines) <= 0)
    assert clusters(unit(50, 96, 1), 0.9) == []
    assert clusters(unit(1, 96, 1), 0.1) == []


@given(st.integers(2, 40), st.integers(2, 12), st.floats(0.05, 0.8), st.integers(0, 10**6))
def test_with_all_neighbours_it_is_average_linkage(n: int, d: int, cut: float, seed: int) -> None:
    rows = unit(n, d, seed)
    groups = fcluster(
        linkage(rows.double().numpy(), "average", metric="cosine"), 1 - cut, "distance"
    )
    expected = {frozenset(np.flatnonzero(groups == g).tolist()) for g in np.unique(groups)}
    found = {frozenset(c.rows.tolist()) for c in clusters(rows, cut, 2, nearest=n - 1, memory=1)}
    assert found == {group for group in expected if len(group) > 1}


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_many_near_equal_directions_are_joined_beforehand(
    noise: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What grew with the square of their number is done once; the clusters are the same."""
    others = torch.cat([near(row, 5, 0.6, k) for k, row in enumerate(unit(6, 24, 0))])
    clump = near(unit(1, 24, 9)[0], 300, noise, 10)
    rows = torch.cat([others[:12], clump[:170], others[12:], clump[170:]])
    cosines = (rows.double() @ rows.double().T).numpy()
    distance = (1 - cosines)[np.triu_indices(len(rows), 1)].clip(0)
    labels = fcluster(linkage(distance, "average"), 1 - 0.6, "distance")
    expected = {frozenset(np.flatnonzero(labels == k).tolist()) for k in set(labels)}
    monkeypatch.setattr(joining, "MOST_MEANS", 600)
    found = clusters(rows, 0.6, 2)
    assert {frozenset(one.rows.tolist()) for one in found} == {g for g in expected if len(g) > 1}
    assert max(len(one.rows) for one in found) >= 300


def test_near_equal_is_not_nearer_than_the_cut() -> None:
    clump = near(unit(1, 24, 9)[0], 60, 0.1, 10)
    assert float((clump @ clump.T).min()) > 0.97
    assert [len(one.rows) for one in clusters(clump, 0.9)] == [60]
    assert clusters(clump, 0.9999, 2) == []


def test_what_would_take_too_long_to_join_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "MOST_MEANS", 1000)
    clump = near(unit(1, 24, 9)[0], 200, 0.5, 10)
    with pytest.raises(joining.TooClose):
        clusters(clump, 0.3)
    assert clusters(unit(200, 24, 1), 0.5) is not None


def test_latents_without_a_direction_take_no_part() -> None:
    rows = torch.ones((5, 4))
    rows[1], rows[3, 2], rows[4] = 0, torch.nan, torch.inf
    rows[2] *= 1e-30
    found = directions_of([rows[:3], rows[3:]], len(rows))
    assert found.latents.tolist() == [0, 2]
    assert found.n_without == 3
    np.testing.assert_allclose(found.rows.numpy(), 0.5, atol=1e-6)
    assert len(directions_of([torch.zeros((3, 4))], 3)) == 0
    huge = directions_of([torch.full((2, 4), 1e30)], 2)
    np.testing.assert_allclose(huge.rows.norm(dim=1).numpy(), 1, atol=1e-6)
    assert mean_cosine(huge.rows) == pytest.approx(1)


def test_chains_follow_the_nearest_mutual_matches() -> None:
    found = chains(
        {
            (0, 1): [(4, 7, 0.9), (5, 8, 0.8)],
            (1, 2): [(7, 1, 0.6)],
            # Latent 5 goes on past the second dictionary's 8; latent 4's match here is farther.
            (0, 2): [(4, 3, 0.99), (6, 2, 0.7)],
            (1, 3): [(8, 0, 0.95)],
            (2, 3): [(3, 5, 0.55)],
        }
    )
    assert [(c.nodes, c.cosines) for c in found] == [
        (((0, 5), (1, 8), (3, 0)), (0.8, 0.95)),
        (((0, 4), (1, 7), (2, 1)), (0.9, 0.6)),
        (((0, 6), (2, 2)), (0.7,)),
        (((2, 3), (3, 5)), (0.55,)),
    ]
    assert found[0].strength == (2, 0.8)
    assert chains({}) == []


@given(st.integers(0, 10**6))
def test_no_latent_is_in_two_chains_and_no_link_is_made_up(seed: int) -> None:
    rng = np.random.default_rng(seed)
    matches: dict[tuple[int, int], list[Match]] = {}
    for early in range(4):
        for late in range(early + 1, 4):
            one, other = rng.permutation(6)[:4], rng.permutation(6)[:4]
            pairs = zip(one.tolist(), other.tolist(), rng.uniform(0, 1, 4), strict=True)
            matches[early, late] = [(a, b, float(c)) for a, b, c in pairs]
    found = chains(matches)
    nodes = [node for chain in found for node in chain.nodes]
    assert len(nodes) == len(set(nodes))
    for chain in found:
        assert len(chain.nodes) == len(chain.cosines) + 1 > 1
        for (p, a), (q, b), cosine in zip(
            chain.nodes, chain.nodes[1:], chain.cosines, strict=False
        ):
            assert p < q
            assert (a, b, cosine) in matches[p, q]
    assert [c.strength for c in found] == sorted((c.strength for c in found), reverse=True)
