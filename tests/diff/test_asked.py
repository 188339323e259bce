"""Where two runs were asked other things, it is said, and what hangs on them is not compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from saereport.diff import METRICS, compare
from saereport.diff.conditions import parse
from saereport.diff.gates import Gate, judge
from saereport.diff.measured import measured
from saereport.run import Run, RunInfo, open_run
from tests.diff.edited import Columns, Edit, edited
from tests.diff.rewriting import rewritten
from tests.synthetic import Shape, write_run
from tests.synthetic_absorption import absorption
from tests.synthetic_bias import bias
from tests.synthetic_capability import capability_tests
from tests.synthetic_geometry import geometry
from tests.synthetic_lens import lenses
from tests.synthetic_probing import probes
from tests.synthetic_scores import output_scores
from tests.synthetic_steering import steering

SHAPE = Shape(n_saes=3, d_sae=60, n_chosen=4, n_sequences=20, n_vocabulary=700, quick=True)
INPUTS = {
    "probing": {"the labelled texts": "a" * 64},
    "bias": {"the texts of the bias test": "b" * 64, "the latents to take out": "c" * 64},
    "lens": {"the token sets": "d" * 64},
    "steering": {"the prompts to steer on": "e" * 64},
    "capability": {"the prompts of capability tests": "f" * 64},
    "explanations": {"the explanations": "1" * 64},
}


def with_inputs(**changed: dict[str, str] | None) -> Callable[[RunInfo], RunInfo]:
    """What its stages read, some of it otherwise; a stage that is None did not run."""
    found = {stage: held for stage, held in {**INPUTS, **changed}.items() if held is not None}
    return lambda info: info.model_copy(update={"inputs": found})


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("asked")
    of_the_first = [make(without=(1, 2)) for make in (lenses, probes, bias, absorption)]
    others = (capability_tests(), geometry, steering, output_scores)
    write_run(folder / "bare", SHAPE, *of_the_first, *others)
    return rewritten(open_run(folder / "bare"), folder / "one", {}, with_inputs())


def of(*stages: str) -> set[str]:
    return {name for name, metric in METRICS.items() if metric.stage in stages}


@pytest.mark.parametrize(
    ("stage", "words", "metrics"),
    [
        ("probing", "the labelled texts", of("probing")),
        ("bias", "the texts of the bias test", of("bias")),
        ("bias", "the latents to take out", of("bias") - {"bias.worst_before"}),
        ("lens", "the token sets", {"lens.enriched"}),
        ("steering", "the prompts to steer on", of("steering")),
        ("capability", "the prompts of capability tests", set()),
        ("explanations", "the explanations", set()),
    ],
)
def test_another_file_of_the_same_name_and_counts_is_told(
    one: Run, tmp_path: Path, stage: str, words: str, metrics: set[str]
) -> None:
    other = with_inputs(**{stage: {**INPUTS[stage], words: "9" * 64}})
    found = compare(one, rewritten(one, tmp_path / "two", {}, other))
    (fact,) = found.facts
    assert (fact.name, fact.after, fact.matters) == (words.removeprefix("the "), "9" * 16, True)
    sae = found.saes[0]
    assert metrics <= sae.not_compared.keys() <= metrics | of("directions")
    assert not metrics & {value.metric for value in sae.values}
    assert not metrics & set(sae.pairs.sizes)
    for name in metrics:
        # It neither passes nor fails by numbers that are not of the same thing.
        (outcome,) = judge([Gate(parse(f"{name}.change < -9"))], found, measured(one))
        assert outcome.state == "missing", name
        assert "other" in outcome.message


def test_a_file_that_only_one_has_is_told_and_a_stage_that_only_one_did_is_not(
    one: Run, tmp_path: Path
) -> None:
    found = compare(one, rewritten(one, tmp_path / "a", {}, with_inputs(lens={})))
    assert [(fact.name, fact.after) for fact in found.facts] == [("token sets", "")]
    assert not compare(one, rewritten(one, tmp_path / "b", {}, with_inputs(lens=None))).facts
    older = rewritten(one, tmp_path / "c", {}, lambda i: i.model_copy(update={"inputs": None}))
    assert not compare(older, one).facts


def test_equal_texts_by_another_name_are_the_same_where_files_are_known(
    one: Run, tmp_path: Path
) -> None:
    def renamed(columns: Columns) -> Columns:
        rows = sorted(
            (f"0{task}" if task == "reviews" else task, at)
            for at, task in enumerate(columns["task"])
        )
        held = {name: [values[at] for _, at in rows] for name, values in columns.items()}
        return {**held, "task": [task for task, _ in rows]}

    slug = one.info.saes[0].slug
    tables = ("probing_scores", "probing_latents")
    places = {("probing_tasks", None): renamed, **{(name, slug): renamed for name in tables}}
    edited(one.path, tmp_path / "two", places)
    two = open_run(tmp_path / "two")
    found = compare(one, two)
    assert not found.facts
    assert not of("probing") & found.saes[0].not_compared.keys()
    # Of an older run no more is known than what its tasks are called.
    older = rewritten(one, tmp_path / "c", {}, lambda i: i.model_copy(update={"inputs": None}))
    assert [fact.name for fact in compare(older, two).facts] == ["labelled texts"]
    fewer = {("probing_tasks", None): put("n_with", lambda n: n - 1)}
    edited(two.path, tmp_path / "three", fewer)
    assert of("probing") <= compare(one, open_run(tmp_path / "three")).saes[0].not_compared.keys()


def put(column: str, change: Callable[[Any], Any]) -> Edit:
    """An edit of the first value of a column."""

    def edit(columns: Columns) -> Columns:
        first, *rest = columns[column]
        return {**columns, column: [change(first), *rest]}

    return edit


def test_words_of_a_concept_and_other_prompts_are_not_compared(one: Run, tmp_path: Path) -> None:
    slug = one.info.saes[0].slug
    words = put("words", lambda found: [*found, "more"])
    edited(one.path, tmp_path / "words", {("steering_windows", slug): words})
    found = compare(one, open_run(tmp_path / "words"))
    gates = [Gate(parse(f"steering.effect.{part} < -9")) for part in ("change", "size")]
    outcomes = judge(gates, found, measured(one))
    # Of the first of two steered latents there is none, and of those that are not steered.
    assert all("3 of 4 latents" in outcome.message for outcome in outcomes)
    edited(one.path, tmp_path / "on", {("steering_prompts", None): put("text", "x".__add__)})
    found = compare(one, open_run(tmp_path / "on"))
    assert [fact.name for fact in found.facts] == ["prompts to steer on"]
    assert of("steering") <= found.saes[0].not_compared.keys()


def test_only_the_capability_sets_that_differ_are_left_out(one: Run, tmp_path: Path) -> None:
    slugs = [sae.slug for sae in one.info.saes]
    edit = put("answer", lambda token: token % 600 + 1)
    edited(one.path, tmp_path / "two", {("capability_prompts", slug): edit for slug in slugs})
    found = compare(one, open_run(tmp_path / "two"))
    assert [fact.name for fact in found.facts] == ["prompts of capability tests"]
    left = {name for name in found.saes[0].not_compared if name.startswith("capability")}
    assert left == {
        f"capability.{metric}{end}"
        for metric in ("accuracy", "logit_difference")
        for end in ("", ".capitals")
    }


def test_prompts_of_output_scores_are_settings_of_a_run(one: Run, tmp_path: Path) -> None:
    def asked(*prompts: str) -> Callable[[RunInfo], RunInfo]:
        settings = {"output_scores": {"prompts": list(prompts)}}
        return lambda info: info.model_copy(update={"config": {**info.config, **settings}})

    sides = [
        rewritten(one, tmp_path / name, {}, asked(*prompts))
        for name, prompts in (("a", ()), ("b", ("It is",)))
    ]
    assert of("output_scores") <= compare(*sides).saes[0].not_compared.keys()


def test_means_over_other_saes_are_not_compared(one: Run, tmp_path: Path) -> None:
    slug = one.info.saes[1].slug

    def fewer(columns: Columns) -> Columns:
        return {name: values[:1] for name, values in columns.items()}

    edited(one.path, tmp_path / "two", {("dictionary_matches", slug): fewer})
    found = compare(one, open_run(tmp_path / "two"))
    (sae,) = (sae for sae in found.saes if sae.after == slug)
    over = of("directions") - {"geometry.clustered"}
    assert over == sae.not_compared.keys()
    assert not over & found.saes[0].not_compared.keys()
