"""What steering does to the residual stream, measured on models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from saereport.intervene.steering import direction_of, overflows, steering, why_not_steered
from saereport.sources.forward import forward
from tests.factories import tiny_tokens

RESID, Z, MLP = "blocks.1.hook_resid_post", "blocks.1.attn.hook_z", "blocks.1.ln2.hook_normalized"
SAES: dict[str, tuple[str, dict[str, Any]]] = {
    "resid": ("jumprelu", {"hook_name": RESID}),
    "z": ("standard", {"hook_name": Z}),
    "transcoder": ("transcoder", {"hook_name": MLP}),
}
AFTER = "blocks.1.hook_resid_post"
STRENGTHS = torch.tensor([0.0, 1.0, -2.0, 0.5])


@pytest.fixture(params=SAES)
def sae(request: pytest.FixtureRequest, tiny_sae: Callable[..., Any]) -> Any:
    architecture, options = SAES[request.param]
    return tiny_sae(architecture, **options)


def residual(model: Any, edits: dict[str, Any], name: str = AFTER) -> torch.Tensor:
    with torch.no_grad():
        found = forward(model, tiny_tokens(4, 9), edits=edits, reads=[name])
    return found.acts[name]


def test_the_place_where_the_sae_writes_differs_by_exactly_the_vector(tiny: Any, sae: Any) -> None:
    direction = direction_of(sae, 7, 3.0)
    name = sae.write_point.name
    before = residual(tiny, {}, name)
    after = residual(tiny, steering(direction, STRENGTHS, "additive"), name)
    vector = 3.0 * sae.W_dec[7]
    for row, strength in enumerate(STRENGTHS.tolist()):
        expected = before[row] + strength * vector
        torch.testing.assert_close(after[row], expected, rtol=1e-6, atol=1e-6)
    assert torch.equal(after[0], before[0])
    assert direction.norm == pytest.approx(float(vector.norm()))


def test_it_reaches_the_residual_stream_by_the_models_own_matrices(tiny: Any, sae: Any) -> None:
    """At the heads' output through W_O; at an MLP's output and on the stream as it is."""
    direction = direction_of(sae, 7, 3.0)
    vector = 3.0 * sae.W_dec[7]
    held: dict[str, Any] = {}
    if sae.write_point.kind == "z":
        W_O = tiny.model.blocks[1].attn.W_O
        vector = torch.einsum("hk,hkd->d", vector.reshape(4, 8), W_O)
        # What the MLP makes of it is another matter.
        held = {"blocks.1.hook_mlp_out": lambda a: a * 0}
    before = residual(tiny, held)
    after = residual(tiny, {**steering(direction, STRENGTHS, "additive"), **held})
    moved = STRENGTHS[:, None, None] * vector
    torch.testing.assert_close(after - before, moved.expand_as(before), rtol=1e-4, atol=1e-5)


def test_the_orthogonal_form_replaces_the_component_along_the_direction(
    tiny: Any, sae: Any
) -> None:
    direction = direction_of(sae, 5, 2.0)
    name = sae.write_point.name
    vector = 2.0 * sae.W_dec[5]
    unit = vector / vector.norm()
    before = residual(tiny, {}, name)
    after = residual(tiny, steering(direction, STRENGTHS, "orthogonal"), name)
    along = after @ unit
    across = after - along[..., None] * unit
    for row, strength in enumerate(STRENGTHS.tolist()):
        if strength == 0:
            assert torch.equal(after[row], before[row])
            continue
        expected = torch.full_like(along[row], strength * float(vector.norm()))
        torch.testing.assert_close(along[row], expected, rtol=1e-4, atol=1e-4)
        own = before[row] - (before[row] @ unit)[..., None] * unit
        torch.testing.assert_close(across[row], own, rtol=1e-4, atol=1e-4)


def test_a_strength_that_no_number_format_holds_is_seen(tiny_sae: Callable[..., Any]) -> None:
    direction = direction_of(tiny_sae("jumprelu", hook_name=RESID), 3, 4.0)
    assert not overflows(direction, 100.0, torch.float16)
    assert overflows(direction, 1e6, torch.float16)
    assert not overflows(direction, 1e6, torch.float32)
    assert overflows(direction, 1e6, torch.float32) is False
    assert overflows(
        direction_of(tiny_sae("jumprelu", hook_name=RESID), 3, 1e35), 1e6, torch.float32
    )


def test_latents_that_write_nothing_certain_are_refused_with_the_reason(
    tiny_sae: Callable[..., Any],
) -> None:
    normalised = tiny_sae("topk", hook_name=RESID, normalize_activations="layer_norm")
    assert "normalises what it reads" in why_not_steered(normalised)
    assert why_not_steered(tiny_sae("topk", hook_name=RESID)) == ""
    transcoder = tiny_sae("transcoder", hook_name=MLP)
    assert why_not_steered(transcoder) == ""


def test_a_cap_lowers_the_component_where_it_is_above(tiny: Any, sae: Any) -> None:
    direction = direction_of(sae, 5, 0.5)
    name = sae.write_point.name
    vector = 0.5 * sae.W_dec[5]
    unit = vector / vector.norm()
    before = residual(tiny, {}, name)
    after = residual(tiny, steering(direction, STRENGTHS, "projection_cap"), name)
    for row, strength in enumerate(STRENGTHS.tolist()):
        if strength == 0:
            assert torch.equal(after[row], before[row])
            continue
        along, cap = before[row] @ unit, strength * float(vector.norm())
        lowered = along.clamp(max=cap)
        torch.testing.assert_close(after[row] @ unit, lowered, rtol=1e-4, atol=1e-4)
        across = after[row] - (after[row] @ unit)[..., None] * unit
        own = before[row] - along[..., None] * unit
        torch.testing.assert_close(across, own, rtol=1e-4, atol=1e-4)
