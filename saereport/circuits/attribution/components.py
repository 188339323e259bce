"""Pre-activations as sums: over heads and source positions, or over everything before.

With the attention patterns and the norms' scales of a run fixed, what a latent reads is a sum, and
nothing here is approximate: the terms are made from their own parts, the biases too, so that their
sum is a check on all of them; it is made, and a sum that does not come out is an error.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from saereport.circuits.attribution.reads import (
    Targets,
    layers_before,
    on_heads,
    on_residual,
    through_output,
    through_values,
)
from saereport.circuits.frozen import TOLERANCE, FrozenLayer, FrozenRun
from saereport.sources.hooks import HookPoint
from saereport.util.errors import SaereportError


@dataclass(frozen=True, eq=False)
class Components:
    """Pre-activations of residual readers, decomposed; float32.

    Attributes:
        embedding: `[n]`.
        heads: `[n, layers, n_heads]`, the layers whose heads lie before.
        mlps: `[n, layers]`, the MLPs that lie before.
        bias: Biases of the SAE, the norm and the attention, `[n]`.
    """

    embedding: Tensor
    heads: Tensor
    mlps: Tensor
    bias: Tensor

    @property
    def total(self) -> Tensor:
        """The pre-activation, `[n]`."""
        return self.embedding + self.heads.sum(dim=(1, 2)) + self.mlps.sum(dim=1) + self.bias


def head_attribution(run: FrozenRun, hook: HookPoint, targets: Targets) -> tuple[Tensor, Tensor]:
    """Direct latent attribution of `hook_z` latents.

    `A[h, d, s] * (v[s, h] @ W_enc[h, :, i])` for head h, destination d and source s, with values v
    without their bias; the values' bias, and what the norm's bias makes of them, reach every `z`
    alike and are in the second result, with the SAE's own.

    Args:
        run: The frozen pass.
        hook: The SAE's hook point, of kind `z`.
        targets: The latents and where.

    Raises:
        SaereportError: The sum is not the pre-activation: this model computes it in another way.

    Returns:
        Contributions `[n, n_heads, pos]`, zero after each target's position, and biases `[n]`;
        together they sum to the pre-activation.
    """
    layer = run.layers[hook.layer]
    c_z = on_heads(run, hook, targets)
    bias = targets.bias + torch.einsum("nhk,hk->n", c_z, layer.z_const.float())
    scores = torch.einsum("nhm,sm->nhs", through_values(layer, c_z), _scaled(layer))
    parts = _rows(layer, targets.positions) * scores
    _require_sum(run, hook, targets, torch.cat([parts.flatten(1), bias[:, None]], dim=1))
    return parts, bias


def components(run: FrozenRun, hook: HookPoint, targets: Targets) -> Components:
    """The parts of what residual readers read: embedding, heads, MLPs, biases.

    Args:
        run: The frozen pass, of at least as many layers as lie before the hook point.
        hook: The SAE's hook point, of kind `resid`, `mlp_in_normalized` or `mlp_in`.
        targets: The latents and where.

    Raises:
        SaereportError: The sum is not the pre-activation: this model computes it in another way.
    """
    c, bias = on_residual(run, hook, targets)
    positions = targets.positions
    n_attention, n_mlps = layers_before(hook, parallel=run.parallel)
    heads = []
    for layer in run.layers[:n_attention]:
        c_z = through_output(layer, c, positions)
        attended = torch.einsum("nhs,sm->nhm", _rows(layer, positions), _scaled(layer))
        heads.append((through_values(layer, c_z) * attended).sum(dim=-1))
        bias = bias + c @ layer.attn_const.float()
    mlps = [(layer.mlp_add[positions].float() * c).sum(dim=-1) for layer in run.layers[:n_mlps]]
    n, n_heads = len(targets), run.layers[0].W_O.shape[0]
    found = Components(
        embedding=(run.embedded[positions].float() * c).sum(dim=-1),
        heads=torch.stack(heads, dim=1) if heads else c.new_zeros((n, 0, n_heads)),
        mlps=torch.stack(mlps, dim=1) if mlps else c.new_zeros((n, 0)),
        bias=bias,
    )
    alone = [found.embedding[:, None], found.bias[:, None]]
    _require_sum(run, hook, targets, torch.cat([found.heads.flatten(1), found.mlps, *alone], dim=1))
    return found


def _require_sum(run: FrozenRun, hook: HookPoint, targets: Targets, parts: Tensor) -> None:
    """Hold the parts of pre-activations, `[n, parts]`, against the pre-activations themselves."""
    off = (parts.sum(dim=1) - targets.pre_activation).abs()
    room = TOLERANCE * parts.abs().sum(dim=1).clamp(min=1e-6)
    if bool((off > room).any()):
        share = float((off / room.clamp(min=1e-12)).max()) * TOLERANCE
        raise SaereportError(
            f"What is read at {hook.name} is not the sum of what this model's heads and MLPs add "
            f"(off by {share:.1%} of its parts), so nothing can be attributed to them."
        )


def _rows(layer: FrozenLayer, positions: Tensor) -> Tensor:
    """Attention paid from each target's position, `[n, n_heads, pos]`."""
    return layer.pattern[:, positions].transpose(0, 1).float()


def _scaled(layer: FrozenLayer) -> Tensor:
    """The residual stream before the block over the norm's scale, `[pos, d_model]`.

    Centring and the norm's weight are in `through_values`, on the other side of the product.
    """
    return (layer.resid_pre / layer.attn_norm.scale).float()
