"""Whether a run can hold a table's numbers, however its columns are given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from saereport.run import TABLES
from saereport.run.columns import to_arrow
from saereport.run.within import beyond
from saereport.util.ragged import Ragged


def columns(value: float) -> dict[str, Any]:
    return {
        "metric": ["mse", "l0"],
        "value": np.array([1.0, value]),
        "interval": [[0.5, value], []],
        "n_tokens": np.array([3, 3]),
        "n_sequences": np.array([1, 1]),
    }


@pytest.mark.parametrize("value", [2.0, 1e31, float("nan"), float("-inf")])
def test_lists_arrays_and_arrow_are_judged_alike(value: float) -> None:
    plain = columns(value)
    arrow = to_arrow(TABLES["sae_metrics"], plain)
    ragged = {**plain, "interval": Ragged.of([[0.5, value], []])}
    assert beyond("sae_metrics", ragged) == beyond("sae_metrics", plain)
    parts = pa.concat_tables([arrow.slice(0, 1), arrow.slice(1)])
    said = beyond("sae_metrics", plain)
    assert bool(said) is (value != 2.0)
    for table in (arrow, parts):
        assert (
            beyond("sae_metrics", {name: table.column(name) for name in table.column_names}) == said
        )
    assert beyond("sae_metrics", {**plain, "value": np.array([1.0, 1.0])}).startswith(
        "'interval'" if said else ""
    )
