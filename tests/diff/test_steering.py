"""Comparisons and gates know steering: of each latent, and a loss of effect that fails."""

from __future__ import annotations

from typing import Any

import pytest

from saereport.diff import compare
from saereport.diff.conditions import parse
from saereport.diff.gates import Gate, judge, judge_alone
from saereport.diff.measured import measured
from saereport.run import Run, open_run
from tests.diff.edited import edited
from tests.synthetic import Shape, write_run
from tests.synthetic_steering import steering

SHAPE = Shape(d_sae=32, n_chosen=4, n_sequences=20)


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """In the second run the first of two steered latents does nothing."""
    folder = tmp_path_factory.mktemp("steering")
    write_run(folder / "one", SHAPE, steering)
    slug = open_run(folder / "one").info.saes[0].slug

    def worse(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        lost = {"effect": [0.05, *columns["effect"][1:]]}
        return {**columns, **lost, "visible_from": [0.0, *columns["visible_from"][1:]]}

    edited(folder / "one", folder / "two", {("steering_windows", slug): worse})
    return open_run(folder / "one"), open_run(folder / "two")


def test_a_lost_effect_is_a_change_of_its_latent_and_fails_a_gate(sides: tuple[Run, Run]) -> None:
    found = compare(*sides)
    first = sides[0].table("steering_windows", sides[0].info.saes[0].slug).to_pylist()[0]
    (change,) = found.saes[0].changed
    assert change.after == first["latent"]
    assert {value.metric: value.size for value in change.values if value.changed} == {
        "steering.effect": pytest.approx(0.7),
        "steering.visible_from": 1.0,
    }
    gates = [
        Gate(parse(condition))
        for condition in ("steering.effect.change < -0.5", "steering.broken_from.size > 0.1")
    ]
    outcomes = judge(gates, found, measured(sides[1]))
    # Of latents that are not steered a gate says so.
    assert [outcome.state for outcome in outcomes] == ["failed", "missing"]


def test_one_report_is_judged_alone(sides: tuple[Run, Run]) -> None:
    def states(condition: str) -> list[str]:
        return [judge_alone([Gate(parse(condition))], measured(side))[0].state for side in sides]

    assert states("steering.effect > 0.5") == ["failed", "missing"]
    assert states("steering.perplexity_ratio > 1.9") == ["missing", "missing"]
