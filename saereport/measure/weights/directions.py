"""Where latents read and write in the residual stream.

What a dictionary's vectors mean is decided by the kind of its hook point, never by their length:
in many models `n_heads * d_head` equals `d_model`, and a `hook_z` vector would pass for one of the
residual stream.
"""

from __future__ import annotations

import torch
from torch import Tensor

from saereport.measure.weights.context import DictionaryView, HookView, ModelView

READS_NO_RESIDUAL = "it reads an MLP's output, not the residual stream"
WRITES_NO_RESIDUAL = "it writes to the input of an MLP, not into the residual stream"


def by_head(vectors: Tensor, n_heads: int) -> Tensor:
    """Split vectors over flattened heads: [n, n_heads * d_head] -> [n_heads, n, d_head]."""
    split = vectors.reshape(len(vectors), n_heads, vectors.shape[1] // n_heads)
    return split.transpose(0, 1)


def write_directions(decoder: Tensor, kind: str, W_O: Tensor | None) -> Tensor | None:
    """The direction in the residual stream that each latent writes.

    Args:
        decoder: Decoder rows, float32[n, d_out].
        kind: Kind of the hook point that they are written at.
        W_O: Output matrices of its layer, [n_heads, d_head, d_model]; needed for `z`.

    Returns:
        float32[n, d_model]; None where the hook point is not one of the residual stream or of what
        is added to it.
    """
    if kind in ("resid", "mlp_out", "attn_out"):
        return decoder
    if kind == "z" and W_O is not None:
        return torch.einsum("hnk,hkd->nd", by_head(decoder, len(W_O)), W_O.float())
    return None


def head_directions(encoder: Tensor, kind: str, W_O: Tensor | None) -> Tensor | None:
    """What each latent reads from each head's output, float32[n_heads, n, d_head].

    For `z` that is the head's part of the encoder; for `attn_out` the encoder taken back through
    the heads' output matrices. None for other kinds.
    """
    if W_O is None:
        return None
    if kind == "z":
        return by_head(encoder, len(W_O))
    if kind == "attn_out":
        return torch.einsum("nd,hkd->hnk", encoder, W_O.float())
    return None


def read_directions(
    encoder: Tensor,
    kind: str,
    *,
    W_V: Tensor | None = None,
    W_O: Tensor | None = None,
    attn_norm: Tensor | None = None,
    mlp_norm: Tensor | None = None,
) -> Tensor | None:
    """The direction of the normalised residual stream (no norm weight) that each latent reads.

    Args:
        encoder: Encoder columns as rows, float32[n, d_in].
        kind: Kind of the hook point that they read.
        W_V: Value matrices of its layer, [n_heads, d_model, d_head]; needed for `z`, `attn_out`.
        W_O: Output matrices of its layer, [n_heads, d_head, d_model]; needed for the same.
        attn_norm: Weight of the norm before the attention, [d_model], None where folded.
        mlp_norm: Weight of the norm before the MLP, [d_model], None where folded.

    Returns:
        float32[n, d_model]: the encoder itself at the residual stream and before the norm's weight,
        times the norm's weight at the MLP's input, and taken back through the value matrices (as
        if every head attended to the token alone) at the heads' outputs; None at an MLP's output.
    """
    if kind in ("resid", "mlp_in_normalized"):
        return encoder
    if kind == "mlp_in":
        return encoder if mlp_norm is None else encoder * mlp_norm.float()
    heads = head_directions(encoder, kind, W_O)
    if heads is None or W_V is None:
        return None
    read = torch.einsum("hnk,hdk->nd", heads, W_V.float())
    return read if attn_norm is None else read * attn_norm.float()


def reads_heads(hook: HookView) -> bool:
    """Whether a hook point holds what the heads of its own layer put out."""
    return hook.kind in ("z", "attn_out")


def writes_of(dictionary: DictionaryView, model: ModelView, rows: Tensor | None) -> Tensor | None:
    """`write_directions` of some latents (an index, or all of them) of a dictionary in a model."""
    hook = dictionary.hook_out or dictionary.hook_in
    decoder = dictionary.W_dec.detach()
    decoder = (decoder if rows is None else decoder[rows]).float()
    return write_directions(decoder, hook.kind, model.W_O(hook.layer) if hook.kind == "z" else None)


def reads_at(encoder: Tensor, hook: HookView, model: ModelView) -> Tensor | None:
    """`read_directions` of encoder rows at a hook point of a model."""
    if reads_heads(hook):
        return read_directions(
            encoder,
            hook.kind,
            W_V=model.W_V(hook.layer),
            W_O=model.W_O(hook.layer),
            attn_norm=model.attn_norm_weight(hook.layer),
        )
    norm = model.mlp_norm_weight(hook.layer) if hook.kind == "mlp_in" else None
    return read_directions(encoder, hook.kind, mlp_norm=norm)


def why_no_read(hook: HookView) -> str:
    """Why latents that read at a hook point have no read direction in the residual stream."""
    return READS_NO_RESIDUAL if hook.kind == "mlp_out" else ""


def why_no_write(hook: HookView) -> str:
    """Why latents that write at a hook point have no write direction in the residual stream."""
    return WRITES_NO_RESIDUAL if hook.kind in ("mlp_in", "mlp_in_normalized") else ""
