"""Averages over prompts against a plain loop over every pair of positions."""

from __future__ import annotations

import dataclasses
from collections import defaultdict

import numpy as np
import pytest
import torch

from saereport.circuits.active import Active
from saereport.circuits.gradients.averages import PairSums
from saereport.circuits.gradients.maps import GradientMap

WIDTH = 7


def some_map(seed: int, n_pos: int = 5) -> GradientMap:
    generator = torch.Generator().manual_seed(seed)

    def active(width: int) -> Active:
        f = torch.rand(n_pos, width, generator=generator) - 0.5
        positions, latents = (f > 0).nonzero(as_tuple=True)
        return Active(positions, latents, f[positions, latents])

    early, late = active(4), active(WIDTH)
    values = torch.randn(len(late), len(early), generator=generator)
    values *= early.positions[None, :] <= late.positions[:, None]
    # An input can be without any effect; the pair was active together all the same.
    values[:, 0] = 0
    return GradientMap(early, late, values, 0, 0, 0, len(early), len(late))


def slow(maps: list[GradientMap]) -> dict[tuple[int, int], tuple[float, int, int]]:
    sums: dict[tuple[int, int], float] = defaultdict(float)
    n_both: dict[tuple[int, int], int] = defaultdict(int)
    prompts: dict[tuple[int, int], set[int]] = defaultdict(set)
    for number, found in enumerate(maps):
        for j in range(len(found.late)):
            for i in range(len(found.early)):
                if found.early.positions[i] <= found.late.positions[j]:
                    pair = (int(found.early.latents[i]), int(found.late.latents[j]))
                    sums[pair] += abs(float(found.values[j, i]))
                    n_both[pair] += 1
                    prompts[pair].add(number)
    return {pair: (sums[pair], n_both[pair], len(prompts[pair])) for pair in sums}


def added(maps: list[GradientMap], bound: int = 1000) -> PairSums:
    sums = PairSums(WIDTH, bound)
    for found in maps:
        sums.add(found)
    return sums


def test_means_and_counts_are_those_of_a_plain_loop() -> None:
    maps = [some_map(seed) for seed in range(6)]
    expected = slow(maps)
    rows = added(maps).rows("a", "b", 1000)
    got = {
        (early, late): (mean * n, n, prompts)
        for early, late, mean, n, prompts in zip(
            *(rows[k] for k in ("early_latent", "late_latent", "mean", "n_both", "n_prompts")),
            strict=True,
        )
    }
    assert got.keys() == expected.keys()
    for pair, (total, n, prompts) in expected.items():
        assert got[pair][0] == pytest.approx(total, rel=1e-6)
        assert got[pair][1:] == (n, prompts)
    sizes = np.array(rows["mean"]) * np.array(rows["n_both"])
    assert (np.diff(sizes) <= 1e-9).all()
    assert rows["rank"] == list(range(len(sizes)))


def test_the_share_that_is_stored_is_stated() -> None:
    maps = [some_map(seed) for seed in range(4)]
    expected = slow(maps)
    row = added(maps).map_row("a", "b", 5, n_skipped=2)
    largest = sorted((total for total, _, _ in expected.values()), reverse=True)
    assert row["kept_share"][0] == pytest.approx(sum(largest[:5]) / sum(largest), rel=1e-6)
    assert (row["n_pairs"], row["n_kept"]) == ([len(expected)], [5])
    assert (row["n_prompts"], row["n_skipped"]) == ([4], [2])


def test_memory_is_bounded_and_what_was_dropped_is_missing_from_the_share() -> None:
    maps = [some_map(seed) for seed in range(8)]
    whole, pruned = added(maps), added(maps, bound=6)
    assert len(pruned.keys) <= 12 < len(whole.keys)
    assert pruned.total == pytest.approx(whole.total)
    row = pruned.map_row("a", "b", 1000, 0)
    assert row["kept_share"][0] == pytest.approx(pruned.sums.sum() / whole.total)
    assert row["kept_share"][0] < 1
    # What is strong from the beginning stays.
    assert pruned.rows("a", "b", 1)["early_latent"] == whole.rows("a", "b", 1)["early_latent"]


def test_it_goes_on_from_its_state() -> None:
    maps = [some_map(seed) for seed in range(5)]
    first = added(maps[:2])
    second = PairSums(WIDTH)
    second.restore(first.state())
    for found in maps[2:]:
        second.add(found)
    assert second.rows("a", "b", 99) == added(maps).rows("a", "b", 99)
    assert second.map_row("a", "b", 9, 0) == added(maps).map_row("a", "b", 9, 0)


def test_prompts_of_which_a_part_was_looked_at_are_counted() -> None:
    cut = dataclasses.replace(some_map(1), n_late_all=99)
    sums = added([some_map(0), cut, some_map(2)])
    assert sums.map_row("a", "b", 5, 0)["n_limited"] == [1]
    again = PairSums(WIDTH)
    again.restore(sums.state())
    assert again.n_limited == 1


def test_no_prompt_gives_no_rows() -> None:
    empty = PairSums(WIDTH)
    assert empty.rows("a", "b", 5)["mean"] == []
    assert empty.map_row("a", "b", 5, 3)["kept_share"] == [1.0]
