"""Attribution graphs over a cross-layer transcoder: exact, and those of a dense frozen model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from saereport.circuits.graph.building import Graph, build_graph, graph_tables
from saereport.circuits.graph.effects import find_effects
from saereport.circuits.graph.scene import make_scene
from saereport.circuits.graph.scores import ERROR, LATENT, LOGIT
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.sae import Sae
from saereport.sources.saes.source import SaeSource
from saereport.util.errors import SaereportError
from tests.circuits.graph_dense import dense_graph, written_at
from tests.circuits.test_graph_linear import (
    SETTINGS,
    assert_exact,
    double_model,
    node_key,
    prompt,
    sums,
)
from tests.factories import save_clt, save_gemma_scope_set, save_sae


def layers(folder: Path, *numbers: int) -> list[Sae]:
    """Some layers of the transcoder in a folder, in float64."""
    sources = [SaeSource(path=str(folder), sae_id=f"layer_{number}") for number in numbers]
    return [load_sae(source, dtype=torch.float64) for source in sources]


@pytest.fixture(scope="module", params=["hook_resid_mid", "ln2.hook_normalized", "skip"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    jump = request.param == "ln2.hook_normalized"
    place = tmp_path_factory.mktemp("clt") / "clt"
    if request.param == "skip":
        return save_gemma_scope_set(place, cross=True, dtype=torch.float64)
    return save_clt(place, threshold=jump, reads=request.param, dtype=torch.float64)


def skipped(sae: Sae, a: Tensor) -> Tensor:
    """What goes past the latents, by the weights as SAELens holds them."""
    return a @ sae.loaded.W_skip.T if hasattr(sae.loaded, "W_skip") else torch.zeros_like(a)


@pytest.fixture(scope="module")
def residual(tmp_path_factory: pytest.TempPathFactory) -> Sae:
    """An SAE between the layers, which cuts the stream."""
    folder = tmp_path_factory.mktemp("sae") / "between"
    save_sae(folder, "standard", hook_name="blocks.1.hook_resid_post", seed=4)
    return load_sae(SaeSource(path=str(folder)), dtype=torch.float64)


@pytest.mark.parametrize("cut", [False, True])
def test_effects_are_those_of_a_dense_frozen_model(folder: Path, residual: Sae, cut: bool) -> None:
    """By `jacrev` of the true model with patterns, norms and gates put back; sums are exact."""
    model = double_model()
    saes = [*layers(folder, 0, 1, 2), *([residual] if cut else [])]
    tokens, counted = prompt()
    scene = make_scene(model, saes, tokens, counted, SETTINGS)
    assert not scene.refused
    effects = find_effects(scene, SETTINGS)
    assert_exact(scene, effects)
    nodes = effects.nodes
    exact = effects.expanded & (nodes.kinds == LATENT)
    if not cut:  # the SAE's own weights are float32
        np.testing.assert_allclose(sums(effects)[exact], nodes.activations[exact], rtol=1e-9)
    dense = dense_graph(model.model, saes, tokens, counted, scene.logits.tokens)
    names = [node_key(scene, effects, node) for node in range(len(nodes))]
    places = {name: node for node, name in enumerate(names)}
    assert set(dense.sources) | set(dense.targets) == set(names)
    targets = np.flatnonzero(effects.expanded)
    assert {names[node] for node in targets} <= set(dense.targets)
    rows = [dense.targets.index(names[node]) for node in targets]
    columns = [places[source] for source in dense.sources]
    found, expected = effects.weights[targets].toarray()[:, columns], dense.effects[rows]
    scale = np.abs(expected).max(axis=1)[:, None]
    assert (np.abs(found - expected) / scale).max() < 1e-9
    assert {names[node][0] for node in targets} >= {"clt-layer_1", "clt-layer_2", "logit"}


@pytest.fixture(scope="module")
def graph(folder: Path) -> Graph:
    tokens, counted = prompt()
    return build_graph(double_model(), layers(folder, 0, 1, 2), tokens, counted, SETTINGS)


def test_errors_are_what_the_sum_of_the_layers_leaves(folder: Path) -> None:
    model, saes = double_model(), layers(folder, 0, 1, 2)
    tokens, counted = prompt()
    scene = make_scene(model, saes, tokens, counted, SETTINGS)
    _, clean = model.model.run_with_cache(tokens[None])
    for layer, site in enumerate(scene.sites):
        name = f"blocks.{layer}.hook_mlp_out"
        assert (site.hook.name, site.owner) == (name, layer)
        made: Tensor = sum(
            (sae.loaded.encode(clean[sae.hook_in.name][0]) @ rows)
            for sae, rows in written_at(saes, name)
        )
        made = (
            made
            + saes[layer].loaded.b_dec
            + skipped(saes[layer], clean[saes[layer].hook_in.name][0])
        )
        true = clean[name][0]
        torch.testing.assert_close(site.error[counted], (true - made)[counted])
        torch.testing.assert_close(site.error[~counted], true[~counted])


def test_nodes_are_where_they_read_and_have_one_name(graph: Graph) -> None:
    tables = graph_tables(graph)
    nodes = tables["graph_nodes"]
    assert len(set(nodes["id"])) == len(nodes["id"])
    for kind, sae, layer, id_ in zip(
        nodes["kind"], nodes["sae"], nodes["layer"], nodes["id"], strict=True
    ):
        if kind in ("latent", "error"):
            assert sae == f"clt-layer_{layer}"
            assert id_.startswith(f"{layer}_")
    assert tables["graphs"]["saes"] == [["clt-layer_0", "clt-layer_1", "clt-layer_2"]]
    kinds = graph.effects.nodes.kinds
    assert 0 < graph.replacement < 1
    assert 0 < graph.completeness < 1
    assert (kinds == ERROR).sum() == 3 * 6


def run_with(folder: Path, off: set[tuple[int, int, int]], keep: bool) -> Tensor:
    """Logits of the last position with MLPs replaced by the transcoder and its errors.

    Args:
        folder: The transcoder.
        off: Latents `(layer, latent, position)` that are set to zero; or, if `keep`, all others.
        keep: Which.
    """
    model, saes = double_model(), layers(folder, 0, 1, 2)
    tokens, counted = prompt()
    scene = make_scene(model, saes, tokens, counted, SETTINGS)
    found: dict[int, Tensor] = {}
    read: dict[int, Tensor] = {}

    def encode(layer: int):
        def hook(value: Tensor, hook: object) -> None:
            read[layer] = value[0]
            f = saes[layer].loaded.encode(value[0])
            mask = torch.zeros_like(f)
            for where, latent, position in off:
                if where == layer:
                    mask[position, latent] = 1
            found[layer] = f * (mask if keep else 1 - mask)

        return hook

    def put(layer: int):
        def hook(value: Tensor, hook: object) -> Tensor:
            name = f"blocks.{layer}.hook_mlp_out"
            made = sum(found[sae.hook_in.layer] @ rows for sae, rows in written_at(saes, name))
            made = made + saes[layer].loaded.b_dec + scene.sites[layer].error
            made = made + skipped(saes[layer], read[layer])
            return torch.where(counted[:, None], made, value[0])[None]

        return hook

    hooks = [(saes[la].hook_in.name, encode(la)) for la in range(3)]
    hooks += [(f"blocks.{la}.hook_mlp_out", put(la)) for la in range(3)]
    logits = model.model.run_with_hooks(tokens[None], fwd_hooks=hooks)[0, -1]
    return logits - logits.mean()


def test_checks_compute_the_latents_anew(folder: Path, graph: Graph) -> None:
    nodes, checks = graph.effects.nodes, graph.checks
    before = run_with(folder, set(), keep=False)
    seen = 0
    for source, target, measured in zip(
        checks.sources, checks.targets, checks.measured, strict=True
    ):
        if nodes.kinds[target] != LOGIT:
            continue
        seen += 1
        off = {
            (int(nodes.layers[source]), int(nodes.latents[source]), int(nodes.positions[source]))
        }
        change = run_with(folder, off, keep=False) - before
        assert measured == pytest.approx(float(change[nodes.latents[target]]), rel=1e-6)
    assert seen


def test_the_metric_is_of_the_graph_and_of_the_rest(folder: Path, graph: Graph) -> None:
    nodes = graph.effects.nodes
    kept = np.flatnonzero((nodes.kinds == LATENT) & graph.pruned.nodes)
    inside = {(int(nodes.layers[k]), int(nodes.latents[k]), int(nodes.positions[k])) for k in kept}
    token = int(nodes.latents[nodes.kinds == LOGIT][0])
    metric = graph.metric
    assert metric.inside == pytest.approx(float(run_with(folder, inside, keep=True)[token]))
    assert metric.outside == pytest.approx(float(run_with(folder, inside, keep=False)[token]))
    assert metric.none == pytest.approx(float(run_with(folder, set(), keep=True)[token]))


def test_some_layers_are_refused_with_what_is_needed(folder: Path) -> None:
    tokens, counted = prompt()
    with pytest.raises(SaereportError, match=r"has 3 layers, all of which.* lacks 1\b"):
        make_scene(double_model(), layers(folder, 0, 2), tokens, counted, SETTINGS)


@pytest.mark.parametrize(("number", "places"), [(0, 2), (1, 1)])
def test_layers_that_disagree_on_how_many_there_are_are_refused(
    number: int, places: int, tmp_path: Path
) -> None:
    """What one layer would add to a later MLP would be counted as that MLP's error."""
    folder = save_clt(tmp_path / "clt", dtype=torch.float64)
    file, name = folder / f"W_dec_{number}.safetensors", f"W_dec_{number}"
    save_file({name: load_file(file)[name][:, :places].contiguous()}, file)
    tokens, counted = prompt()
    with pytest.raises(SaereportError, match="do not write as far as one another"):
        make_scene(double_model(), layers(folder, 0, 1, 2), tokens, counted, SETTINGS)


def test_a_transcoder_beside_it_is_refused(folder: Path, tmp_path: Path) -> None:
    save_sae(tmp_path / "one", "transcoder", hook_name="blocks.1.hook_resid_mid")
    other = load_sae(SaeSource(path=str(tmp_path / "one")), dtype=torch.float64)
    tokens, counted = prompt()
    saes = [*layers(folder, 0, 1, 2), other]
    scene = make_scene(double_model(), saes, tokens, counted, SETTINGS)
    assert list(scene.refused) == ["one"]
    assert "already explains what is there" in scene.refused["one"]
