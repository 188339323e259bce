"""Attribution on the demo's model and SAEs: the sums hold, cut sequences give the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from saereport.circuits.attribution.components import components, head_attribution
from saereport.circuits.attribution.examples import ExampleLimits, TopExamples, example_attributions
from saereport.circuits.attribution.influences import strongest_influences
from saereport.circuits.attribution.latents import prompt_attributions
from saereport.circuits.attribution.reads import on_residual, targets_of
from saereport.circuits.frozen import freeze_batch
from saereport.measure.weights import TokenRows
from saereport.sources.demo import demo_saes
from saereport.sources.models import LanguageModel
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.sae import Sae
from saereport.sources.saes.source import SaeSource
from tests.circuits.slow_attribution import Slow, array, pre_activations

pytestmark = pytest.mark.model
TEXT = "The Eiffel tower is in the city of Paris, and the Colosseum is in the city of Rome."


@pytest.fixture(scope="module")
def saes() -> list[Sae]:
    return [load_sae(SaeSource(path=str(path)), slug=name) for name, path in demo_saes().items()]


@pytest.fixture(scope="module")
def tokens(demo_model: LanguageModel) -> torch.Tensor:
    return torch.tensor([demo_model.bos_id, *demo_model.tokenizer(TEXT)["input_ids"]])


@pytest.fixture(scope="module")
def acts(
    demo_model: LanguageModel, saes: list[Sae], tokens: torch.Tensor
) -> dict[str, torch.Tensor]:
    found = demo_model.run(tokens[None], [sae.hook_in.name for sae in saes])
    return {sae.slug: found[sae.hook_in.name][0] for sae in saes}


def test_every_sum_is_the_pre_activation(
    demo_model: LanguageModel,
    saes: list[Sae],
    tokens: torch.Tensor,
    acts: dict[str, torch.Tensor],
) -> None:
    counted = tokens != demo_model.bos_id
    f = {sae.slug: sae.encode(acts[sae.slug]) for sae in saes}
    tables: dict[str, Any] = dict(
        prompt_attributions(demo_model, saes, tokens, counted, f, attributed=8, influences=12)
    )
    by_slug = {sae.slug: sae for sae in saes}
    for name, parts in (("components", ("heads", "mlps")), ("head_attributions", ("values",))):
        table = tables[name]
        assert len(table["sae"]) >= 16
        for i, slug in enumerate(table["sae"]):
            place = table["position"][i], table["latent"][i]
            expected = float(pre_activations(by_slug[slug], acts[slug])[place])
            total = sum(float(table[part][i].sum()) for part in parts) + table["bias"][i]
            total += table["embedding"][i] if name == "components" else 0.0
            assert total == pytest.approx(expected, rel=1e-4, abs=1e-3)
            assert table["activation"][i] == pytest.approx(expected, rel=1e-4, abs=1e-3)
    assert set(tables["influences"]["sae"]) == set(by_slug) - {"transcoder-l3"}
    assert (np.array(tables["influences"]["source"]) > 0).all()


def test_z_times_encoder_by_head_and_source(
    demo_model: LanguageModel, saes: list[Sae], tokens: torch.Tensor
) -> None:
    sae = next(sae for sae in saes if sae.slug == "attn-z-l16")
    hook = sae.hook_in
    run = freeze_batch(demo_model, tokens[None], n_layers=17, reads=[hook.name])[0]
    z = run.acts[hook.name]
    positions, latents = torch.tensor([3, 9, 15]), torch.tensor([0, 100, 1000])
    by_head, bias = head_attribution(run, hook, targets_of(sae, z, positions, latents))
    expected = (z[positions] * sae.W_enc[:, latents].T).sum(dim=1)
    assert torch.allclose(by_head.sum(dim=(1, 2)), expected, rtol=1e-4, atol=1e-4)
    own = -(sae.loaded.b_dec @ sae.loaded.W_enc[:, latents]) * sae.loaded.cfg.apply_b_dec_to_input
    assert torch.allclose(bias, own + sae.loaded.b_enc[latents], atol=1e-5)


def test_influences_errors_and_biases_sum_to_the_mlps_component(
    demo_model: LanguageModel, saes: list[Sae], tokens: torch.Tensor
) -> None:
    """transcoder-l10 onto transcoder-l14: directly, and through one head between."""
    early = next(sae for sae in saes if sae.slug == "transcoder-l10")
    late = next(sae for sae in saes if sae.slug == "transcoder-l14")
    hook = late.hook_in
    names = [early.hook_in.name, hook.name]
    run = freeze_batch(demo_model, tokens[None], n_layers=15, reads=names)[0]
    f, counted = early.encode(run.acts[names[0]]), tokens != demo_model.bos_id
    positions, latents = torch.tensor([5, 15]), torch.tensor([7, 2000])
    targets = targets_of(late, run.acts[hook.name], positions, latents)
    found = strongest_influences(run, hook, targets, {0: (early, f)}, counted, 10**7)
    direct = torch.tensor([float(one.value[one.layer < 0].sum()) for one in found])
    c, _ = on_residual(run, hook, targets)
    rest = run.layers[10].mlp_add[positions] - f[positions] @ early.W_dec
    component = components(run, hook, targets).mlps[:, 10]
    assert torch.allclose(direct + (rest * c).sum(dim=1), component, rtol=1e-4, atol=1e-4)

    slow = Slow(demo_model, tokens)
    layer, head, position = 12, 4, 15
    encoder = array(late.W_enc[:, 2000])
    mine = found[1]
    through = mine.value[(mine.layer == layer) & (mine.head == head)].sum()
    of_rest = 0.0
    for s in range(position + 1):
        latents_there = array(f[s] @ early.W_dec) if counted[s] else 0.0
        x = slow.pre(layer)[s] - latents_there
        of_rest += slow.influence(hook, encoder, position, s, layer, head, x)
    expected = slow.head_component(hook, encoder, layer, head, position)
    assert abs(through) > 1e-4
    assert through + of_rest == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_an_example_cut_at_its_peak_gives_what_the_prompt_does(
    demo_model: LanguageModel,
    saes: list[Sae],
    tokens: torch.Tensor,
    acts: dict[str, torch.Tensor],
) -> None:
    counted = tokens != demo_model.bos_id
    f = {sae.slug: sae.encode(acts[sae.slug]) for sae in saes}
    sae = next(sae for sae in saes if sae.slug == "resid-l10")
    prompt: dict[str, Any] = dict(
        prompt_attributions(demo_model, saes, tokens, counted, f, attributed=2, influences=9)
    )["components"]
    here = [i for i, slug in enumerate(prompt["sae"]) if slug == sae.slug]
    examples = {
        "latent": [prompt["latent"][i] for i in here],
        "group": ["top"] * len(here),
        "rank": [0] * len(here),
        "sequence": [0] * len(here),
        "position": [prompt["position"][i] for i in here],
        "activation": [prompt["activation"][i] for i in here],
    }
    found: dict[str, Any] = dict(
        example_attributions(
            demo_model,
            saes,
            sae,
            TopExamples(examples["latent"], examples, lambda _: tokens.tolist()),
            ExampleLimits(per_latent=1, influences=9, listed=5),
            TokenRows(demo_model),
        )
    )["example_components"]
    assert len(here) == 2
    for i, j in zip(range(2), here, strict=True):
        assert found["pre_activation"][i] == pytest.approx(prompt["pre_activation"][j], rel=1e-4)
        assert np.allclose(found["heads"][i], prompt["heads"][j], rtol=1e-3, atol=1e-3)
        assert np.allclose(found["mlps"][i], prompt["mlps"][j], rtol=1e-3, atol=1e-3)
