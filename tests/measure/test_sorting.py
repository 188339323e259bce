"""Orders by packed keys against plain sorting, where the keys fit and where they do not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saereport.measure.sorting import order_by, segment_sums, sort_integers


@settings(max_examples=150, deadline=None)
@given(
    n=st.integers(0, 60),
    groups=st.sampled_from([1, 2, 3, 1 << 20, 1 << 41, (1 << 58) - 1, 1 << 61]),
    bits=st.sampled_from([0, 5, 31, 64]),
    seed=st.integers(0, 1 << 30),
    few=st.booleans(),
)
def test_an_order_is_that_of_sorting_by_each_key(
    n: int, groups: int, bits: int, seed: int, few: bool
) -> None:
    rng = np.random.default_rng(seed)
    group = rng.integers(0, min(groups, 4) if few else groups, n, dtype=np.int64)
    raw = rng.integers(0, 1 << 64, n, dtype=np.uint64) >> np.uint64(64 - bits if bits else 0)
    if few:
        # Keys that differ in their last bits only: packing alone cannot tell them apart.
        raw = (raw & np.uint64(3)) | np.uint64((1 << bits) - 8 if bits > 4 else 0)
    key = torch.from_numpy(raw.view(np.int64)) if bits else None
    found = order_by(torch.from_numpy(group), groups, key, bits)
    expected = np.lexsort((raw, group)) if bits else np.argsort(group, kind="stable")
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("n", [0, 1, 500])
def test_sums_of_runs(n: int) -> None:
    rng = np.random.default_rng(n)
    values = rng.integers(-(1 << 40), 1 << 40, 2 * n)
    assert sort_integers(torch.from_numpy(values)).tolist() == sorted(values.tolist())
    cuts = sorted({0, *rng.integers(0, 2 * n, 9).tolist()}) if n else []
    sums = segment_sums(torch.from_numpy(values), torch.tensor(cuts, dtype=torch.int64))
    ends = [*cuts[1:], 2 * n] if cuts else []
    assert sums.tolist() == [int(values[a:b].sum()) for a, b in zip(cuts, ends, strict=True)]
