"""Pre-activations taken apart sum to what the encoder computes; each part is what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from saereport.circuits.attribution.components import components, head_attribution
from saereport.circuits.attribution.reads import targets_of
from saereport.circuits.frozen import FrozenRun, freeze_batch
from saereport.sources.model_loading import load_model
from saereport.sources.models import LanguageModel
from saereport.sources.saes.sae import Sae
from saereport.util.errors import SaereportError
from tests.circuits.slow_attribution import Slow, array, pre_activations
from tests.circuits.test_frozen import KINDS, model_of
from tests.factories import save_hf_model, tiny_model, tiny_tokens

Make = Callable[..., Sae]
ALL_KINDS = (*KINDS, "hooked-folded", "gpt2-folded", "gemma2-folded")
SITES = (
    "hook_resid_pre",
    "hook_resid_mid",
    "ln2.hook_normalized",
    "mlp.hook_in",
    "hook_resid_post",
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], LanguageModel]:
    made: dict[str, LanguageModel] = {}
    folder: Path = tmp_path_factory.mktemp("models")

    def get(kind: str) -> LanguageModel:
        if kind not in made:
            plain = kind.removesuffix("-folded")
            if kind == "hooked-folded":
                made[kind] = tiny_model(normalization_type="LNPre")
            elif kind == plain:
                made[kind] = model_of(kind, folder)
            else:
                saved = str(save_hf_model(folder / kind, plain))
                made[kind] = load_model(saved, kwargs={"fold_ln": True})
        return made[kind]

    return get


def frozen(model: LanguageModel, sae: Sae, length: int = 12) -> tuple[FrozenRun, Any]:
    tokens = tiny_tokens(1, length)
    hook = sae.hook_in
    run = freeze_batch(model, tokens, n_layers=hook.layer + 1, reads=[hook.name])[0]
    return run, run.acts[hook.name]


def some(positions: list[int], latents: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(positions), torch.tensor(latents)


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("standard", {}),
        ("standard", {"apply_b_dec_to_input": False}),
        ("standard", {"normalize_activations": "layer_norm"}),
        ("standard", {"normalize_activations": "constant_norm_rescale"}),
        ("gated", {}),
        ("jumprelu", {}),
        ("topk", {}),
        ("topk", {"rescale_acts_by_decoder_norm": True}),
        ("skip_transcoder", {"hook_name": "blocks.1.hook_resid_mid"}),
    ],
)
def test_targets_are_the_encoders_pre_activations(
    architecture: str, options: dict[str, Any], tiny_sae: Make
) -> None:
    sae = tiny_sae(architecture, **options)
    a = torch.randn(9, sae.d_in, generator=torch.Generator().manual_seed(3)) * 2
    positions, latents = some([0, 3, 3, 8], [5, 5, 20, 47])
    targets = targets_of(sae, a, positions, latents)
    linear = (targets.read * a[positions]).sum(dim=1) + targets.bias
    assert torch.allclose(linear, targets.pre_activation, rtol=1e-4, atol=1e-5)
    expected = pre_activations(sae, a)[positions, latents]
    assert torch.allclose(targets.pre_activation, expected, rtol=1e-4, atol=1e-5)
    f = sae.encode(a)
    assert len(f.nonzero()) > 5
    active, which = (f > 0).nonzero(as_tuple=True)
    again = targets_of(sae, a, active, which).pre_activation
    assert torch.allclose(again, f[active, which], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ALL_KINDS)
@pytest.mark.parametrize("normalize", ["none", "layer_norm"])
def test_heads_and_sources_sum_to_z_times_encoder(
    kind: str, normalize: str, models: Callable[[str], LanguageModel], tiny_sae: Make
) -> None:
    model = models(kind)
    sae = tiny_sae(
        hook_name="blocks.1.attn.hook_z",
        d_in=model.n_heads * model.d_head,
        d_sae=24,
        normalize_activations=normalize,
    )
    run, z = frozen(model, sae)
    positions, latents = some([0, 5, 5, 11], [3, 3, 17, 23])
    targets = targets_of(sae, z, positions, latents)
    by_head, bias = head_attribution(run, sae.hook_in, targets)
    assert by_head.shape == (4, model.n_heads, 12)
    total = by_head.sum(dim=(1, 2)) + bias
    assert torch.allclose(total, targets.pre_activation, rtol=1e-3, atol=1e-4)
    plain = total - targets.bias
    assert torch.allclose(plain, (z[positions] * targets.read).sum(dim=1), rtol=1e-3, atol=1e-4)
    if normalize == "none":
        expected = (z[positions] * sae.W_enc[:, latents].T).sum(dim=1)
        assert torch.allclose(plain, expected, rtol=1e-3, atol=1e-4)
    slow = Slow(model, run.tokens)
    d = model.d_head
    for i, p in enumerate(positions.tolist()):
        assert not by_head[i, :, p + 1 :].any()
        for h in range(model.n_heads):
            read = array(targets.read[i])[h * d : (h + 1) * d]
            for s in range(p + 1):
                expected = slow.moved_z(1, h, p, s, slow.pre(1)[s]) @ read
                assert float(by_head[i, h, s]) == pytest.approx(expected, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("kind", ALL_KINDS)
@pytest.mark.parametrize("site", SITES)
def test_components_sum_to_the_pre_activation(
    kind: str, site: str, models: Callable[[str], LanguageModel], tiny_sae: Make
) -> None:
    model = models(kind)
    layer = 2
    if not model.has_hook(f"blocks.{layer}.{site}"):
        assert (kind, site) == ("neox", "hook_resid_mid")
        return
    sae = tiny_sae(hook_name=f"blocks.{layer}.{site}", d_in=model.d_model, d_sae=24)
    run, a = frozen(model, sae)
    positions, latents = some([0, 7, 7, 11], [3, 3, 17, 23])
    targets = targets_of(sae, a, positions, latents)
    found = components(run, sae.hook_in, targets)
    total = pre_activations(sae, a)[positions, latents]
    assert torch.allclose(found.total, total, rtol=1e-3, atol=1e-4)

    before_attention = site == "hook_resid_pre" or (kind == "neox" and site != "hook_resid_post")
    n_attention = layer + (0 if before_attention else 1)
    n_mlps = layer + (1 if site == "hook_resid_post" else 0)
    assert found.heads.shape == (4, n_attention, model.n_heads)
    assert found.mlps.shape == (4, n_mlps)
    slow = Slow(model, run.tokens)
    hook = sae.hook_in
    for i, p in enumerate(positions.tolist()):
        encoder = array(sae.W_enc[:, latents[i]])
        embedding = slow.read(hook, p, slow.pre(0)[p]) @ encoder
        assert float(found.embedding[i]) == pytest.approx(embedding, rel=1e-3, abs=1e-4)
        for la in range(n_mlps):
            mlp = slow.read(hook, p, slow.at(la, "hook_mlp_out")[p]) @ encoder
            assert float(found.mlps[i, la]) == pytest.approx(mlp, rel=1e-3, abs=1e-4)
        for la in range(n_attention):
            for h in range(model.n_heads):
                head = slow.head_component(hook, encoder, la, h, p)
                assert float(found.heads[i, la, h]) == pytest.approx(head, rel=1e-3, abs=1e-4)


def test_a_missing_bias_does_not_go_unnoticed(tiny: LanguageModel, tiny_sae: Make) -> None:
    """The bias is made of its parts, so that the sum can be wrong."""
    sae = tiny_sae(hook_name="blocks.2.mlp.hook_in", d_sae=24)
    run, a = frozen(tiny, sae)
    targets = targets_of(sae, a, *some([7], [3]))
    first = run.layers[0]
    broken = replace(run, layers=(replace(first, attn_const=first.attn_const * 0), *run.layers[1:]))
    total = components(run, sae.hook_in, targets).total
    assert torch.allclose(total, targets.pre_activation, rtol=1e-4, atol=1e-4)
    with pytest.raises(SaereportError, match="is not the sum of what this model's heads and MLPs"):
        components(broken, sae.hook_in, targets)


def test_the_first_place_has_an_embedding_only(tiny: LanguageModel, tiny_sae: Make) -> None:
    sae = tiny_sae(hook_name="blocks.0.hook_resid_pre", d_sae=24)
    run, a = frozen(tiny, sae)
    targets = targets_of(sae, a, *some([2, 4], [3, 9]))
    found = components(run, sae.hook_in, targets)
    assert found.heads.shape == (2, 0, tiny.n_heads)
    assert found.mlps.shape == (2, 0)
    assert torch.allclose(found.embedding + found.bias, targets.pre_activation, atol=1e-5)
    assert np.isfinite(found.total.numpy()).all()
