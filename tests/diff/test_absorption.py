"""Comparisons and gates know absorption."""

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
from tests.synthetic_absorption import absorption

SHAPE = Shape(d_sae=32, n_chosen=4, n_sequences=20)


def test_more_absorption_is_a_change_and_fails_a_gate(tmp_path: Path) -> None:
    write_run(tmp_path / "one", SHAPE, absorption())
    one = open_run(tmp_path / "one")
    slug = one.info.saes[0].slug
    held = {r["letter"]: r for r in one.table("absorption_letters", slug).to_pylist()}
    found = measured(one)
    for name in ("fraction", "full"):
        assert found.saes[slug][f"absorption.{name}"] == held["*"][name] > 0
        ends = tuple(held["*"][f"{name}_interval"])
        assert found.intervals[slug][f"absorption.{name}"] == ends

    def more(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        values = zip(columns["letter"], columns["full"], strict=True)
        return {**columns, "full": [v + 0.3 * (n == "*") for n, v in values]}

    edited(one.path, tmp_path / "two", {("absorption_letters", slug): more})
    two = open_run(tmp_path / "two")
    difference = compare(one, two)
    changed = [value.metric for value in difference.saes[0].values if value.changed]
    assert changed == ["absorption.full"]
    gate = Gate(parse("absorption.full.change > 0.1"))
    assert [outcome.failed for outcome in judge([gate], difference, measured(two))] == [True]


def test_letters_that_do_not_count_give_no_figure(tmp_path: Path) -> None:
    write_run(tmp_path / "one", SHAPE, absorption())
    slug = open_run(tmp_path / "one").info.saes[0].slug

    def blind(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {**columns, "counts": [False] * len(columns["counts"])}

    edited(tmp_path / "one", tmp_path / "two", {("absorption_letters", slug): blind})
    values = measured(open_run(tmp_path / "two")).saes[slug]
    assert not any(name.startswith("absorption") for name in values)
