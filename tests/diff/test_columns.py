"""Tables as ragged arrays, lined up with latents."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from saereport.diff.columns import list_column, listed, positions_of, ranked, values_of

numbers = st.lists(st.integers(0, 20), max_size=12)


@settings(deadline=None)
@given(numbers, numbers)
def test_positions(wanted: list[int], present: list[int]) -> None:
    found = positions_of(np.array(wanted, np.int64), np.array(present, np.int64))
    assert found.tolist() == [present.index(w) if w in present else -1 for w in wanted]


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=6), numbers)
def test_list_columns_line_up(lists: list[list[int]], wanted: list[int]) -> None:
    table = pa.table(
        {
            "latent": pa.array([2 * i for i in range(len(lists))], pa.int32()),
            "items": pa.array(lists, pa.list_(pa.int32())),
            "value": pa.array([len(one) for one in lists], pa.int64()),
        }
    )
    held = {2 * i: one for i, one in enumerate(lists)}
    latents = np.array(wanted, np.int64)
    found = listed(table, "items", latents)
    assert [found.of(i).tolist() for i in range(len(wanted))] == [held.get(w, []) for w in wanted]
    assert found.first(2).lengths.tolist() == [len(held.get(w, [])[:2]) for w in wanted]
    values = values_of(table, "value", latents)
    assert [None if np.isnan(v) else v for v in values] == [
        len(held[w]) if w in held else None for w in wanted
    ]


def test_lists_of_a_slice_of_a_table() -> None:
    table = pa.table({"items": pa.array([[1], [2, 3], [4]], pa.list_(pa.int32()))}).slice(1)
    found = list_column(table, "items")
    assert [found.of(i).tolist() for i in range(2)] == [[2, 3], [4]]


@settings(deadline=None)
@given(st.permutations([(latent, rank) for latent in (3, 5, 9) for rank in range(3)]))
def test_ranked_rows_in_any_order(rows: list[tuple[int, int]]) -> None:
    table = pa.table(
        {
            "latent": [latent for latent, _ in rows],
            "rank": [rank for _, rank in rows],
            "item": [10 * latent + rank for latent, rank in rows],
        }
    )
    found = ranked(table, "item", np.array([9, 4, 3]))
    assert [found.of(i).tolist() for i in range(3)] == [[90, 91, 92], [], [30, 31, 32]]
