"""Whole comparisons: the same run, one altered latent, missing tables, other settings."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saereport.diff import METRICS, Difference, Options, compare, measured
from saereport.run import TABLES, Run, open_run
from saereport.run.tables.given import GIVEN_TABLES
from saereport.run.tables.graphs import EXAMPLE_TABLES
from saereport.util.errors import UsageError
from tests.diff.rewriting import rewritten, with_rows
from tests.synthetic import Shape, write_run
from tests.synthetic_absorption import absorption
from tests.synthetic_bias import bias
from tests.synthetic_capability import capability_tests
from tests.synthetic_circuits import prompts
from tests.synthetic_evaluation import distributions, shipped
from tests.synthetic_geometry import geometry
from tests.synthetic_interventions import interventions
from tests.synthetic_lens import lenses
from tests.synthetic_meta import NAMES, meta_saes
from tests.synthetic_probing import probes
from tests.synthetic_scores import output_scores
from tests.synthetic_steering import steering

SHAPE = Shape(
    n_saes=2, n_chosen=24, d_sae=48, n_sequences=40, context=32, n_vocabulary=600, part=16
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    more = (
        output_scores,
        interventions,
        geometry,
        meta_saes((NAMES[0],)),
        probes(),
        bias(),
        absorption(),
        distributions(),
        shipped(),
    )
    write_run(folder / "one", SHAPE, prompts, capability_tests(), steering, lenses(), *more)
    write_run(folder / "seed", Shape(**{**SHAPE.__dict__, "seed": 5, "n_chosen": 20}))
    return folder


@pytest.fixture(scope="module")
def one(folder: Path) -> Run:
    return open_run(folder / "one")


@pytest.fixture(scope="module")
def seed(folder: Path) -> Run:
    return open_run(folder / "seed")


def altered(one: Run, target: Path, **tables: Any) -> Run:
    """The run with some tables of its first SAE altered."""
    slug = one.info.saes[0].slug
    return rewritten(one, target, {(name, slug): alter for name, alter in tables.items()})


def at(latent: int, **values: Any) -> Any:
    return with_rows(lambda row: {**row, **values} if row["latent"] == latent else row)


def in_words(difference: Difference) -> dict[str, list[int]]:
    return {sae.after: [change.before for change in sae.changed] for sae in difference.saes}


def test_a_run_is_the_same_as_itself(one: Run) -> None:
    found = compare(one, one)
    assert found.identical
    assert found.facts == ()
    for sae in found.saes:
        assert sae.changed == sae.added == sae.removed == sae.clusters == ()
        assert sae.not_compared == {}
        assert not any(value.changed for value in sae.values)
        assert len(sae.pairs.before) == SHAPE.n_chosen
        compared = [m for m, metric in METRICS.items() if metric.scope == "latent"]
        assert list(sae.pairs.sizes) == [m for m in compared if m in sae.pairs.sizes]
        steered = {m for m in compared if m.startswith("steering.")}
        # Only of the first SAE latents are steered.
        assert set(compared) - set(sae.pairs.sizes) == (steered if sae != found.saes[0] else set())
        assert all(np.nanmax(sizes) < 1e-9 for sizes in sae.pairs.sizes.values())
    assert [prompt.edges for prompt in found.prompts] == [(), (), ()]
    assert not found.prompts_added
    assert not found.prompts_removed


def test_one_latent_with_another_story_is_named_and_no_other(one: Run, tmp_path: Path) -> None:
    latent = int(compare(one, one).saes[0].pairs.before[7])
    table = one.table("logit_lens", one.info.saes[0].slug)
    row = next(row for row in table.to_pylist() if row["latent"] == latent)
    tokens = [token + 1 for token in reversed(row["top_tokens"])]
    two = altered(one, tmp_path / "two", logit_lens=at(latent, top_tokens=tokens))
    found = compare(one, two)
    first = found.saes[0]
    assert not found.identical
    assert in_words(found) == {first.after: [latent], found.saes[1].after: []}
    (change,) = first.changed
    assert [value.metric for value in change.changed] == ["logit_lens.rbo"]
    (items,) = change.items
    assert items.metric == "logit_lens.rbo"
    assert len(items.after) == len(tokens)
    counted = next(value for value in first.values if value.metric == "latents.changed")
    assert (counted.size, counted.changed) == (1, True)


def test_a_latent_that_vanished_stands_above_one_that_drifted(one: Run, tmp_path: Path) -> None:
    pairs = compare(one, one).saes[0].pairs
    order = np.argsort(-pairs.befores["density"])
    gone, drifted = (int(pairs.before[i]) for i in order[:2])

    def alter(row: dict[str, Any]) -> dict[str, Any]:
        if row["latent"] == gone:
            return {**row, "n_active": 0, "density": 0.0, "max": 0.0}
        return {**row, "max": row["max"] * 1.4} if row["latent"] == drifted else row

    two = altered(one, tmp_path / "two", activity=with_rows(alter))
    changed = compare(one, two).saes[0].changed
    assert [change.before for change in changed] == [gone, drifted]
    assert changed[0].importance > 8 > changed[1].importance > 0
    assert [value.metric for value in changed[1].changed] == ["max"]


def test_values_are_those_of_the_tables(one: Run, seed: Run) -> None:
    sae = compare(one, seed).saes[0]
    slug = one.info.saes[0].slug
    rows = [
        {row["latent"]: row for row in run.table("activity", slug).to_pylist()}
        for run in (one, seed)
    ]
    counted = [run.info.text.n_counted for run in (one, seed)]
    assert len(sae.pairs.before)
    for i, latent in enumerate(sae.pairs.before.tolist()):
        before, after = (side[latent] for side in rows)
        assert sae.pairs.befores["max"][i] == before["max"]
        assert sae.pairs.afters["density"][i] == after["density"]
        ratio = (after["n_active"] + 0.5) / counted[1] / ((before["n_active"] + 0.5) / counted[0])
        assert sae.pairs.sizes["density"][i] == pytest.approx(abs(np.log2(ratio)))


def test_sizes_are_the_same_in_both_directions(one: Run, seed: Run) -> None:
    there, back = compare(one, seed), compare(seed, one)
    for ahead, behind in zip(there.saes, back.saes, strict=True):
        assert (ahead.added, ahead.removed) == (behind.removed, behind.added)
        assert ahead.added
        for name, sizes in ahead.pairs.sizes.items():
            np.testing.assert_array_equal(sizes, behind.pairs.sizes[name])
        assert [c.before for c in ahead.changed] == [c.before for c in behind.changed]
        swapped = {"latents.added": "latents.removed", "latents.removed": "latents.added"}
        sizes_back = {value.metric: value.size for value in behind.values}
        for value in ahead.values:
            assert value.size == sizes_back[swapped.get(value.metric, value.metric)]
    assert there.prompts_removed == back.prompts_added == ("prompt-0", "prompt-1", "prompt-2")


def test_other_text_is_a_fact_and_no_examples(one: Run, seed: Run) -> None:
    found = compare(one, seed)
    assert ("text", "digest", True) in {(f.topic, f.name, f.matters) for f in found.facts}
    assert "different text" in found.saes[0].not_compared["examples"]
    assert "examples" not in found.saes[0].pairs.sizes


ELSEWHERE = {table.name for table in (*GIVEN_TABLES, *EXAMPLE_TABLES)} | {
    *("label_files", "write_layers")
}
"""Tables of an SAE that are not among its statistics and weights, or that these have not."""
OWN = [n for n, t in TABLES.items() if t.scope == "sae" and n not in ELSEWHERE]


def test_the_runs_have_every_table(one: Run) -> None:
    held = {name for sae in one.info.saes for name in one.names(sae.slug)}
    assert held == set(OWN)


@pytest.mark.parametrize("table", OWN)
def test_any_table_may_be_missing(one: Run, tmp_path: Path, table: str) -> None:
    slug = next(sae.slug for sae in one.info.saes if one.has(table, sae.slug))
    two = rewritten(one, tmp_path / "two", {(table, slug): lambda _: None})
    found = compare(one, two)
    assert in_words(found) == {sae.slug: [] for sae in one.info.saes}
    (compared,) = [sae for sae in found.saes if sae.after == slug]
    for reason in compared.not_compared.values():
        assert "the run after" in reason
    assert compared.added == compared.removed == ()
    assert in_words(compare(two, one)) == in_words(found)


def test_all_tables_may_be_missing(one: Run, tmp_path: Path) -> None:
    without = {(n, s.slug): lambda _: None for s in one.info.saes for n in one.names(s.slug)}
    without |= {(name, None): lambda _: None for name in one.names()}
    two = rewritten(one, tmp_path / "two", without)
    found = compare(one, two)
    assert len(found.saes[0].removed) == SHAPE.n_chosen
    assert found.prompts_removed == ("prompt-0", "prompt-1", "prompt-2")
    assert measured(two).saes[one.info.saes[0].slug]["latents.shown"] == 0


def test_no_latents_and_dead_latents(one: Run, tmp_path: Path) -> None:
    nothing = with_rows(lambda row: None)
    slug = one.info.saes[0].slug
    alter = {(name, slug): nothing for name in one.names(slug) if name != "sae_metrics"}
    two = rewritten(one, tmp_path / "two", alter)
    assert len(compare(one, two).saes[0].removed) == SHAPE.n_chosen
    assert compare(two, two).saes[0].changed == ()
    dead = with_rows(lambda row: {**row, "n_active": 0, "density": 0.0, "max": 0.0})
    three = altered(one, tmp_path / "three", activity=dead)
    assert compare(three, three).saes[0].changed == ()
    assert compare(one, three).saes[0].changed


def test_tolerances_are_the_users(one: Run, tmp_path: Path) -> None:
    pairs = compare(one, one).saes[0].pairs
    latent = int(pairs.before[np.argmax(pairs.befores["max"])])
    rows = one.table("activity", one.info.saes[0].slug).to_pylist()
    top = next(row["max"] for row in rows if row["latent"] == latent)
    two = altered(one, tmp_path / "two", activity=at(latent, max=top * 1.01 + 0.001))
    assert not compare(one, two).saes[0].changed
    strict = compare(one, two, options=Options(tolerances={"max": 0.0})).saes[0]
    assert [change.before for change in strict.changed] == [latent]
    for bad in ({"maxx": 0.1}, {"max": -1.0}, {"max": float("nan")}):
        with pytest.raises(UsageError):
            compare(one, two, options=Options(tolerances=bad))


def test_rare_latents_have_wider_tolerances(one: Run) -> None:
    metric = METRICS["density"]
    wide = metric.tolerances(metric.tolerance, np.array([1.0, 100.0, 1e8, np.nan]))
    assert wide[0] > wide[1] > wide[2] == pytest.approx(metric.tolerance, rel=0.01)
    assert wide[3] == metric.tolerance
    assert not metric.tolerances(0.0, np.array([1.0])).any()


def test_saes_are_paired_by_slug_weights_or_hooks_or_as_said(one: Run, tmp_path: Path) -> None:
    def renamed(new_weights: bool) -> Any:
        def change(info: Any) -> Any:
            update = {"weights": "e" * 64} if new_weights else {}
            first = info.saes[0].model_copy(update={"slug": "other", **update})
            return info.model_copy(update={"saes": (first, info.saes[1])})

        return change

    slugs = [sae.slug for sae in one.info.saes]
    for new_weights in (False, True):
        two = rewritten(one, tmp_path / f"two-{new_weights}", {}, renamed(new_weights))
        found = compare(one, two)
        assert [(s.before, s.after) for s in found.saes] == [(slugs[0], "other"), (slugs[1],) * 2]
        assert found.saes[0].same_weights is not new_weights
        assert not found.saes[0].changed
    said = compare(one, two, options=Options(saes=((slugs[1], "other"),)))
    assert [(s.before, s.after) for s in said.saes] == [(slugs[1], "other")]
    assert (said.saes_added, said.saes_removed) == ((slugs[1],), (slugs[0],))
    for wrong in ((("nope", "other"),), ((slugs[0], "other"), (slugs[1], "other"))):
        with pytest.raises(UsageError):
            compare(one, two, options=Options(saes=wrong))


def test_tokens_are_compared_by_their_bytes(one: Run, tmp_path: Path) -> None:
    """Another tokeniser: every id moved, the bytes the same."""
    shift = 1000

    def moved(row: dict[str, Any]) -> dict[str, Any]:
        result = dict(row)
        for name in ("token", "tokens", "top_tokens", "bottom_tokens"):
            if name in row:
                value = row[name]
                result[name] = (
                    [v + shift for v in value] if isinstance(value, list) else value + shift
                )
        return result

    tables = ("token_statistics", "logit_lens", "deembedding")
    alter: dict[tuple[str, str | None], Any] = {
        (name, sae.slug): with_rows(moved) for sae in one.info.saes for name in tables
    }
    alter |= {(name, None): with_rows(moved) for name in ("vocabulary", "sequences", "prompts")}
    two = rewritten(one, tmp_path / "two", alter)
    assert in_words(compare(one, two)) == {sae.slug: [] for sae in one.info.saes}
    assert len(compare(one, two).prompts) == 3


def test_what_latents_do_to_different_answers_is_not_compared(one: Run, tmp_path: Path) -> None:
    def alter(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "token": (row["token"] + 1) % 600} if row["prompt"] == 0 else row

    two = rewritten(one, tmp_path / "two", {("prompt_answers", None): with_rows(alter)})
    names = {m for m in METRICS if m.startswith("interventions.")} | {"answer.probability"}
    same, other = (compare(one, run).prompts[0] for run in (one, two))
    assert names <= {value.metric for value in same.values}
    assert {name: other.not_compared[name] for name in names} == dict.fromkeys(
        names, "the answers differ"
    )
    assert not names & {value.metric for value in other.values}


def test_what_one_report_has_by_itself(one: Run) -> None:
    found = measured(one)
    slug = one.info.saes[0].slug
    latents, values = found.latents[slug]
    assert len(latents) == len(values["max"]) == len(values["density"]) == SHAPE.n_chosen
    assert found.saes[slug]["ce_recovered"] == pytest.approx(0.985)
    known = {name for name, metric in METRICS.items() if metric.one_sided}
    assert set(found.saes[slug]) | set(values) | set(found.prompts["prompt-0"]) <= known
    assert "answer.probability" in found.prompts["prompt-0"]
