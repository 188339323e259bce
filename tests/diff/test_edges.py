"""Edges of circuits: what changed, and what a limit may have hidden."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saereport.diff import Difference, compare, measured
from saereport.diff.conditions import parse
from saereport.diff.edges import EdgeMap, joined
from saereport.diff.gates import Gate, judge
from saereport.diff.gradients import StoredMap
from saereport.diff.markdown import markdown
from saereport.diff.terminal import summary
from saereport.run import Run, open_run
from saereport.site.difference import difference_page
from tests.diff.rewriting import rewritten, with_rows
from tests.synthetic import Shape, write_run
from tests.synthetic_circuits import prompts
from tests.synthetic_graph import GraphShape, graphs

SHAPE = Shape(
    n_saes=2, n_chosen=12, d_sae=24, n_sequences=20, context=32, n_vocabulary=600, part=16
)


def edges(**weights: float) -> EdgeMap:
    keys = [[ord(name), 0, ord(name), 1] for name in weights]
    return EdgeMap(np.array(keys, np.int64).reshape(-1, 4), np.array(list(weights.values())))


def test_what_happened_to_each_edge() -> None:
    one = edges(a=1.0, b=-0.5, c=0.4, d=0.3, e=2.0)
    two = edges(a=1.01, b=0.5, c=0.9, f=0.7, e=2.0)
    nothing = np.zeros(5)
    found = joined(one, two, (nothing, nothing), 0.05)
    by_kind = {change: float(size) for change, size in zip(found.changes, found.sizes, strict=True)}
    assert by_kind == pytest.approx({"sign": 0.5, "gained": 0.35, "weight": 0.25, "lost": 0.15})
    assert list(found.sizes) == sorted(found.sizes, reverse=True)
    back = joined(two, one, (nothing, nothing), 0.05)
    assert list(back.sizes) == list(found.sizes)


def test_an_edge_below_the_others_limit_is_not_lost() -> None:
    """One side kept two of many pairs: certain is only what exceeds the weaker of the two."""
    one, two = edges(a=1.0, b=0.55, c=0.3), edges(a=1.0, d=0.5)
    all_stored = StoredMap(one, 0.0, unsure=False)
    cut = StoredMap(two, 0.5, unsure=False)
    hidden = (cut.hidden(one.keys), all_stored.hidden(two.keys))
    found = joined(one, two, hidden, 0.1)
    assert [(c, two.weights[r]) for c, r in zip(found.changes, found.after, strict=True)] == [
        ("gained", 0.5)
    ]
    strict = joined(one, two, hidden, 0.01)
    lost = strict.changes.index("lost")
    assert one.weights[strict.before[lost]] == 0.55
    assert strict.sizes[lost] == pytest.approx(0.05)


def test_an_end_that_was_not_used_is_not_lost() -> None:
    one, two = edges(a=1.0, b=0.9), edges(a=1.0)
    for unsure in (False, True):
        hidden = (StoredMap(two, 0.0, unsure).hidden(one.keys), np.zeros(1))
        assert joined(one, two, hidden, 0.05).changes == (() if unsure else ("lost",))


@pytest.fixture(scope="module")
def gradients(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("runs") / "one"
    write_run(folder, SHAPE, prompts)
    return open_run(folder)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("graphs") / "one"
    write_run(folder, SHAPE, graphs(GraphShape(slug="first"), GraphShape(slug="second")))
    return open_run(folder)


def states(found: Difference, after: Run, *conditions: str) -> list[str]:
    gates = [Gate(parse(text), "error") for text in conditions]
    return [outcome.state for outcome in judge(gates, found, measured(after))]


def counts(prompt: Any) -> dict[str, float]:
    return {v.metric: v.size for v in prompt.values if v.metric.startswith("edges.")}


def test_a_gradient_that_turned_is_named(gradients: Run, tmp_path: Path) -> None:
    rows = gradients.table("gradients").to_pylist()
    strongest = next(r for r in rows if r["prompt"] == 0 and r["early"] and r["late"])

    def turned(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "gradient": -row["gradient"]} if row == strongest else row

    two = rewritten(gradients, tmp_path / "two", {("gradients", None): with_rows(turned)})
    first, *others = compare(gradients, two).prompts
    assert counts(first) == {
        "edges.gained": 0,
        "edges.lost": 0,
        "edges.sign": 1,
        "edges.weight": 0,
    }
    (edge,) = first.edges
    assert (edge.change, edge.kind, edge.size) == ("sign", "gradient", pytest.approx(2))
    assert edge.early.startswith(f"{strongest['early']} {strongest['early_latent']} @")
    assert not any(prompt.edges for prompt in others)


def test_gradients_of_saes_numbered_otherwise_are_left_out(gradients: Run, tmp_path: Path) -> None:
    slugs = [sae.slug for sae in gradients.info.saes]

    def changed(info: Any) -> Any:
        first = info.saes[0].model_copy(update={"weights": "f" * 64})
        return info.model_copy(update={"saes": (first, info.saes[1])})

    without = {(name, slugs[0]): lambda _: None for name in ("decoder_directions", "active_sketch")}
    two = rewritten(gradients, tmp_path / "two", without, changed)
    found = compare(gradients, two)
    for prompt in found.prompts:
        assert not prompt.edges
        assert "of SAEs that are not the same" in prompt.not_compared["edge"]
    assert states(found, two, "edge > 0.3", "edges.lost > 0") == ["missing", "missing"]
    assert "of SAEs that are not the same" in summary(found)
    assert "of SAEs that are not the same" in markdown(found)
    page = difference_page(found, gradients, two)
    assert page.count("of SAEs that are not the same") == len(found.prompts)


def test_a_map_of_one_side_only_does_not_pass(gradients: Run, tmp_path: Path) -> None:
    (early, late), *_ = {
        (row["early"], row["late"]) for row in gradients.table("gradient_maps").to_pylist()
    }

    def others(row: dict[str, Any]) -> dict[str, Any] | None:
        return None if (row["early"], row["late"]) == (early, late) else row

    names = ("gradients", "gradient_maps")
    two = rewritten(gradients, tmp_path / "two", {(n, None): with_rows(others) for n in names})
    found = compare(gradients, two)
    assert states(found, two, "edge > 0.3", "edges.lost > 0") == ["missing", "missing"]
    assert states(compare(gradients, gradients), gradients, "edges.lost > 0") == ["passed"]


def test_prompts_without_any_circuit_have_no_edges_to_judge(gradients: Run, tmp_path: Path) -> None:
    names = ("gradients", "gradient_maps", "gradient_checks")
    bare = {(name, None): lambda _: None for name in names}
    one = rewritten(gradients, tmp_path / "one", bare)
    two = rewritten(gradients, tmp_path / "two", bare)
    found = compare(one, two)
    assert not any("edge" in prompt.not_compared for prompt in found.prompts)
    assert states(found, two, "edge > 0.3", "edges.lost > 0") == ["missing", "missing"]


def test_a_prompt_of_other_tokens_is_another_prompt(gradients: Run, tmp_path: Path) -> None:
    def longer(row: dict[str, Any]) -> dict[str, Any]:
        more = {"tokens": [*row["tokens"], 300], "counted": [*row["counted"], True]}
        return {**row, **more} if row["prompt"] == 1 else row

    two = rewritten(gradients, tmp_path / "two", {("prompts", None): with_rows(longer)})
    found = compare(gradients, two)
    assert [prompt.slug for prompt in found.prompts] == ["prompt-0", "prompt-2"]
    assert found.prompts_added == found.prompts_removed == ("prompt-1",)


def test_links_and_scores_of_graphs(graph: Run, tmp_path: Path) -> None:
    same = compare(graph, graph)
    assert [prompt.slug for prompt in same.prompts] == ["first", "second"]
    assert not any(prompt.edges for prompt in same.prompts)
    links = graph.table("graph_links").to_pylist()
    strongest = max((r for r in links if r["prompt"] == 0), key=lambda r: abs(r["weight"]))

    def weaker(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "weight": row["weight"] / 2} if row == strongest else row

    alter = {
        ("graph_links", None): with_rows(weaker),
        ("graphs", None): with_rows(lambda r: {**r, "completeness": r["completeness"] - 0.1}),
    }
    first, second = compare(graph, rewritten(graph, tmp_path / "two", alter)).prompts
    (edge,) = first.edges
    assert (edge.kind, edge.change) == ("graph", "weight")
    assert edge.size == pytest.approx(0.5)
    assert not second.edges
    assert [v.metric for v in second.values if v.changed] == ["graph.completeness"]


def test_a_graph_of_one_side_only_is_said(graph: Run, tmp_path: Path) -> None:
    names = ("graphs", "graph_nodes", "graph_links", "graph_checks")
    two = rewritten(graph, tmp_path / "two", {(name, None): lambda _: None for name in names})
    first = compare(graph, two).prompts[0]
    assert "no graph" in first.not_compared["edge"]
    found = compare(graph, two)
    assert states(found, two, "edges.lost > 0", "edge > 0.3") == ["missing", "missing"]
    assert "does not have it" in first.not_compared["graph.replacement"]
