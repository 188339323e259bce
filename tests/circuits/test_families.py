"""Sums over heads, MLPs and biases in many families: they come out, or they are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from saereport.circuits.attribution.components import components, head_attribution
from saereport.circuits.attribution.influences import followed
from saereport.circuits.attribution.reads import targets_of
from saereport.circuits.frozen import freeze_batch
from saereport.sources.hooks import parse_hook
from saereport.sources.model_loading import load_model
from saereport.sources.saes.sae import Sae
from saereport.util.errors import SaereportError
from tests.families import TAKEN, Families

REFUSED = {
    "exaone4",
    "glm4",
    "gpt_oss",
    "granite",
    "granitemoe",
    "nemotron",
    "olmo2",
    "olmo3",
    "opt-350m",
}
"""Families whose blocks are not what a frozen pass is made of; they say so."""

CORE = ("bloom", "falcon-7b", "gemma2", "gpt2", "gpt_neox", "gptj", "mpt", "olmo2", "opt", "qwen3")
PLACES = ("hook_resid_mid", "hook_resid_post", "ln2.hook_normalized", "mlp.hook_in", "attn.hook_z")


@pytest.fixture(
    scope="module",
    params=[name if name in CORE else pytest.param(name, marks=pytest.mark.slow) for name in TAKEN],
)
def family(request: pytest.FixtureRequest, families: Families) -> tuple[str, Any]:
    return request.param, load_model(families(request.param))


@pytest.mark.parametrize("place", PLACES)
def test_parts_sum_to_the_pre_activation_or_are_refused(
    family: tuple[str, Any], place: str, tiny_sae: Callable[..., Sae]
) -> None:
    name, model = family
    hook = parse_hook(f"blocks.1.{place}")
    if name in ("opt", "xglm", "opt-350m") and place == "mlp.hook_in":
        pytest.skip("the MLP is no module of its own")
    if model.find_module(hook.name) is None:
        return
    sae = tiny_sae(hook_name=hook.name, d_in=model.width(hook))
    tokens = torch.tensor([[256, 9, 77, 130, 31, 200]])
    if name in REFUSED:
        with pytest.raises(SaereportError, match="What attention adds"):
            freeze_batch(model, tokens, n_layers=2, reads=[hook.name])
        return
    run = freeze_batch(model, tokens, n_layers=2, reads=[hook.name])[0]
    at = torch.arange(6)
    targets = targets_of(sae, run.acts[hook.name], at, at)
    if hook.kind == "z":
        by_head, bias = head_attribution(run, hook, targets)
        total = by_head.sum(dim=(1, 2)) + bias
    else:
        total = components(run, hook, targets).total
    scale = float(targets.pre_activation.abs().max())
    torch.testing.assert_close(total, targets.pre_activation, atol=1e-3 * scale, rtol=0)


def test_what_is_not_a_sum_is_refused(tiny_sae: Callable[..., Sae], tiny: Any) -> None:
    """The embedding alone, without the position that enters the first block with it."""
    hook = parse_hook("hook_embed")
    sae = tiny_sae(hook_name="hook_embed", d_in=32)
    run = freeze_batch(tiny, torch.arange(2, 8)[None], n_layers=1, reads=["hook_embed"])[0]
    targets = targets_of(sae, run.acts["hook_embed"], torch.arange(6), torch.arange(6))
    with pytest.raises(SaereportError, match="is not the sum of what this model's heads"):
        components(run, hook, targets)


def test_writers_are_followed_into_the_stream(
    families: Families, tiny_sae: Callable[..., Sae]
) -> None:
    """Before the norm after Gemma 2's MLP, what is written is turned; at OLMo 2's heads too."""
    expected = {
        "gemma2": {"attn.hook_z": True, "mlp.hook_out": False, "hook_mlp_out": True},
        "llama": {"attn.hook_z": True, "mlp.hook_out": True, "hook_mlp_out": True},
        "granite": {"attn.hook_z": False, "mlp.hook_out": False, "hook_resid_post": True},
    }
    for name, places in expected.items():
        model = load_model(families(name))
        for place, known in places.items():
            hook = parse_hook(f"blocks.1.{place}")
            sae = tiny_sae(hook_name=hook.name, d_in=model.width(hook))
            assert bool(followed(model, [sae])) == known, (name, place)
