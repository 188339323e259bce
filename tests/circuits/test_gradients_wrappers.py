"""Every wrapper and kind of model gives right gradients; so say finite differences."""

from __future__ import annotations

import pytest
import torch

from saereport.circuits.gradients.maps import (
    MapLimits,
    latents_to_latents,
    latents_to_logits,
    spliced_logits,
    tokens_to_latents,
)
from saereport.sources.model_loading import load_model
from saereport.sources.models import HookedModel
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.source import SaeSource
from saereport.util.errors import SaereportError
from tests.circuits import dense
from tests.factories import save_hf_model, save_sae, tiny_hooked

ALL = MapLimits(inputs=None, outputs=None, memory=1 << 28)
KINDS = ("gpt2", "llama", "neox", "gemma2")
TOLERANCE = {"rtol": 1e-3, "atol": 1e-5}
COUNTED = torch.tensor([False] + [True] * 7)
TOKENS = torch.tensor([256, 7, 99, 13, 7, 99, 200, 31])


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    loaded = {}

    def model(kind):
        if kind not in loaded:
            loaded[kind] = load_model(save_hf_model(tmp_path_factory.mktemp("models") / kind, kind))
        return loaded[kind]

    return model


def residual(tiny_sae, hook="blocks.0.hook_resid_post", **options):
    return tiny_sae("standard", hook_name=hook, **{"d_in": 48, "d_sae": 40, **options})


def transcoder(tiny_sae, layer):
    name = f"blocks.{layer}.ln2.hook_normalized"
    return tiny_sae("transcoder", hook_name=name, d_in=48, d_sae=40, seed=layer)


@pytest.mark.parametrize("kind", KINDS)
def test_through_a_bridge(models, tiny_sae, kind):
    model = models(kind)
    assert model.wrapper == "TransformerBridge"
    early, late = residual(tiny_sae), residual(tiny_sae, "blocks.2.hook_resid_post", seed=1)
    found = latents_to_latents(model, early, late, TOKENS, COUNTED, ALL)
    _, outputs, _, expected = dense.latents_jacobian(model, early, late, TOKENS, COUNTED)
    assert torch.equal(found.late.latents, outputs[1])
    torch.testing.assert_close(found.values, expected, **TOLERANCE)
    logits = latents_to_logits(model, late, TOKENS, COUNTED, [4, 9], ALL)
    expected = dense.logits_jacobian(model, late, TOKENS, COUNTED, [4, 9])
    torch.testing.assert_close(logits.values, expected, **TOLERANCE)


def differences(function, values, step):
    """Central differences, one input at a time, `[n_out, n_in]`."""
    columns = []
    for i in range(len(values)):
        change = torch.zeros_like(values)
        change[i] = step
        columns.append((function(values + change) - function(values - change)) / (2 * step))
    return torch.stack(columns, dim=1)


@pytest.mark.parametrize("kind", KINDS)
def test_through_a_norm_that_a_bridge_computes_on_the_side(models, tiny_sae, kind):
    model, early, late = models(kind), transcoder(tiny_sae, 0), transcoder(tiny_sae, 2)
    found = latents_to_latents(model, early, late, TOKENS, COUNTED, ALL)
    f = dense.true_f(model, early, TOKENS)
    inputs = found.early.positions, found.early.latents
    outputs = found.late.positions, found.late.latents
    function = dense.from_latents(model, early, late, TOKENS, COUNTED, inputs)
    with torch.no_grad():
        expected = differences(lambda v: function(v)[outputs], f[inputs], 2e-3)
    far_from_a_gate = found.late.values > 0.05
    torch.testing.assert_close(
        found.values[far_from_a_gate], expected[far_from_a_gate], rtol=2e-2, atol=3e-3
    )
    assert expected.abs().max() > 0.02


def test_wrappers_agree(hub, tiny_sae):
    kwargs = {"fold_ln": True}
    hooked = load_model("gpt2-small", kwargs=kwargs)
    bridge = load_model("gpt2-small", kwargs=kwargs, wrapper="TransformerBridge")
    assert (hooked.wrapper, bridge.wrapper) == ("HookedTransformer", "TransformerBridge")
    early = tiny_sae("transcoder", hook_name="blocks.3.ln2.hook_normalized", d_in=96)
    late = tiny_sae("transcoder", hook_name="blocks.5.ln2.hook_normalized", d_in=96, seed=1)
    heads = tiny_sae("standard", hook_name="blocks.4.attn.hook_z", d_in=96, seed=1)
    for function, places in (
        (latents_to_latents, (early, late)),
        (latents_to_latents, (early, heads)),
        (latents_to_latents, (heads, late)),
        (tokens_to_latents, (late,)),
    ):
        one, two = (function(m, *places, TOKENS, COUNTED, ALL) for m in (hooked, bridge))
        assert torch.equal(one.late.latents, two.late.latents)
        assert (one.n_true, one.n_one_only) == (two.n_true, two.n_one_only)
        torch.testing.assert_close(one.values, two.values, **TOLERANCE)
        assert one.values.abs().max() > 1e-3
    one, two = (latents_to_logits(m, heads, TOKENS, COUNTED, [3], ALL) for m in (hooked, bridge))
    torch.testing.assert_close(one.values, two.values, **TOLERANCE)
    one, two = (spliced_logits(m, early, TOKENS, COUNTED) for m in (hooked, bridge))
    torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-3)


def test_finite_differences_in_float64(tmp_path):
    hooked = tiny_hooked(dtype=torch.float64)
    cpu = torch.device("cpu")
    hooked.tokenizer = None
    model = HookedModel(hooked, name="tiny", device=cpu, dtype=torch.float64)

    def sae(name, hook, seed):
        folder = save_sae(tmp_path / name, "gated", hook_name=hook, seed=seed)
        return load_sae(SaeSource(path=str(folder)), dtype=torch.float64)

    early = sae("early", "blocks.0.attn.hook_z", 1)
    late = sae("late", "blocks.2.hook_resid_pre", 2)
    tokens = TOKENS % 90
    found = latents_to_latents(model, early, late, tokens, COUNTED, ALL)
    assert found.values.dtype == torch.float64
    inputs = found.early.positions, found.early.latents
    outputs = found.late.positions, found.late.latents
    function = dense.from_latents(model, early, late, tokens, COUNTED, inputs)
    with torch.no_grad():
        values = dense.true_f(model, early, tokens)[inputs]
        expected = differences(lambda v: function(v)[outputs], values, 1e-6)
    torch.testing.assert_close(found.values, expected, rtol=1e-6, atol=1e-8)

    found = tokens_to_latents(model, late, tokens, COUNTED, ALL)
    outputs = found.late.positions, found.late.latents
    function = dense.from_scales(model, late, tokens, COUNTED)
    with torch.no_grad():
        ones = torch.ones(7, dtype=torch.float64)
        expected = differences(lambda v: function(v)[outputs], ones, 1e-6)
    torch.testing.assert_close(found.values, expected, rtol=1e-6, atol=1e-8)

    found = latents_to_logits(model, late, tokens, COUNTED, [3, 50], ALL)
    inputs = found.early.positions, found.early.latents
    function = dense.from_latents(model, late, None, tokens, COUNTED, inputs)
    with torch.no_grad():
        values = dense.true_f(model, late, tokens)[inputs]
        expected = differences(lambda v: function(v)[-1, [3, 50]], values, 1e-6)
    torch.testing.assert_close(found.values, expected, rtol=1e-6, atol=1e-8)


def test_sublayers_that_run_side_by_side(models, tiny_sae):
    attention = tiny_sae("standard", hook_name="blocks.1.attn.hook_z", d_in=48, seed=3)
    with pytest.raises(SaereportError, match="nothing leads from"):
        latents_to_latents(models("neox"), attention, transcoder(tiny_sae, 1), TOKENS, COUNTED, ALL)
