"""Comparisons and gates know the bias test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from saereport.diff import compare
from saereport.diff.conditions import parse
from saereport.diff.gates import Gate, judge
from saereport.diff.measured import measured
from saereport.run import open_run
from tests.diff.edited import edited
from tests.synthetic import Shape, write_run
from tests.synthetic_bias import bias

SHAPE = Shape(d_sae=32, n_chosen=4, n_sequences=20)


def test_a_worse_worst_group_is_a_change_and_fails_a_gate(tmp_path: Path) -> None:
    write_run(tmp_path / "one", SHAPE, bias())
    one = open_run(tmp_path / "one")
    slug = one.info.saes[0].slug
    held = {r["variant"]: r for r in one.table("bias_scores", slug).to_pylist()}
    found = measured(one)
    assert found.saes[slug]["bias.worst_before"] == held["original"]["worst"]
    assert found.saes[slug]["bias.worst_skyline"] == held["skyline_mean"]["worst"]
    ends = held["judged_mean"]["accuracy_interval"]
    assert found.intervals[slug]["bias.accuracy_after"] == tuple(ends)

    def worse(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        values = zip(columns["variant"], columns["worst"], strict=True)
        return {**columns, "worst": [0.0 if n == "judged_mean" else v for n, v in values]}

    edited(one.path, tmp_path / "two", {("bias_scores", slug): worse})
    two = open_run(tmp_path / "two")
    difference = compare(one, two)
    changed = [value.metric for value in difference.saes[0].values if value.changed]
    assert changed == ["bias.worst_after"]
    gate = Gate(parse("bias.worst_after.change < -0.01"))
    assert [outcome.failed for outcome in judge([gate], difference, measured(two))] == [True]
