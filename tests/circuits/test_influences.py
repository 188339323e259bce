"""Influences: each against the slow definition, and all together what they should sum to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from saereport.circuits.active import Active, active_of
from saereport.circuits.attribution.components import components
from saereport.circuits.attribution.influences import (
    earlier_saes,
    influence_table,
    routes_of,
    stage_written,
    strongest_influences,
    write_vectors,
)
from saereport.circuits.attribution.reads import on_residual, targets_of
from saereport.circuits.frozen import FrozenRun, freeze_batch
from saereport.sources.hooks import parse_hook
from saereport.sources.models import LanguageModel
from saereport.sources.saes.sae import Sae
from tests.circuits.slow_attribution import Slow, array
from tests.circuits.test_frozen import KINDS, model_of
from tests.factories import tiny_tokens

Make = Callable[..., Sae]
EARLY = (
    ("transcoder", "blocks.0.mlp.hook_in"),
    ("standard", "blocks.1.attn.hook_z"),
    ("standard", "blocks.1.hook_resid_pre"),
)
LATE = ("blocks.2.ln2.hook_normalized", "blocks.2.hook_resid_post", "blocks.2.attn.hook_z")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], LanguageModel]:
    made: dict[str, LanguageModel] = {}

    def get(kind: str) -> LanguageModel:
        if kind not in made:
            made[kind] = model_of(kind, tmp_path_factory.mktemp(kind))
        return made[kind]

    return get


def sae_at(make: Make, model: LanguageModel, name: str, architecture: str) -> Sae:
    width = model.width(parse_hook(name))
    options = {"d_out": model.d_model} if architecture == "transcoder" else {}
    return make(architecture, hook_name=name, d_in=width, d_sae=24, seed=len(name), **options)


def frozen(model: LanguageModel, saes: list[Sae], length: int = 10) -> FrozenRun:
    tokens = tiny_tokens(1, length, seed=4)
    reads = list(dict.fromkeys(sae.hook_in.name for sae in saes))
    return freeze_batch(model, tokens, n_layers=model.n_layers, reads=reads)[0]


def counted(run: FrozenRun) -> torch.Tensor:
    return torch.arange(len(run.tokens)) > 0


def activations(run: FrozenRun, sae: Sae) -> torch.Tensor:
    return sae.encode(run.acts[sae.hook_in.name])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("late_name", LATE)
@pytest.mark.parametrize(("architecture", "early_name"), EARLY)
def test_every_influence_is_what_the_slow_definition_says(
    kind: str,
    late_name: str,
    architecture: str,
    early_name: str,
    models: Callable[[str], LanguageModel],
    tiny_sae: Make,
) -> None:
    model = models(kind)
    early = sae_at(tiny_sae, model, early_name, architecture)
    late = sae_at(tiny_sae, model, late_name, "standard")
    run = frozen(model, [early, late])
    hook = late.hook_in
    targets = targets_of(late, run.acts[hook.name], torch.tensor([6, 9]), torch.tensor([2, 20]))
    f = activations(run, early)
    found = strongest_influences(run, hook, targets, {7: (early, f)}, counted(run), 10**6)

    slow = Slow(model, run.tokens)
    first = {"blocks.0.mlp.hook_in": 1, "blocks.1.attn.hook_z": 2, "blocks.1.hook_resid_pre": 1}
    last = {"hook_normalized": 1 if slow.parallel else 2, "hook_resid_post": 2}
    end = last.get(late_name.rpartition(".")[2], 2)
    routes = [(-1, -1)] if hook.kind != "z" else []
    layers = range(first[early_name], end + 1) if hook.kind != "z" else [2]
    routes += [(la, h) for la in layers for h in range(model.n_heads)]
    for i in range(2):
        position, latent = int(targets.positions[i]), int(targets.latents[i])
        encoder = array(late.W_enc[:, latent])
        expected = {}
        for source in range(1, position + 1):
            for unit in f[source].nonzero().squeeze(-1).tolist():
                x = slow.written(early, source, unit, float(f[source, unit]))
                for layer, head in routes:
                    value = slow.influence(hook, encoder, position, source, layer, head, x)
                    if value:
                        expected[layer, head, source, unit] = value
        mine = found[i]
        assert (mine.early == 7).all()
        keys = list(zip(mine.layer, mine.head, mine.source, mine.latent, strict=True))
        assert len(keys) > (20 if len(routes) > 1 else 2)
        assert len(set(keys)) == len(keys)
        assert set(keys) == set(expected)
        size = np.abs(mine.value)
        assert (np.diff(size) <= 0).all()
        for key, value in zip(keys, mine.value, strict=True):
            assert value == pytest.approx(expected[key], rel=2e-3, abs=1e-5)


@pytest.mark.parametrize("normalize", ["layer_norm", "constant_norm_rescale"])
def test_what_normalising_saes_write_is_in_the_streams_own_units(
    normalize: str, tiny: LanguageModel, tiny_sae: Make
) -> None:
    """Latents and the decoder's bias, each in the stream's units, are the reconstruction."""
    sae = tiny_sae("jumprelu", hook_name="blocks.1.hook_resid_pre", normalize_activations=normalize)
    run = frozen(tiny, [sae])
    a = run.acts["blocks.1.hook_resid_pre"]
    events = everything(run, sae)
    vectors = write_vectors(run, sae, events)
    assert vectors is not None
    bias = sae.decode(torch.zeros(len(a), sae.d_sae), a)
    total = bias.index_add(0, events.positions, vectors)
    torch.testing.assert_close(total, sae.loaded(a).detach(), rtol=1e-4, atol=1e-4)
    assert (bias - total).norm() > 1


def everything(run: FrozenRun, sae: Sae) -> Active:
    return active_of(activations(run, sae), torch.ones(len(run.tokens), dtype=torch.bool))


def test_direct_influences_errors_and_biases_are_the_mlps_component(
    tiny: LanguageModel, tiny_sae: Make
) -> None:
    early = sae_at(tiny_sae, tiny, "blocks.1.ln2.hook_normalized", "transcoder")
    late = sae_at(tiny_sae, tiny, "blocks.2.mlp.hook_in", "standard")
    run = frozen(tiny, [early, late])
    hook = late.hook_in
    targets = targets_of(late, run.acts[hook.name], torch.tensor([4, 8]), torch.tensor([1, 6]))
    f = activations(run, early)
    direct = torch.zeros(2)
    found = strongest_influences(run, hook, targets, {0: (early, f)}, counted(run), 10**6)
    for i, influences in enumerate(found):
        direct[i] = float(influences.value[influences.layer < 0].sum())
    c, _ = on_residual(run, hook, targets)
    decoded = early.loaded.decode(f)[targets.positions]
    error = run.layers[1].mlp_add[targets.positions] - decoded
    rest = ((error + early.loaded.b_dec.detach()) * c).sum(dim=1)
    component = components(run, hook, targets).mlps[:, 1]
    assert direct.abs().min() > 1e-3
    assert torch.allclose(direct + rest, component, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("late_name", ["blocks.2.ln2.hook_normalized", "blocks.2.attn.hook_z"])
def test_all_that_a_head_moves_is_the_heads_component(
    late_name: str, tiny: LanguageModel, tiny_sae: Make
) -> None:
    """Latents at every source, the error and bias at every source, and all before: the head."""
    early = sae_at(tiny_sae, tiny, "blocks.1.ln2.hook_normalized", "transcoder")
    late = sae_at(tiny_sae, tiny, late_name, "standard")
    run = frozen(tiny, [early, late])
    hook = late.hook_in
    targets = targets_of(late, run.acts[hook.name], torch.tensor([4, 8]), torch.tensor([1, 6]))
    stage = stage_written(parse_hook("blocks.1.hook_mlp_out"), parallel=False)
    assert stage == 4
    routes = routes_of(run, hook, targets, stage)
    events = everything(run, early)
    vectors = write_vectors(run, early, events)
    assert vectors is not None
    of_latents = influence_table(routes, events.positions, vectors).sum(dim=2)
    decoded = activations(run, early) @ early.W_dec
    everywhere = torch.arange(len(run.tokens))
    # The error with the bias, the other MLP and both attentions, and the embedding.
    parts = [run.layers[1].mlp_add - decoded, run.layers[0].mlp_add, run.embedded]
    parts += [layer.attn_add for layer in run.layers[:2]]
    of_rest = sum(influence_table(routes, everywhere, part).sum(dim=2) for part in parts)
    heads = routes.heads >= 0
    assert int(heads.sum()) == tiny.n_heads
    slow = Slow(tiny, run.tokens)
    for i, position in enumerate(targets.positions.tolist()):
        encoder = array(late.W_enc[:, targets.latents[i]])
        for h in range(tiny.n_heads):
            if hook.kind == "z":
                expected = sum(
                    slow.influence(hook, encoder, position, s, 2, h, slow.pre(2)[s])
                    for s in range(position + 1)
                )
            else:
                expected = slow.head_component(hook, encoder, 2, h, position)
            total = (of_latents + of_rest)[i, heads][h]
            assert float(total) == pytest.approx(float(expected), rel=1e-3, abs=1e-4)


def test_the_strongest_are_kept_and_ties_are_told_apart(
    tiny: LanguageModel, tiny_sae: Make
) -> None:
    early = sae_at(tiny_sae, tiny, "blocks.1.hook_resid_pre", "standard")
    late = sae_at(tiny_sae, tiny, "blocks.2.ln2.hook_normalized", "standard")
    run = frozen(tiny, [early, late])
    hook = late.hook_in
    targets = targets_of(late, run.acts[hook.name], torch.tensor([9]), torch.tensor([6]))
    f = activations(run, early)
    # The same SAE twice: every influence ties with its twin.
    twins = {3: (early, f), 1: (early, f)}
    (whole,) = strongest_influences(run, hook, targets, twins, counted(run), 10**6)
    (few,) = strongest_influences(run, hook, targets, twins, counted(run), 7)
    assert len(few) == 7
    for name in ("early", "layer", "head", "source", "latent", "value"):
        assert (getattr(few, name) == getattr(whole, name)[:7]).all()
    assert few.early.tolist() == [1, 3, 1, 3, 1, 3, 1]
    assert (whole.source > 0).all()
    (with_bos,) = strongest_influences(
        run, hook, targets, twins, torch.ones(10, dtype=torch.bool), 10**6
    )
    assert (with_bos.source == 0).any()


def test_chunks_of_events_change_nothing(
    tiny: LanguageModel, tiny_sae: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = sae_at(tiny_sae, tiny, "blocks.1.hook_resid_pre", "standard")
    late = sae_at(tiny_sae, tiny, "blocks.2.ln2.hook_normalized", "standard")
    run = frozen(tiny, [early, late])
    hook = late.hook_in
    targets = targets_of(late, run.acts[hook.name], torch.tensor([7, 9]), torch.tensor([6, 2]))
    source = {0: (early, activations(run, early))}
    whole = strongest_influences(run, hook, targets, source, counted(run), 9)
    monkeypatch.setattr("saereport.circuits.attribution.influences._CHUNK", 100)
    parts = strongest_influences(run, hook, targets, source, counted(run), 9)
    for a, b in zip(whole, parts, strict=True):
        assert a.latent.tolist() == b.latent.tolist()
        assert a.source.tolist() == b.source.tolist()
        assert np.allclose(a.value, b.value, rtol=1e-5)


def test_which_saes_are_earlier(tiny: LanguageModel, tiny_sae: Make) -> None:
    names = {
        "blocks.0.mlp.hook_in": "transcoder",
        "blocks.1.attn.hook_z": "standard",
        "blocks.1.ln2.hook_normalized": "transcoder",
        "blocks.1.hook_mlp_in": "standard",
        "blocks.1.hook_attn_out": "standard",
        "blocks.2.hook_resid_pre": "standard",
    }
    saes = [sae_at(tiny_sae, tiny, name, kind) for name, kind in names.items()]

    def earlier(name: str, *, parallel: bool = False) -> list[str]:
        found = earlier_saes(saes, parse_hook(name), parallel=parallel)
        return [sae.hook_in.name for sae in found]

    attention = ["blocks.1.attn.hook_z", "blocks.1.hook_attn_out"]
    assert earlier("blocks.0.ln2.hook_normalized") == []
    assert earlier("blocks.1.attn.hook_z") == ["blocks.0.mlp.hook_in"]
    assert earlier("blocks.1.mlp.hook_in") == ["blocks.0.mlp.hook_in", *attention]
    # Beside one another, neither reads what the other writes.
    assert earlier("blocks.1.mlp.hook_in", parallel=True) == ["blocks.0.mlp.hook_in"]
    everything = [name for name in names if name != "blocks.1.hook_mlp_in"]
    assert sorted(earlier("blocks.2.attn.hook_z")) == sorted(everything)
    assert "blocks.2.hook_resid_pre" not in earlier("blocks.2.hook_resid_pre")
