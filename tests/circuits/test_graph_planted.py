"""Graph and gradients find the circuit that was put into a model by hand, and nothing stronger."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from saereport.circuits.gradients.maps import MapLimits, latents_to_latents
from saereport.circuits.graph.building import Graph, GraphSettings, build_graph, graph_tables
from saereport.sources.forward import forward
from tests.circuits.planted import V, bigram, planted_model, planted_transcoders

SETTINGS = GraphSettings(
    max_latents=1000,
    max_logits=5,
    logit_share=0.95,
    node_threshold=0.8,
    edge_threshold=0.98,
    checks=10,
    memory=2**26,
)
TOKENS = torch.tensor([0, 1, 2, 3, 1])
COUNTED = TOKENS != 0
AND, SAME = f"0_{bigram(1, 2)}_2", "1_2_4"
NORMED = (48 / 5) ** 0.5
"""What a 1 among five is after the norm."""


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    model = planted_model()
    saes = planted_transcoders(model, tmp_path_factory.mktemp("planted"))
    return build_graph(model, saes, TOKENS, COUNTED, SETTINGS)


def test_the_model_does_what_it_was_made_for() -> None:
    model = planted_model()
    logits = forward(model, torch.tensor([[0, 5, 3, 7, 2, 5], [0, 1, 2, 3, 4, 3]]), logits=True)
    assert logits.logits is not None
    assert logits.logits[:, -1].argmax(dim=-1).tolist() == [3, 4]


def metric_with(ones: int) -> float:
    """The logit less the mean, if so many ones stand before the MLP of layer 1."""
    written = (48 / ones) ** 0.5 - 1.5
    after = (48 / (ones + written**2)) ** 0.5
    return 4 * written * after * (1 - 1 / V)


def test_the_graph_is_the_planted_circuit(graph: Graph) -> None:
    tables = graph_tables(graph)
    nodes, links = tables["graph_nodes"], tables["graph_links"]
    found = {
        (nodes["id"][s], nodes["id"][t]): float(w)
        for s, t, w in zip(links["source"], links["target"], links["weight"], strict=True)
    }
    o = found.pop((SAME, "3_2_4"))
    assert found == {
        ("E_1_1", AND): pytest.approx(4),
        ("E_2_2", AND): pytest.approx(4),
        (AND, SAME): pytest.approx(NORMED),
    }
    assert o == pytest.approx(metric_with(5))
    assert tables["graphs"]["replacement"][0] == pytest.approx(1)
    assert tables["graphs"]["completeness"][0] == pytest.approx(1)
    assert tables["graphs"]["n_active"] == [4]


def test_interventions_say_the_same(graph: Graph) -> None:
    tables = graph_tables(graph)
    nodes, checks = tables["graph_nodes"], tables["graph_checks"]
    rank = [nodes["id"][s] for s in checks["source"]].index(AND)
    assert nodes["id"][checks["target"][rank]] == SAME
    for column, value in (("direct", NORMED), ("predicted", -NORMED), ("measured", -NORMED)):
        assert checks[column][rank] == pytest.approx(value)
    metric = graph.metric
    assert metric.model == pytest.approx(metric_with(5))
    # The bigram latent of the last position is not in the graph; without it the norm is smaller.
    assert metric.inside == pytest.approx(metric_with(4))
    assert metric.outside == pytest.approx(0, abs=1e-9)
    assert metric.none == pytest.approx(0, abs=1e-9)


def test_the_gradient_is_strongest_where_it_was_planted(tmp_path: Path) -> None:
    model = planted_model()
    early, late = planted_transcoders(model, tmp_path)
    found = latents_to_latents(model, early, late, TOKENS, COUNTED, MapLimits(None, None, 2**26))
    late_at, early_at = divmod(int(found.values.abs().argmax()), len(found.early))
    assert (int(found.early.latents[early_at]), int(found.early.positions[early_at])) == (
        bigram(1, 2),
        2,
    )
    assert (int(found.late.latents[late_at]), int(found.late.positions[late_at])) == (2, 4)
