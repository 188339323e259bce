"""Whole graphs: tables, limits, what is refused, interventions, and the demo model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from saereport.circuits.graph.building import Graph, GraphSettings, build_graph, graph_tables
from saereport.circuits.graph.scores import LATENT, LOGIT
from saereport.run.columns import to_arrow
from saereport.run.tables.graphs import GRAPH_TABLES
from saereport.sources.forward import forward
from saereport.sources.model_loading import load_model
from saereport.sources.models import LanguageModel
from saereport.sources.saes.sae import Sae
from saereport.util.errors import SaereportError
from tests.factories import tiny_tokens

SETTINGS = GraphSettings(
    max_latents=4096,
    max_logits=4,
    logit_share=0.95,
    node_threshold=0.9,
    edge_threshold=0.98,
    checks=8,
    memory=2**27,
)
TOKENS = tiny_tokens(1, 7)[0]
COUNTED = torch.arange(7) > 0
MLP = {"hook_name": "blocks.1.ln2.hook_normalized", "seed": 1}
LATE = {"hook_name": "blocks.2.hook_resid_mid", "seed": 2}
Z = {"hook_name": "blocks.1.attn.hook_z", "seed": 3}

Make = Callable[..., Sae]


@pytest.fixture(scope="module")
def saes(tiny_sae: Make) -> list[Sae]:
    return [
        tiny_sae("transcoder", **LATE),
        tiny_sae("standard", **Z),
        tiny_sae("transcoder", **MLP),
    ]


@pytest.fixture(scope="module")
def graph(tiny: LanguageModel, saes: list[Sae]) -> Graph:
    return build_graph(tiny, saes, TOKENS, COUNTED, SETTINGS)


def test_tables_fit_the_schema(graph: Graph) -> None:
    tables = graph_tables(graph)
    assert list(tables) == [table.name for table in GRAPH_TABLES]
    for table in GRAPH_TABLES:
        columns = tables[table.name]
        n = len(next(iter(columns.values())))
        arrow = to_arrow(table, {"prompt": np.zeros(n, dtype=np.int32), **columns})
        assert arrow.num_rows == n > 0
    nodes, links, row = tables["graph_nodes"], tables["graph_links"], tables["graphs"]
    assert len(set(nodes["id"])) == len(nodes["id"]) == row["n_nodes"][0]
    assert len(links["weight"]) == row["n_links"][0]
    assert set(nodes["kind"]) == {"embedding", "latent", "error", "logit"}
    assert list(row["saes"][0]) == list(graph.slugs)
    pairs = list(zip(links["target"], links["source"], strict=True))
    assert pairs == sorted(set(pairs))


def test_names_of_nodes(graph: Graph) -> None:
    nodes = graph_tables(graph)["graph_nodes"]
    z = graph.slugs[list(graph.plain_ids).index(False)]
    for place, kind in enumerate(nodes["kind"]):
        latent, position = int(nodes["latent"][place]), int(nodes["position"][place])
        layer, sae = int(nodes["layer"][place]), nodes["sae"][place]
        start = {"embedding": "E", "logit": "4"}.get(kind, f"{z}:" if sae == z else str(layer))
        joined = f"{start}{'' if start.endswith(':') else '_'}{latent}_{position}"
        assert nodes["id"][place] == joined
        assert (latent == -1) == (kind == "error")


def test_equal_inputs_give_equal_tables_whatever_the_order(
    graph: Graph, tiny: LanguageModel, saes: list[Sae]
) -> None:
    again = graph_tables(build_graph(tiny, saes[::-1], TOKENS, COUNTED, SETTINGS))
    for name, columns in graph_tables(graph).items():
        for column, values in columns.items():
            assert np.array_equal(np.asarray(again[name][column]), np.asarray(values)), column


def test_little_memory_changes_nothing_but_the_batches(
    graph: Graph, tiny: LanguageModel, saes: list[Sae]
) -> None:
    small = build_graph(tiny, saes, TOKENS, COUNTED, replace(SETTINGS, memory=1))
    np.testing.assert_allclose(
        small.effects.weights.toarray(), graph.effects.weights.toarray(), atol=1e-5
    )


def test_latents_beyond_the_limit_are_left_out_by_influence(
    graph: Graph, tiny: LanguageModel, saes: list[Sae]
) -> None:
    assert graph.effects.left_out == 0
    told: list[int] = []
    limited = replace(SETTINGS, max_latents=40)
    few = build_graph(tiny, saes, TOKENS, COUNTED, limited, advance=told.append)
    latents = few.effects.nodes.kinds == LATENT
    assert (latents & few.effects.expanded).sum() == sum(told) == 40
    assert 0 < few.effects.left_out < 1
    # Those with a row have more influence, on average, than the others.
    held = few.pruned.held
    assert (
        held[latents & few.effects.expanded].mean() < held[latents & ~few.effects.expanded].mean()
    )
    rows = few.effects.expanded
    np.testing.assert_allclose(
        few.effects.weights[rows].toarray(), graph.effects.weights[rows].toarray(), atol=1e-5
    )
    kept = few.pruned.nodes & latents
    assert few.effects.expanded[kept].all()


def test_measured_changes_are_those_of_the_true_model(
    graph: Graph, tiny: LanguageModel, saes: list[Sae]
) -> None:
    nodes, checks = graph.effects.nodes, graph.checks
    assert len(checks.sources) == SETTINGS.checks
    assert {int(kind) for kind in nodes.kinds[checks.targets]} == {LATENT, LOGIT}
    by_slug = {sae.slug: sae for sae in saes}

    def read(edits: dict[str, Any], target: int) -> float:
        if nodes.kinds[target] == LOGIT:
            found = forward(tiny, TOKENS[None], edits=edits, logits=True).logits
            assert found is not None
            row = found[0, -1]
            return float(row[nodes.latents[target]] - row.mean())
        sae = by_slug[graph.slugs[nodes.parts[target]]]
        name = sae.hook_in.name
        a = forward(tiny, TOKENS[None], edits=edits, reads=[name]).acts[name]
        x = sae.loaded.process_sae_in(a[0, nodes.positions[target]])
        latent = nodes.latents[target]
        return float(x @ sae.loaded.W_enc[:, latent] + sae.loaded.b_enc[latent])

    for source, target, measured in zip(
        checks.sources, checks.targets, checks.measured, strict=True
    ):
        sae = by_slug[graph.slugs[nodes.parts[source]]]

        def drop(a: Tensor, sae: Sae = sae, source: int = source) -> Tensor:
            a = a.clone()
            row = sae.loaded.W_dec[nodes.latents[source]]
            a[0, nodes.positions[source]] -= float(nodes.activations[source]) * row
            return a

        writes = sae.write_point.name
        change = read({writes: drop}, int(target)) - read({}, int(target))
        assert measured == pytest.approx(change, rel=1e-3, abs=1e-4)


def test_a_graph_of_everything_is_the_model(tiny: LanguageModel, saes: list[Sae]) -> None:
    everything = replace(SETTINGS, node_threshold=1.0, edge_threshold=1.0)
    whole = build_graph(tiny, saes, TOKENS, COUNTED, everything)
    metric = whole.metric
    # What has no path to the logits is not in the graph, and does nothing.
    assert metric.inside == pytest.approx(metric.model, rel=1e-3)
    assert abs(metric.none - metric.model) > 0.01

    def without(sae: Sae) -> Callable[[Tensor], Tensor]:
        names = [sae.hook_in.name, sae.write_point.name]
        acts = forward(tiny, TOKENS[None], reads=names).acts
        f = sae.encode(acts[names[0]]) * COUNTED[:, None]
        left = acts[names[1]] - f @ sae.W_dec
        return lambda a: torch.where(COUNTED[:, None], left, a)

    edits = {sae.write_point.name: without(sae) for sae in saes}
    logits = forward(tiny, TOKENS[None], edits=edits, logits=True).logits
    assert logits is not None
    row = logits[0, -1]
    token = whole.effects.nodes.latents[whole.effects.nodes.kinds == LOGIT][0]
    assert metric.none == pytest.approx(float(row[token] - row.mean()), rel=1e-4)


def test_what_cannot_take_part_is_named_with_the_reason(
    tiny: LanguageModel, tiny_sae: Make, saes: list[Sae]
) -> None:
    output = tiny_sae("standard", hook_name="blocks.1.hook_mlp_out")
    second = tiny_sae("transcoder", **{**LATE, "seed": 9})
    found = build_graph(tiny, [*saes, output, second], TOKENS, COUNTED, SETTINGS)
    assert len(found.slugs) == 3
    assert "not linear" in found.refused[output.slug]
    assert "already explains" in next(r for s, r in found.refused.items() if s != output.slug)
    with pytest.raises(SaereportError, match=r"No SAE can take part.*not linear"):
        build_graph(tiny, [output], TOKENS, COUNTED, SETTINGS)
    with pytest.raises(SaereportError, match="none was named"):
        build_graph(tiny, [], TOKENS, COUNTED, SETTINGS)


def test_a_prompt_without_active_latents_has_errors_only(
    tiny: LanguageModel, saes: list[Sae]
) -> None:
    found = build_graph(tiny, saes, TOKENS, torch.zeros(7, dtype=torch.bool), SETTINGS)
    tables = graph_tables(found)
    assert tables["graphs"]["n_active"] == [0]
    assert "latent" not in tables["graph_nodes"]["kind"]
    assert len(tables["graph_checks"]["rank"]) == 0


def test_both_wrappers_agree(hub: dict[str, str], tiny_sae: Make) -> None:
    settings = replace(SETTINGS, node_threshold=1.0, edge_threshold=1.0)
    saes = [
        tiny_sae("transcoder", hook_name="blocks.3.ln2.hook_normalized", d_in=96),
        tiny_sae("standard", hook_name="blocks.4.attn.hook_z", d_in=96),
        tiny_sae("standard", hook_name="blocks.6.hook_resid_pre", d_in=96),
    ]
    found = []
    for wrapper in ("HookedTransformer", "TransformerBridge"):
        model = load_model("gpt2-small", kwargs={"fold_ln": True}, wrapper=wrapper)
        found.append(build_graph(model, saes, TOKENS, COUNTED, settings))
    one, two = found
    assert np.array_equal(one.effects.nodes.latents, two.effects.nodes.latents)
    np.testing.assert_allclose(
        one.effects.weights.toarray(), two.effects.weights.toarray(), atol=2e-4
    )
    assert one.metric.inside == pytest.approx(two.metric.inside, rel=1e-3)


@pytest.mark.model
def test_the_demo_model(demo_model: LanguageModel) -> None:
    from saereport.sources.demo import demo_saes
    from saereport.sources.saes.loading import load_sae
    from saereport.sources.saes.source import SaeSource

    saes = [
        load_sae(SaeSource(path=str(path)))
        for name, path in demo_saes().items()
        if "transcoder" in name
    ]
    text = "The Eiffel tower is in the city of"
    ids = demo_model.tokenizer.encode(text, add_special_tokens=False)
    tokens = torch.tensor([demo_model.bos_id, *ids])
    settings = replace(SETTINGS, max_logits=10, node_threshold=0.8, memory=2**30)
    found = build_graph(demo_model, saes, tokens, tokens != demo_model.bos_id, settings)
    nodes, effects = found.effects.nodes, found.effects
    sums = np.asarray(effects.weights.sum(axis=1)).ravel() + effects.constants
    rows = effects.expanded & (nodes.kinds == LATENT)
    assert rows.sum() > 500
    # Float32 through up to 14 layers, sums of a thousand terms: a hundred times less than this.
    np.testing.assert_allclose(sums[rows], nodes.activations[rows], rtol=1e-3, atol=1e-4)
    logits = np.flatnonzero(nodes.kinds == LOGIT)
    paris = demo_model.tokenizer.encode(" Paris", add_special_tokens=False)[0]
    assert nodes.latents[logits[0]] == paris
    out = forward(demo_model, tokens[None], logits=True).logits
    assert out is not None
    centred = (out[0, -1] - out[0, -1].mean())[nodes.latents[logits]]
    np.testing.assert_allclose(sums[logits], centred.numpy(), rtol=1e-3)
