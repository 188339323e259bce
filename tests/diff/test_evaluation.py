"""Gates on figures of whole SAEs: a drop beyond the interval fails, chance is no change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from saereport.diff import compare
from saereport.diff.conditions import parse
from saereport.diff.gates import Gate, judge, judge_alone
from saereport.diff.measured import measured
from saereport.diff.model import Value
from saereport.run import Run, open_run
from tests.diff.edited import edited
from tests.synthetic import Shape, write_run

SHAPE = Shape(d_sae=32, n_chosen=4, n_sequences=20)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Its SAE recovers 0.985 of cross-entropy, from 0.984 to 0.986."""
    folder = tmp_path_factory.mktemp("evaluation") / "one"
    write_run(folder, SHAPE)
    return open_run(folder)


def recovering(one: Run, target: Path, value: float, half: float) -> Run:
    """The run with another share recovered, and half the length of its interval."""

    def other(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        found = {name: list(column) for name, column in columns.items()}
        row = found["metric"].index("ce_recovered")
        found["value"][row] = value
        found["interval"][row] = [value - half, value + half]
        return found

    edited(one.path, target, {("sae_metrics", one.info.saes[0].slug): other})
    return open_run(target)


def changed(before: Run, after: Run) -> list[Value]:
    return [value for value in compare(before, after).saes[0].values if value.changed]


def test_a_drop_of_cross_entropy_recovered_beyond_its_interval_fails_a_gate(
    one: Run, tmp_path: Path
) -> None:
    worse = recovering(one, tmp_path / "worse", 0.90, 0.01)
    (value,) = changed(one, worse)
    assert (value.metric, value.after) == ("ce_recovered", 0.90)
    found = compare(one, worse)
    gate = Gate(parse("ce_recovered.change < -0.02"))
    (outcome,) = judge([gate], found, measured(worse))
    assert outcome.failed
    (outcome,) = judge_alone([Gate(parse("ce_recovered < 0.95"))], measured(worse))
    assert outcome.failed
    assert "95 % interval 0.89 to 0.91" in outcome.message
    (outcome,) = judge([gate], compare(one, one), measured(one))
    assert outcome.state == "passed"
    # As large a drop that the interval leaves to chance is no change.
    assert changed(one, recovering(one, tmp_path / "unsure", 0.90, 0.2)) == []


def test_shares_of_dense_latents_are_counted_and_gated(one: Run, tmp_path: Path) -> None:
    slug, n = one.info.saes[0].slug, one.info.text.n_counted
    counts = one.table("sae_activity", slug)["n_active"].to_pylist()
    values = measured(one).saes[slug]
    for percent in (1, 10):
        share = sum(count > n * percent / 100 for count in counts) / len(counts)
        assert values[f"dense_share.{percent}"] == pytest.approx(share)

    def dense(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        half = len(columns["n_active"]) // 2
        return {**columns, "n_active": [n // 2] * half + columns["n_active"][half:]}

    edited(one.path, tmp_path / "dense", {("sae_activity", slug): dense})
    after = open_run(tmp_path / "dense")
    assert measured(after).saes[slug]["dense_share.10"] >= 0.5
    gate = Gate(parse("dense_share.10.change > 0.2"))
    (outcome,) = judge([gate], compare(one, after), measured(after))
    assert outcome.failed
