"""Latents on a prompt as linear functions of what they read.

A `Targets` is a list of latents at positions of one prompt. Each has a read direction at the hook
point of its SAE and a bias, so that the pre-activation is their sum; with the norm frozen, each
has a read direction on the residual stream as well, which is what components and influences are
dotted with.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from saereport.circuits.frozen import FrozenLayer, FrozenRun
from saereport.sources.hooks import HookPoint
from saereport.sources.saes.sae import Sae

_BEFORE_ATTENTION = ("hook_resid_pre", "hook_in", "hook_embed")
_AFTER_BLOCK = ("hook_resid_post", "hook_out")


@dataclass(frozen=True, eq=False)
class Targets:
    """Latents of one SAE at positions of one prompt.

    Attributes:
        positions: int64 `[n]`.
        latents: int64 `[n]`.
        read: Read directions at the SAE's hook point, `[n, d_in]`; where the SAE normalises what
            it reads, with that scale fixed. As the others, float32 unless the SAE is in float64.
        bias: What the pre-activation holds besides, `[n]`.
        pre_activation: What the encoder computes before its nonlinearity, `[n]`.
    """

    positions: Tensor
    latents: Tensor
    read: Tensor
    bias: Tensor
    pre_activation: Tensor

    def __len__(self) -> int:
        return len(self.positions)


def targets_of(sae: Sae, a: Tensor, positions: Tensor, latents: Tensor) -> Targets:
    """The pre-activations of some latents, as linear functions of the activations.

    What is linear once it is known which latents are active, each architecture says itself (of a
    gated SAE it is the magnitude, of a JumpReLU SAE what comes before the threshold); in units of
    the latents' activations.

    Args:
        sae: The SAE or transcoder.
        a: Activations at its hook point in the true run, `[pos, d_in]`, heads flat.
        positions: int64 `[n]`.
        latents: int64 `[n]`.
    """
    rows = a[positions]
    read, bias = sae.linear(rows, latents)
    return Targets(positions, latents, read, bias, sae.pre_activations(rows, latents))


def reads_residual(hook: HookPoint) -> bool:
    """Whether latents there read the residual stream, or an MLP's input."""
    return hook.kind in ("resid", "mlp_in_normalized", "mlp_in")


def on_residual(run: FrozenRun, hook: HookPoint, targets: Targets) -> tuple[Tensor, Tensor]:
    """Read directions on the residual stream before the norm, and what else is in the sum.

    Args:
        run: The frozen pass.
        hook: The SAE's hook point, of a kind that `reads_residual`.
        targets: The latents.

    Returns:
        Directions `[n, d_model]` on the residual stream at the targets' positions, and biases
        `[n]` of the SAE and of the norm.
    """
    read, bias = targets.read.float(), targets.bias.float()
    if hook.kind == "resid":
        return read, bias
    norm = run.layers[hook.layer].mlp_norm.at(targets.positions)
    weighted = hook.kind == "mlp_in"
    if weighted and norm.bias is not None:
        bias = bias + read @ norm.bias.float()
    return norm.back(read, weighted=weighted).float(), bias


def on_heads(run: FrozenRun, hook: HookPoint, targets: Targets) -> Tensor:
    """Read directions of `hook_z` latents on each head, `[n, n_heads, d_head]`."""
    n_heads, d_head = run.layers[hook.layer].W_O.shape[:2]
    return targets.read.float().reshape(-1, n_heads, d_head)


def through_output(layer: FrozenLayer, c: Tensor, positions: Tensor) -> Tensor:
    """Read directions on what attention adds as ones on each head's `z`.

    Args:
        layer: The layer.
        c: `[n, d_model]`.
        positions: Where each of them reads, `[n]`.

    Returns:
        `[n, n_heads, d_head]`.
    """
    if layer.attn_post is not None:
        c = c * layer.attn_post[positions]
    return torch.einsum("nm,hkm->nhk", c, layer.W_O.float())


def through_values(layer: FrozenLayer, c_z: Tensor) -> Tensor:
    """Read directions on `z` as ones on the residual stream before the block, not yet scaled.

    Divided by the norm's scale at a source position, and times the attention paid to it, it is
    dotted with the residual stream there.

    Args:
        layer: The layer.
        c_z: `[n, n_heads, d_head]`.

    Returns:
        `[n, n_heads, d_model]`.
    """
    c = torch.einsum("nhk,hmk->nhm", c_z, layer.W_V.float())
    if layer.attn_norm.weight is not None:
        c = c * layer.attn_norm.weight.float()
    return c - c.mean(dim=-1, keepdim=True) if layer.attn_norm.centred else c


def layers_before(hook: HookPoint, *, parallel: bool) -> tuple[int, int]:
    """How many layers' heads, and how many MLPs, lie before where a residual reader reads.

    In a block whose parts are parallel, an MLP does not read what the heads beside it add.
    """
    if hook.site in _BEFORE_ATTENTION:
        return hook.layer, hook.layer
    if hook.site in _AFTER_BLOCK:
        return hook.layer + 1, hook.layer + 1
    return hook.layer + (0 if parallel else 1), hook.layer
