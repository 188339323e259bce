"""Comparisons and gates know capability tests: values, intervals, and a drop that fails."""

from __future__ import annotations

from typing import Any

import pytest

from saereport.diff import compare
from saereport.diff.conditions import parse
from saereport.diff.gates import Gate, judge, judge_alone
from saereport.diff.measured import measured
from saereport.run import Run, open_run
from saereport.run.capability import scores_of
from tests.diff.edited import edited
from tests.synthetic import Shape, write_run
from tests.synthetic_capability import capability_tests

SHAPE = Shape(d_sae=32, n_chosen=4, n_sequences=20)
DROP = 0.2


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """The second run's SAE gets a fifth fewer of the capitals right."""
    folder = tmp_path_factory.mktemp("capability")
    write_run(folder / "one", SHAPE, capability_tests())
    slug = open_run(folder / "one").info.saes[0].slug

    def worse(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        rows = zip(columns["set"], columns["run"], columns["metric"], strict=True)
        values = [
            value - DROP * (row == ("capitals", "spliced", "accuracy"))
            for row, value in zip(rows, columns["value"], strict=True)
        ]
        return {**columns, "value": values}

    edited(folder / "one", folder / "two", {("capability_sets", slug): worse})
    return open_run(folder / "one"), open_run(folder / "two")


def test_one_report_has_values_and_intervals(sides: tuple[Run, Run]) -> None:
    run = sides[0]
    slug = run.info.saes[0].slug
    scores, found = scores_of(run, slug), measured(run)
    values = found.saes[slug]
    assert values["capability.accuracy"] == scores["all", "spliced", "accuracy"].value
    difference = scores["agreement", "spliced", "logit_difference"]
    assert values["capability.logit_difference.agreement"] == difference.value
    assert found.intervals[slug]["capability.logit_difference.agreement"] == difference.interval
    # A set of the user's own counts among all prompts, and `first` is no metric.
    names = {name for name in values if name.startswith("capability")}
    assert names == {
        f"capability.{metric}{end}"
        for metric in ("accuracy", "logit_difference")
        for end in ("", ".capitals", ".agreement")
    }


def test_a_drop_is_a_change_and_fails_a_gate(sides: tuple[Run, Run]) -> None:
    found = compare(*sides)
    changed = [value for value in found.saes[0].values if value.changed]
    assert [value.metric for value in changed] == ["capability.accuracy.capitals"]
    assert changed[0].size == pytest.approx(DROP)
    gates = [
        Gate(parse(f"capability.accuracy.capitals{end}"))
        for end in (".change < -0.1", ".size > 0.3")
    ]
    assert [outcome.failed for outcome in judge(gates, found, measured(sides[1]))] == [True, False]
    (outcome,) = judge_alone(
        [Gate(parse("capability.accuracy.capitals < 0.9"))], measured(sides[1])
    )
    assert outcome.failed
    assert "95 % interval" in outcome.message


def test_what_was_not_tested_fails_a_gate(sides: tuple[Run, Run]) -> None:
    (outcome,) = judge_alone(
        [Gate(parse("capability.accuracy.induction < 0.5"))], measured(sides[0])
    )
    assert outcome.failed
    assert "not measured" in outcome.message


def test_other_prompts_in_a_file_of_the_same_name_are_told(sides: tuple[Run, Run]) -> None:
    one = sides[0]
    slugs = [sae.slug for sae in one.info.saes]

    def asked_otherwise(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        answers = [7 if number == 0 else old for number, old in
                   zip(columns["number"], columns["answer"], strict=True)]  # fmt: skip
        return {**columns, "answer": answers}

    other = one.path.parent / "other"
    edited(one.path, other, {("capability_prompts", slug): asked_otherwise for slug in slugs})
    (fact,) = [
        fact
        for fact in compare(one, open_run(other)).facts
        if fact.name == "prompts of capability tests"
    ]
    assert fact.matters
    assert fact.before.startswith("28 prompts, ")
    assert fact.before != fact.after
    same = compare(one, sides[1]).facts
    assert "prompts of capability tests" not in {fact.name for fact in same}
