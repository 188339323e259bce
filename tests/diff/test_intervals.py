"""The tolerance of an SAE's figures follows their intervals."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from math import hypot
from typing import Any

import pytest

from saereport.diff import Options, compare
from saereport.diff.conditions import parse
from saereport.diff.document import diff_json
from saereport.diff.gates import Gate, judge_alone
from saereport.diff.measured import measured
from saereport.diff.metrics import METRICS
from saereport.diff.model import Value
from saereport.diff.saes import Sampled, compared_saes
from saereport.run import Run, open_run
from saereport.run.figures import Figure
from saereport.site.difference import difference_page
from tests.diff.edited import edited
from tests.synthetic import Shape, write_run

SHAPE = Shape(n_saes=1, d_sae=32, n_chosen=4, n_sequences=20)
OWN = {name: metric.tolerance for name, metric in METRICS.items()}
Columns = dict[str, list[Any]]


def figure(value: float, half: float | None, n: int = 2048, sequences: int = 20) -> Figure:
    return Figure(value, None if half is None else (value - half, value + half), n, sequences)


def moved(name: str, before: Figure, after: Figure, **known: Any) -> tuple[list[Value], dict]:
    sampled = Sampled({name: before}, {name: after}, **({"same_text": True} | known))
    return compared_saes({name: before.value}, {name: after.value}, OWN, sampled)


def test_a_share_of_a_small_gap_is_not_told_from_noise() -> None:
    """The known case: 1.122 with an interval of 1.01 to 1.35."""
    (found,), _ = moved("ce_recovered", figure(1.122, 0.17), figure(0.98, 0.12))
    assert found.tolerance == pytest.approx(hypot(0.17, 0.12))
    assert not found.changed
    assert found.before_interval == pytest.approx((0.952, 1.292))
    # Where ablation harms, the share is known well and the metric's own tolerance holds.
    (found,), _ = moved("ce_recovered", figure(0.985, 0.001), figure(0.95, 0.002))
    assert (found.tolerance, found.changed) == (0.02, True)
    # And a user's own tolerance stands.
    (found,), _ = moved(
        "ce_recovered", figure(1.122, 0.17), figure(0.98, 0.12), fixed={"ce_recovered"}
    )
    assert (found.tolerance, found.changed) == (0.02, True)


def test_chance_is_shared_on_the_same_text() -> None:
    before, after = figure(0.83, 0.03), figure(0.80, 0.03)
    (same,), _ = moved("explained_variance", before, after)
    assert (same.tolerance, same.changed) == (0.01, True)
    (other,), _ = moved("explained_variance", before, after, same_text=False)
    assert other.tolerance == pytest.approx(hypot(0.03, 0.03))
    assert not other.changed
    # As many tokens of one text are the same tokens, fewer are not.
    (fewer,), _ = moved("explained_variance", before, replace(after, n_tokens=1024))
    assert not fewer.changed


def test_relative_sizes_have_relative_tolerances() -> None:
    (found,), _ = moved("mse", figure(800, 60), figure(1000, 80), same_text=False)
    assert found.size == pytest.approx(0.2)
    assert found.tolerance == pytest.approx(100 / 1000)


@pytest.mark.parametrize("name", ["ce_recovered", "ce_recovered_mean"])
def test_a_share_of_what_may_be_nothing_is_not_compared(name: str) -> None:
    values, reasons = moved(name, figure(0.9, 0.1), figure(7.0, None))
    assert values == []
    assert reasons == {name: "the share after is one of a gap that may be nothing"}
    values, reasons = moved(name, figure(0.9, 0.1), figure(7.0, None), fixed={name})
    assert (len(values), reasons) == (1, {})
    # On few sequences nothing has an interval, and nothing is known of the gap.
    values, _ = moved(name, figure(0.9, None, sequences=4), figure(0.7, None, sequences=4))
    assert [value.changed for value in values] == [True]


def changed(**figures: tuple[float, list[float]]) -> Callable[[Columns], Columns]:
    def edit(columns: Columns) -> Columns:
        at = {name: columns["metric"].index(name) for name in figures}
        made = {name: list(column) for name, column in columns.items()}
        for name, (value, interval) in figures.items():
            made["value"][at[name]] = value
            made["interval"][at[name]] = interval
        return made

    return edit


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    folder = tmp_path_factory.mktemp("intervals")
    write_run(folder / "one", SHAPE)
    slug = open_run(folder / "one").info.saes[0].slug
    edit = changed(ce_recovered=(1.122, [1.01, 1.35]), mse=(900.0, [870.0, 930.0]))
    edited(folder / "one", folder / "two", {("sae_metrics", slug): edit})
    return open_run(folder / "one"), open_run(folder / "two")


def test_runs(sides: tuple[Run, Run]) -> None:
    found = compare(*sides)
    values = {value.metric: value for value in found.saes[0].values}
    assert {name for name, value in values.items() if value.changed} == {"mse"}
    # Half-intervals of 0.001 and 0.17, so a change of 0.137 is noise.
    assert values["ce_recovered"].tolerance == pytest.approx(hypot(0.001, 0.17))
    (sae,) = json.loads("".join(diff_json(found)))["saes"]
    written = {value["metric"]: value for value in sae["values"]}
    assert written["ce_recovered"]["after_interval"] == [1.01, 1.35]
    assert written["latents.shown"]["after_interval"] is None
    own = compare(*sides, options=Options(tolerances={"ce_recovered": 0.05}))
    assert {value.metric for value in own.saes[0].values if value.changed} == {
        "mse",
        "ce_recovered",
    }
    assert "1.01 to 1.35" in difference_page(found, *sides)


def test_gates_say_the_interval(sides: tuple[Run, Run]) -> None:
    (outcome,) = judge_alone([Gate(parse("ce_recovered > 1"))], measured(sides[1]))
    assert outcome.failed
    assert "= 1.122: 95 % interval 1.01 to 1.35" in outcome.message
    (outcome,) = judge_alone([Gate(parse("ce_added_spliced > 1"))], measured(sides[1]))
    assert outcome.state == "passed"
