"""Where latents read and write in the residual stream.

What a dictionary's vectors mean is decided by the kind of its hook point, never by their length:
in many models `n_heads * d_head` equals `d_model`, and a `hook_z` vector would pass for one of the
residual stream.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from saereport.measure.weights.context import HookView, ModelView, SaeWeights

READS_NO_RESIDUAL = "it reads an MLP's output, not the residual stream"
WRITES_NO_RESIDUAL = "it writes to the input of an MLP, not into the residual stream"


def by_head(vectors: Tensor, n_heads: int) -> Tensor:
    """Split vectors over flattened heads: [n, n_heads * d_head] -> [n_heads, n, d_head]."""
    split = vectors.reshape(len(vectors), n_heads, vectors.shape[1] // n_heads)
    return split.transpose(0, 1)


def head_directions(encoder: Tensor, hook: HookView, model: ModelView) -> Tensor | None:
    """What each latent reads from each head's output, float32[n_heads, n, d_head].

    For `z` that is the head's part of the encoder; for `attn_out` the encoder taken back through
    a norm that stands before it and the heads' output matrices. None for other kinds.
    """
    W_O = model.W_O(hook.layer)
    if hook.kind == "z":
        return by_head(encoder, len(W_O))
    if hook.kind == "attn_out":
        before = model.wiring.into(hook).back(encoder)
        return torch.einsum("nd,hkd->hnk", before, W_O.float())
    return None


def reads_heads(hook: HookView) -> bool:
    """Whether a hook point holds what the heads of its own layer put out."""
    return hook.kind in ("z", "attn_out")


def writes_of(
    sae: SaeWeights, model: ModelView, rows: Tensor | None, places: Sequence[int] | None = None
) -> Tensor:
    """The direction in the residual stream that latents write, summed over hook points.

    Args:
        sae: The SAE or transcoder; there is no reason of `why_no_write` against it.
        model: The model.
        rows: An index of some latents, or all of them.
        places: At which of the points that it writes to; at all where absent.

    Returns:
        float32[n, d_model].
    """
    first, *others = range(len(sae.writes)) if places is None else places
    total = written_at(sae, model, rows, first)
    for place in others:
        total = total + written_at(sae, model, rows, place)
    return total


def written_at(sae: SaeWeights, model: ModelView, rows: Tensor | None, place: int) -> Tensor:
    """The direction in the residual stream that latents write at one hook point.

    The decoder row; at `z` summed through the output matrices. Where a norm or a multiplier stands
    between the hook point and the stream, its weight is in it; a norm's scale is not. Arguments
    as for `writes_of`.
    """
    return carried(sae.write_rows(rows, place).detach().float(), sae.writes[place], model)


def carried(vectors: Tensor, hook: HookView, model: ModelView) -> Tensor:
    """What vectors that are added at a hook point add to the residual stream.

    Args:
        vectors: float32[n, width].
        hook: Where; there is no reason of `why_no_write` against it.
        model: The model.

    Returns:
        float32[n, d_model].
    """
    if hook.kind == "z":
        W_O = model.W_O(hook.layer)
        vectors = torch.einsum("hnk,hkd->nd", by_head(vectors, len(W_O)), W_O.float())
    return model.wiring.out_of(hook).along(vectors)


def reads_at(encoder: Tensor, hook: HookView, model: ModelView) -> Tensor:
    """The direction of the residual stream, up to a norm's scale, that latents read.

    Args:
        encoder: Encoder columns as rows, float32[n, d_in].
        hook: Where they read; there is no reason of `why_no_read` against it.
        model: The model.

    Returns:
        float32[n, d_model]: the encoder, taken back through the weight and the centring of a norm
        before the hook point; at the heads' outputs through the output and value matrices, as if
        every head attended to the token alone.
    """
    if not reads_heads(hook):
        return model.wiring.into(hook).back(encoder)
    heads = head_directions(encoder, hook, model)
    assert heads is not None
    read = torch.einsum("hnk,hdk->nd", heads, model.W_V(hook.layer).float())
    return model.wiring.values(hook.layer).back(read)


def why_no_read(hook: HookView, model: ModelView) -> str:
    """Why latents that read at a hook point have no read direction in the residual stream."""
    if hook.kind == "mlp_out":
        return READS_NO_RESIDUAL
    wiring = model.wiring
    before = wiring.values(hook.layer).problem if reads_heads(hook) else ""
    return wiring.into(hook).problem or before or wiring.stream


def why_no_write(hooks: Sequence[HookView], model: ModelView) -> str:
    """Why latents that write at hook points have no write direction in the residual stream."""
    if any(hook.kind in ("mlp_in", "mlp_in_normalized") for hook in hooks):
        return WRITES_NO_RESIDUAL
    problems = (model.wiring.out_of(hook).problem for hook in hooks)
    return next(filter(None, problems), "") or model.wiring.stream
