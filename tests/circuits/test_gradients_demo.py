"""Gradients on real weights: the demo model and its SAEs, and a published example."""

from __future__ import annotations

import pytest
import torch

from saereport.circuits.gradients import derivatives
from saereport.circuits.gradients.interventions import ablation_effects
from saereport.circuits.gradients.maps import (
    MapLimits,
    latents_to_latents,
    latents_to_logits,
    spliced_logits,
    tokens_to_latents,
)
from saereport.sources.demo import demo_saes
from saereport.sources.model_loading import load_model
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.source import SaeSource
from saereport.util.errors import SaereportError
from tests.circuits import dense

ALL = MapLimits(None, None, 1 << 28)
TOLERANCE = {"rtol": 2e-3, "atol": 2e-5}


@pytest.fixture(scope="module")
def saes():
    paths = demo_saes()
    loaded = {}

    def sae(name):
        if name not in loaded:
            loaded[name] = load_sae(SaeSource(path=str(paths[name])))
        return loaded[name]

    return sae


def prompt(model, text="The Eiffel tower"):
    ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
    tokens = torch.tensor([model.bos_id, *ids])
    return tokens, tokens != model.bos_id


@pytest.mark.model
@pytest.mark.parametrize(
    ("early", "late"),
    [
        ("resid-l10", "resid-l16"),
        ("attn-z-l16", "attn-z-l18"),
        ("transcoder-l10", "transcoder-l14"),
    ],
)
def test_latents_to_latents(demo_model, saes, early, late):
    early, late = saes(early), saes(late)
    tokens, counted = prompt(demo_model)
    found = latents_to_latents(demo_model, early, late, tokens, counted, ALL)
    inputs, outputs, f_late, expected = dense.latents_jacobian(
        demo_model, early, late, tokens, counted
    )
    assert torch.equal(found.early.latents, inputs[1])
    assert torch.equal(found.late.latents, outputs[1])
    torch.testing.assert_close(found.late.values, f_late, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found.values, expected, **TOLERANCE)
    assert expected.abs().max() > 0.05


@pytest.mark.model
def test_tokens_to_latents(demo_model, saes):
    tokens, counted = prompt(demo_model)
    found = tokens_to_latents(demo_model, saes("resid-l10"), tokens, counted, ALL)
    outputs, expected = dense.tokens_jacobian(demo_model, saes("resid-l10"), tokens, counted)
    assert torch.equal(found.late.latents, outputs[1])
    torch.testing.assert_close(found.values, expected, rtol=2e-3, atol=2e-4)


@pytest.mark.model
def test_latents_to_logits(demo_model, saes):
    tokens, counted = prompt(demo_model)
    targets = spliced_logits(demo_model, None, tokens, counted).topk(3).indices.tolist()
    sae = saes("resid-l16")
    found = latents_to_logits(demo_model, sae, tokens, counted, targets, ALL)
    expected = dense.logits_jacobian(demo_model, sae, tokens, counted, targets)
    torch.testing.assert_close(found.values, expected, **TOLERANCE)


@pytest.mark.model
def test_modes_and_budgets_agree(demo_model, saes, monkeypatch):
    early, late = saes("transcoder-l10"), saes("transcoder-l14")
    tokens, counted = prompt(demo_model)
    few = MapLimits(30, 40, 1 << 28)
    reverse = latents_to_latents(demo_model, early, late, tokens, counted, few)
    little = MapLimits(30, 40, 1)
    one_by_one = latents_to_latents(demo_model, early, late, tokens, counted, little)
    monkeypatch.setattr(derivatives, "FORWARD_COST", 0.0)
    forward = latents_to_latents(demo_model, early, late, tokens, counted, few)
    torch.testing.assert_close(forward.values, reverse.values, **TOLERANCE)
    torch.testing.assert_close(one_by_one.values, reverse.values, **TOLERANCE)


@pytest.mark.model
def test_finite_differences(demo_model, saes):
    early, late = saes("transcoder-l10"), saes("transcoder-l14")
    tokens, counted = prompt(demo_model)
    found = latents_to_latents(demo_model, early, late, tokens, counted, ALL)
    inputs = found.early.positions, found.early.latents
    outputs = found.late.positions, found.late.latents
    function = dense.from_latents(demo_model, early, late, tokens, counted, inputs)
    strongest = found.values.abs().amax(dim=0).topk(4).indices
    step = 0.05
    with torch.no_grad():
        for i in strongest.tolist():
            change = torch.zeros_like(found.early.values)
            change[i] = step
            up = function(found.early.values + change)[outputs]
            down = function(found.early.values - change)[outputs]
            both_on = (up > 0) & (down > 0) & (found.late.values > 0.1)
            expected = ((up - down) / (2 * step))[both_on]
            assert expected.abs().max() > 0.05
            torch.testing.assert_close(found.values[both_on, i], expected, rtol=0.05, atol=5e-3)


@pytest.mark.model
def test_ablation_measures_about_what_gradients_predict(demo_model, saes):
    early, late = saes("resid-l10"), saes("resid-l16")
    tokens, counted = prompt(demo_model, "The Eiffel tower is in Paris")
    found = latents_to_latents(demo_model, early, late, tokens, counted, MapLimits(60, 60, 1 << 28))
    predicted = -(found.early.values * found.values)
    strongest = predicted.abs().flatten().topk(24).indices
    j, i = strongest // len(found.early), strongest % len(found.early)
    pairs = torch.stack(
        [
            found.early.positions[i],
            found.early.latents[i],
            found.late.positions[j],
            found.late.latents[j],
        ],
        dim=1,
    )
    measured = ablation_effects(demo_model, early, late, tokens, counted, pairs)
    both = torch.stack([predicted[j, i], measured])
    assert torch.corrcoef(both)[0, 1] > 0.6


def published(layer):
    try:
        return load_sae(SaeSource("gpt2-small-res-jb", f"blocks.{layer}.hook_resid_pre"))
    except SaereportError as error:
        pytest.skip(f"the weights cannot be had: {error}")


@pytest.mark.network
def test_published_example():
    early, late, last = published(0), published(3), published(9)
    try:
        model = load_model(early.model_name, kwargs=early.model_kwargs)
    except SaereportError as error:
        pytest.skip(f"the weights cannot be had: {error}")
    ids = model.tokenizer("The Eiffel tower is in Paris", add_special_tokens=False)["input_ids"]
    tokens = torch.tensor([model.bos_id, *ids])
    everywhere = torch.ones(len(tokens), dtype=torch.bool)
    found = latents_to_latents(model, early, late, tokens, everywhere, ALL)
    assert (found.n_true, found.n_reconstructed, found.n_one_only) == (181, 179, 8)

    at = {
        model.tokenizer.decode([token]): position for position, token in enumerate(tokens.tolist())
    }
    (i,) = ((found.early.positions == at[" E"]) & (found.early.latents == 16911)).nonzero()
    (j,) = ((found.late.positions == at["iff"]) & (found.late.latents == 15266)).nonzero()
    cross = found.late.positions[:, None] != found.early.positions
    assert found.values[j, i] == found.values[cross].abs().max()

    ids = model.tokenizer("The Eiffel tower is in the city of", add_special_tokens=False)
    tokens = torch.tensor([model.bos_id, *ids["input_ids"]])
    everywhere = torch.ones(len(tokens), dtype=torch.bool)
    top = spliced_logits(model, None, tokens, everywhere).topk(25).indices.tolist()
    (paris,) = model.tokenizer(" Paris", add_special_tokens=False)["input_ids"]
    assert paris in top
    logits = latents_to_logits(model, last, tokens, everywhere, top, ALL)
    of_latent = logits.values[top.index(paris)][logits.early.latents == 22250]
    assert of_latent.max() > 0
