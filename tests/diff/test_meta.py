"""Comparisons and gates know meta-SAEs: values, intervals, other weights, and a drop that fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from saereport.diff import compare
from saereport.diff.conditions import parse
from saereport.diff.gates import Gate, judge, judge_alone
from saereport.diff.measured import measured
from saereport.run import Run, open_run
from tests.diff.edited import edited
from tests.synthetic import Shape, write_run
from tests.synthetic_meta import N_META, NAMES, USED, meta_saes

SHAPE = Shape(d_sae=32, n_chosen=4, n_sequences=20)
DROP = 0.2


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("meta")
    write_run(folder / "one", SHAPE, meta_saes((NAMES[0],)))
    return open_run(folder / "one")


def changed(run: Run, folder: Path, **values: Any) -> Run:
    slug = run.info.saes[0].slug

    def other(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {**columns, **{name: [value] for name, value in values.items()}}

    edited(run.path, folder, {("meta_saes", slug): other})
    return open_run(folder)


def row_of(run: Run) -> dict[str, Any]:
    (row,) = run.table("meta_saes", run.info.saes[0].slug).to_pylist()
    return dict(row)


def test_one_report_has_values_and_intervals(one: Run) -> None:
    slug, row, found = one.info.saes[0].slug, row_of(one), measured(one)
    values = {name: v for name, v in found.saes[slug].items() if name.startswith("meta.")}
    assert values == {
        "meta.explained_variance": row["explained"],
        "meta.active": row["active"],
        "meta.dead_share": (N_META - USED) / N_META,
    }
    ends = found.intervals[slug]
    assert ends["meta.explained_variance"] == tuple(row["explained_interval"])
    assert "meta.dead_share" not in ends


def test_of_several_the_mean_is_taken(tmp_path: Path) -> None:
    write_run(tmp_path / "two", SHAPE, meta_saes())
    run = open_run(tmp_path / "two")
    slug = run.info.saes[0].slug
    rows = run.table("meta_saes", slug).to_pylist()
    found = measured(run)
    mean = sum(row["explained"] for row in rows) / 2
    assert found.saes[slug]["meta.explained_variance"] == pytest.approx(mean)
    assert "meta.explained_variance" not in found.intervals[slug]
    assert not compare(run, run).saes[0].not_compared


def test_a_drop_beyond_its_interval_is_a_change_and_fails_a_gate(one: Run, tmp_path: Path) -> None:
    row = row_of(one)
    value = row["explained"] - DROP
    two = changed(one, tmp_path / "two", explained=value, explained_interval=[value, value])
    found = compare(one, two)
    (metric,) = [v for v in found.saes[0].values if v.changed]
    assert (metric.metric, metric.size) == ("meta.explained_variance", pytest.approx(DROP))
    gate = Gate(parse("meta.explained_variance.change < -0.1"))
    assert [outcome.failed for outcome in judge([gate], found, measured(two))] == [True]
    (outcome,) = judge_alone([Gate(parse("meta.explained_variance < 0.9"))], measured(two))
    assert outcome.failed


def test_what_lies_within_the_intervals_is_none(one: Run, tmp_path: Path) -> None:
    row = row_of(one)
    ends = [end + 0.02 for end in row["explained_interval"]]
    two = changed(
        one, tmp_path / "near", explained=row["explained"] + 0.02, explained_interval=ends
    )
    assert not [v for v in compare(one, two).saes[0].values if v.changed]


def test_other_weights_of_the_same_name_are_told(one: Run, tmp_path: Path) -> None:
    two = changed(one, tmp_path / "other", weights="1" * 64)
    (fact,) = [fact for fact in compare(one, two).facts if "meta-SAE" in fact.name]
    assert fact.matters
    assert fact.before != fact.after
    assert not [fact for fact in compare(one, one).facts if "meta-SAE" in fact.name]
