"""Direct effects sum to pre-activations and logits, and are those of a dense frozen model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from saereport.circuits.graph.effects import Effects, find_effects
from saereport.circuits.graph.scene import GraphSettings, Scene, make_scene
from saereport.circuits.graph.scores import EMBEDDING, LATENT, LOGIT
from saereport.sources.model_loading import load_model
from saereport.sources.models import HookedModel, LanguageModel
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.sae import Sae
from saereport.sources.saes.source import SaeSource
from tests.circuits.graph_dense import Key, dense_graph
from tests.factories import save_hf_model, save_sae, tiny_hooked, tiny_tokens, word_tokenizer

SETTINGS = GraphSettings(
    max_latents=10_000,
    max_logits=3,
    logit_share=0.95,
    node_threshold=0.8,
    edge_threshold=0.98,
    checks=4,
    memory=2**28,
)
MLP = {"hook_name": "blocks.1.ln2.hook_normalized", "seed": 1}
LATE = {"hook_name": "blocks.2.hook_resid_mid", "seed": 2}
MLP_IN = {"hook_name": "blocks.2.mlp.hook_in", "seed": 2}
Z = {"hook_name": "blocks.1.attn.hook_z", "seed": 3}
MID = {"hook_name": "blocks.1.hook_resid_mid", "seed": 4}
POST = {"hook_name": "blocks.0.hook_resid_post", "seed": 5}
ATTENTION = {"hook_name": "blocks.2.hook_attn_out", "seed": 6}

SETS = {
    "transcoders": [("transcoder", MLP), ("jumprelu_transcoder", LATE)],
    "skip": [("skip_transcoder", MLP), ("jumprelu_skip_transcoder", LATE)],
    "z": [("standard", Z), ("transcoder", LATE)],
    "cut": [("standard", POST), ("transcoder", MLP), ("standard", MID), ("transcoder", LATE)],
    "attention": [("standard", ATTENTION), ("transcoder", MLP)],
    "both": [("standard", Z), ("standard", {**ATTENTION, "hook_name": "blocks.1.hook_attn_out"})],
    "all": [
        ("standard", Z),
        ("jumprelu", MID),
        ("standard", POST),
        ("standard", ATTENTION),
        ("skip_transcoder", MLP),
        ("transcoder", LATE),
    ],
}
"""SAEs that take part together."""

Make = Callable[..., Sae]


def double_model(**changes: object) -> HookedModel:
    """The tiny model in float64."""
    model = tiny_hooked(**changes).double()
    model.cfg.dtype = torch.float64
    model.tokenizer = word_tokenizer(model.cfg.d_vocab)
    return HookedModel(model, name="tiny", device=torch.device("cpu"), dtype=torch.float64)


@pytest.fixture(scope="module")
def double_sae(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Makes an SAE in float64."""

    def make(architecture: str, **options: object) -> Sae:
        name = f"{architecture}-{str(options['hook_name']).replace('.', '-').replace('_', '-')}"
        folder = tmp_path_factory.mktemp("double") / name
        path = save_sae(folder, architecture, **options)
        return load_sae(SaeSource(path=str(path)), dtype=torch.float64)

    return make


def prompt(length: int = 6) -> tuple[Tensor, Tensor]:
    tokens = tiny_tokens(1, length)[0]
    return tokens, torch.arange(length) > 0


def sums(effects: Effects) -> np.ndarray:
    """What reaches each node, biases included."""
    return np.asarray(effects.weights.sum(axis=1)).ravel() + effects.constants


def assert_exact(scene: Scene, effects: Effects, rtol: float = 1e-4) -> None:
    """Every expanded latent's activation and every logit is the sum of what it receives."""
    nodes = effects.nodes
    latents = effects.expanded & (nodes.kinds == LATENT)
    assert latents.sum() > 10
    np.testing.assert_allclose(
        sums(effects)[latents], nodes.activations[latents], rtol=rtol, atol=rtol * 1e-2
    )
    logits = nodes.kinds == LOGIT
    expected = scene.logits.values.double().numpy()
    np.testing.assert_allclose(sums(effects)[logits], expected, rtol=rtol)


@pytest.mark.parametrize("chosen", SETS)
def test_effects_are_those_of_a_dense_frozen_model(chosen: str, double_sae: Make) -> None:
    model = double_model()
    saes = [double_sae(architecture, **options) for architecture, options in SETS[chosen]]
    tokens, counted = prompt()
    scene = make_scene(model, saes, tokens, counted, SETTINGS)
    assert not scene.refused
    effects = find_effects(scene, SETTINGS)
    assert_exact(scene, effects)
    dense = dense_graph(model.model, saes, tokens, counted, scene.logits.tokens)
    names = [node_key(scene, effects, node) for node in range(len(effects.nodes))]
    places = {name: node for node, name in enumerate(names)}
    targets = np.flatnonzero(effects.expanded)
    assert {names[node] for node in targets} <= set(dense.targets)
    rows = [dense.targets.index(names[node]) for node in targets]
    columns = [places[source] for source in dense.sources]
    found = effects.weights[targets].toarray()
    others = np.setdiff1d(np.arange(len(names)), columns)
    assert not found[:, others].any()
    scale = np.abs(dense.effects).max(axis=1)[rows]
    off = np.abs(found[:, columns] - dense.effects[rows]) / scale[:, None]
    assert off.max() < 1e-5
    np.testing.assert_allclose(sums(effects)[targets], dense.values[rows], rtol=1e-4)


def node_key(scene: Scene, effects: Effects, node: int) -> Key:
    """A node's name in the dense graph."""
    nodes = effects.nodes
    part, kind, layer = nodes.parts[node], nodes.kinds[node], nodes.layers[node]
    name = scene.parts[part].sae.slug if part >= 0 else f"mlp {layer}"
    name = {EMBEDDING: "embedding", LOGIT: "logit"}.get(int(kind), name)
    return name, int(nodes.latents[node]), int(nodes.positions[node])


@pytest.mark.parametrize("architecture", ["gated", "topk", "standard", "jumprelu"])
@pytest.mark.parametrize("normalize", ["none", "layer_norm", "constant_norm_rescale"])
def test_sums_for_every_kind_of_sae(architecture: str, normalize: str, double_sae: Make) -> None:
    saes = [
        double_sae(architecture, **POST, normalize_activations=normalize),
        double_sae(architecture, **MID, normalize_activations=normalize),
    ]
    tokens, counted = prompt()
    scene = make_scene(double_model(), saes, tokens, counted, SETTINGS)
    assert_exact(scene, find_effects(scene, SETTINGS))


@pytest.mark.parametrize("kind", ["hooked-rms", "gpt2", "llama", "neox", "gemma2"])
def test_sums_for_every_kind_of_model(
    kind: str, tmp_path: Path, double_sae: Make, tiny_sae: Make
) -> None:
    tokens, counted = prompt()
    model: LanguageModel
    if kind == "hooked-rms":
        rotary = {"positional_embedding_type": "rotary", "rotary_dim": 8}
        model = double_model(normalization_type="RMS", **rotary)
        make, width, z = double_sae, 32, 32
    else:
        model = load_model(str(save_hf_model(tmp_path / kind, kind)))
        make, width, z = tiny_sae, 48, model.n_heads * model.d_head
    saes = [make("standard", **{**Z, "d_in": z})]
    saes.append(make("transcoder", **MLP_IN, d_in=width))
    if kind != "neox":
        saes.append(make("standard", **{**MID, "d_in": width}))
    scene = make_scene(model, saes, tokens, counted, SETTINGS)
    effects = find_effects(scene, SETTINGS)
    assert not scene.refused
    assert_exact(scene, effects, rtol=1e-4 if kind == "hooked-rms" else 2e-3)
