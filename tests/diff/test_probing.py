"""Comparisons and gates know sparse probing: values, intervals, and a drop that fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from saereport.diff import compare
from saereport.diff.conditions import parse
from saereport.diff.gates import Gate, judge
from saereport.diff.measured import measured
from saereport.run import Run, open_run
from tests.diff.edited import edited
from tests.synthetic import Shape, write_run
from tests.synthetic_probing import probes

SHAPE = Shape(d_sae=32, n_chosen=4, n_sequences=20)
DROP = 0.25


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """The second run's latents tell a quarter fewer of the texts, over all concepts."""
    folder = tmp_path_factory.mktemp("probing")
    write_run(folder / "one", SHAPE, probes())
    slug = open_run(folder / "one").info.saes[0].slug

    def worse(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        keys = zip(columns["task"], columns["probe"], columns["pooling"], strict=True)
        values = [
            value - DROP * (key == ("*", "latents", "mean"))
            for key, value in zip(keys, columns["accuracy"], strict=True)
        ]
        return {**columns, "accuracy": values}

    edited(folder / "one", folder / "two", {("probing_scores", slug): worse})
    return open_run(folder / "one"), open_run(folder / "two")


def test_one_report_has_values_and_intervals(sides: tuple[Run, Run]) -> None:
    run = sides[0]
    slug, found = run.info.saes[0].slug, measured(sides[0])
    rows = {
        (r["probe"], r["pooling"]): r
        for r in run.table("probing_scores", slug).to_pylist()
        if r["task"] == "*"
    }
    values = found.saes[slug]
    assert values["probing.accuracy"] == rows["latents", "mean"]["accuracy"]
    assert values["probing.auc"] == rows["latents", "mean"]["auc"]
    assert values["probing.accuracy_activations"] == rows["activations", "mean"]["accuracy"]
    ends = rows["latents", "mean"]["accuracy_interval"]
    assert found.intervals[slug]["probing.accuracy"] == tuple(ends)


def test_a_drop_is_a_change_and_fails_a_gate(sides: tuple[Run, Run]) -> None:
    found = compare(*sides)
    changed = [value for value in found.saes[0].values if value.changed]
    assert [value.metric for value in changed] == ["probing.accuracy"]
    assert changed[0].size == pytest.approx(DROP)
    gates = [Gate(parse(f"probing.accuracy.change < {-limit}")) for limit in (0.1, 0.4)]
    assert [outcome.failed for outcome in judge(gates, found, measured(sides[1]))] == [True, False]


def test_other_texts_in_a_file_of_the_same_name_are_told(
    sides: tuple[Run, Run], tmp_path: Path
) -> None:
    def more(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {**columns, "n_with": [n + 1 for n in columns["n_with"]]}

    edited(sides[0].path, tmp_path / "other", {("probing_tasks", None): more})
    facts = compare(sides[0], open_run(tmp_path / "other")).facts
    (fact,) = (fact for fact in facts if fact.name == "labelled texts")
    assert fact.matters
    assert fact.before != fact.after
    assert "labelled texts" not in {fact.name for fact in compare(*sides).facts}
