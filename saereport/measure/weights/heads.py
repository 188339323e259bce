"""Latents and attention heads: which heads they speak for, and which tokens heads bring them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.measure.weights.context import ModelView, WeightContext, WeightTable
from saereport.measure.weights.deembedding import why_no_tokens
from saereport.measure.weights.directions import (
    by_head,
    head_directions,
    reads_at,
    reads_heads,
    why_no_read,
)
from saereport.measure.weights.extremes import extremes, joined, listed, with_more


def head_shares(decoder: Tensor, n_heads: int) -> Tensor:
    """The norm of each head's part of each decoder row, divided by the sum over heads.

    Args:
        decoder: Decoder rows of a `hook_z` SAE, float32[n, n_heads * d_head].
        n_heads: Number of heads.

    Returns:
        float32[n, n_heads]; a row without length has equal shares.
    """
    norms = by_head(decoder, n_heads).norm(dim=2).T
    total = norms.sum(dim=1, keepdim=True)
    equal = torch.full_like(norms, 1 / n_heads)
    return torch.where(total > 0, norms / torch.where(total > 0, total, 1.0), equal)


def layers_read(context: WeightContext) -> list[int]:
    """The layers whose heads can bring something to where the SAE reads."""
    hook = context.hook_in
    if reads_heads(hook):
        return [hook.layer]
    return list(range(hook.layer + int(context.model.wiring.hears_heads(hook))))


def value_weights(model: ModelView, layer: int) -> Tensor:
    """Value matrices with a norm before them folded in, float32[n_heads, d_model, d_head]."""
    values = model.W_V(layer).float().transpose(1, 2)
    return model.wiring.values(layer).back(values).transpose(1, 2)


def _through_heads(context: WeightContext, layer: int, read: Tensor) -> Tensor:
    """What each latent reads of the outputs of each head of a layer, [n_heads, n, d_head]."""
    if reads_heads(context.hook_in):
        own = head_directions(context.encoder, context.hook_in, context.model)
        assert own is not None
        return own
    # Behind the output matrices a norm may stand.
    back = context.model.wiring.heads(layer).back(read)
    return torch.einsum("nd,hkd->hnk", back, context.model.W_O(layer).float())


def strengths(values: Tensor, reads: Tensor) -> Tensor:
    """Norm of what each latent reads of each head, taken back through the value matrix.

    Args:
        values: [n_heads, d_model, d_head].
        reads: [n_heads, n, d_head].

    Returns:
        float32[n_heads, n].
    """
    # |W_V r|² is r' (W_V' W_V) r: d_head wide, where the vectors are d_model wide for each latent.
    gram = torch.einsum("hdk,hdl->hkl", values, values)
    return torch.einsum("hnk,hkl,hnl->hn", reads, gram, reads).clamp(min=0).sqrt()


def scales_after(moved: Tensor, output: Tensor, norm: str) -> Tensor:
    """What a norm divides each row of `moved @ output` by, without making the rows.

    Args:
        moved: float32[d_vocab, d_head].
        output: A head's output matrix, float32[d_head, d_model].
        norm: `layer` or `rms`, as in `context.normalized`.

    Returns:
        float32[d_vocab, 1]; one where a row has no length.
    """
    width = output.shape[1]
    if norm == "layer":
        # Centring the matrix centres every row of the product.
        output = output - output.mean(dim=1, keepdim=True)
    # Lengths follow from the Gram matrix; the rows would be a table of d_vocab times d_model.
    gram = output @ output.T
    squares = ((moved @ gram) * moved).sum(dim=1, keepdim=True).clamp(min=0)
    scale = (squares / (width - 1 if norm == "layer" else width)).sqrt()
    return torch.where(scale > 0, scale, torch.ones_like(scale))


def _head_scores(
    context: WeightContext, layer: int, head: int, moved: Tensor, latents: Tensor, read: Tensor
) -> Iterator[Tensor]:
    """Scores [n, d_vocab] of some latents, in chunks, for tokens moved by one head."""
    if reads_heads(context.hook_in):
        probes = _through_heads(context, layer, read)[head][latents]
        divisor = None
    else:
        W_O = context.model.W_O(layer)[head].float()
        output = context.model.wiring.heads(layer).along(W_O)
        rows = read[latents]
        if context.model.norm == "layer":
            # The norm centres what the head moves; taken out of the reader it comes to the same.
            rows = rows - rows.mean(dim=1, keepdim=True)
        probes = rows @ output.T
        divisor = scales_after(moved, output, context.model.norm).T
    for part in torch.split(probes, context.rows_at_once(len(moved))):
        scores = part @ moved.T
        yield scores if divisor is None else scores / divisor


def deembedding_through(
    context: WeightContext, rows: NDArray[Any], layers: NDArray[Any], heads: NDArray[Any]
) -> dict[str, Any]:
    """The extended de-embedding of latents through given heads, one pair a row.

    Value and output matrices are taken with the weights of norms before and behind them.

    Args:
        context: What to compute for.
        rows: Places in `context.latents`, int[pairs].
        layers: Layer of each pair's head; one that the SAE can read.
        heads: Its number in the layer.

    Returns:
        The columns of token lists, in the order of the pairs.
    """
    read = reads_at(context.encoder, context.hook_in, context.model)
    by_heads = np.lexsort((rows, heads, layers))
    chosen = {
        (layer, head): rows[by_heads[(layers[by_heads] == layer) & (heads[by_heads] == head)]]
        for layer, head in sorted({(int(la), int(h)) for la, h in zip(layers, heads, strict=True)})
    }
    k, first = context.listed, 0
    found: dict[str, NDArray[Any]] | None = None
    for piece in context.tokens.extended():
        parts = [extremes(scores, k) for scores in _scores(context, chosen, piece, read)]
        found = with_more(found, joined(parts, piece, k), first, k)
        first += len(piece)
    columns: dict[str, Any] = listed([] if found is None else [found], np.argsort(by_heads))
    return columns


def _scores(
    context: WeightContext,
    chosen: Mapping[tuple[int, int], NDArray[Any]],
    extended: Tensor,
    read: Tensor,
) -> Iterator[Tensor]:
    """Scores of a piece of the vocabulary through each head, [n, tokens] for some latents a time.

    Args:
        context: What to compute for.
        chosen: By layer and head, in order, the latents' places in `context.latents`.
        extended: The piece, [tokens, d_model].
        read: Read directions of the context's latents on the residual stream, [n, d_model].
    """
    model = context.model
    shared: tuple[int, int, Tensor] | None = None
    for (layer, head), places in chosen.items():
        # Query heads of one group move the same values, which are the costly product here.
        value_head = head * model.n_kv_heads // model.n_heads
        if shared is None or shared[:2] != (layer, value_head):
            shared = layer, value_head, extended @ value_weights(model, layer)[head]
        latents = torch.from_numpy(places).to(extended.device)
        yield from _head_scores(context, layer, head, shared[2], latents, read)


def compute_deembedding(context: WeightContext) -> dict[str, Any]:
    """Table `head_deembedding`: the extended de-embedding through each latent's strongest heads.

    Ties of strength go to the earlier head.
    """
    model = context.model
    layers = layers_read(context)
    read = reads_at(context.encoder, context.hook_in, model)
    found = torch.cat(
        [strengths(value_weights(model, la), _through_heads(context, la, read)) for la in layers]
    )
    k = min(context.heads, len(found))
    order = torch.sort(found.cpu(), dim=0, descending=True, stable=True).indices[:k]
    rows = np.repeat(np.arange(len(context.names)), k)
    places = np.sort(order.numpy(), axis=0).T.reshape(-1)
    of_layer, heads = np.asarray(layers)[places // model.n_heads], places % model.n_heads
    table = {
        "latent": context.names[rows],
        "layer": of_layer.astype(np.int32),
        "head": heads.astype(np.int32),
        "strength": found.cpu().numpy()[places, rows].astype(np.float32),
    }
    return {**table, **deembedding_through(context, rows, of_layer, heads)}


def compute_shares(context: WeightContext) -> dict[str, Any]:
    """Table `head_shares`."""
    shares = head_shares(context.decoder, context.model.n_heads).cpu().numpy()
    return {"latent": context.names, "shares": list(shares)}


def why_no_heads(context: WeightContext) -> str:
    """Why a context has no table that goes through heads."""
    wiring = context.model.wiring
    reason = context.sae.why_no_reads or why_no_read(context.hook_in, context.model)
    if reason := reason or why_no_tokens(context):
        return reason
    layers = layers_read(context)
    if not layers:
        return "there is no attention before the place that it reads"
    problems = [wiring.values(layer).problem for layer in layers]
    if not reads_heads(context.hook_in):
        problems += [wiring.heads(layer).problem for layer in layers]
    return next(filter(None, problems), "")


def _why_no_shares(context: WeightContext) -> str:
    if reason := context.sae.why_no_decoder:
        return reason
    heads = all(hook.kind == "z" for hook in context.sae.writes)
    return "" if heads else "it is not an SAE of attention heads (hook_z)"


DEEMBEDDING = WeightTable("head_deembedding", why_no_heads, compute_deembedding)
SHARES = WeightTable("head_shares", _why_no_shares, compute_shares)
