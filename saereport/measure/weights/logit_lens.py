"""The logit lens: what a latent's write direction does to the logits, directly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from saereport.measure.weights.context import PIECE, WeightContext, WeightTable
from saereport.measure.weights.directions import why_no_write, writes_of, written_at
from saereport.measure.weights.extremes import extremes, listed

_CACHED = 1 << 19
LAYER_TOKENS = 10
"""Tokens listed at each end for one of several hook points, at most."""
BINS = 60
"""Bins of the histogram over the vocabulary."""


def moments(scores: Tensor) -> dict[str, Tensor]:
    """Mean, standard deviation, skewness and excess kurtosis of each row.

    Population moments (divided by the number of entries); zero where all entries are equal.

    Args:
        scores: float32[n, width].

    Returns:
        `mean`, `std`, `skewness`, `kurtosis`, float32[n] each.
    """
    mean = scores.mean(dim=1, keepdim=True)
    centred = scores - mean
    squared = centred.square()
    variance = squared.mean(dim=1)
    divisor = torch.where(variance > 0, variance, torch.ones_like(variance))
    skewness = (squared * centred).mean(dim=1) / divisor.pow(1.5)
    kurtosis = squared.square().mean(dim=1) / divisor.square() - 3
    spread = variance > 0
    return {
        "mean": mean.squeeze(1),
        "std": variance.sqrt(),
        "skewness": torch.where(spread, skewness, torch.zeros_like(skewness)),
        "kurtosis": torch.where(spread, kurtosis, torch.zeros_like(kurtosis)),
    }


def histogram(scores: Tensor, bins: int = BINS) -> tuple[Tensor, Tensor, Tensor]:
    """Counts of each row's entries in equal bins from its smallest to its largest.

    Args:
        scores: float32[n, width].
        bins: Number of bins; the largest entry is in the last.

    Returns:
        Lower edge and bin width, float32[n], and counts, int64[n, bins]. Where all entries are
        equal the width is zero and all are in the first bin.
    """
    low, high = torch.aminmax(scores, dim=1, keepdim=True)
    width = (high - low) / bins
    divisor = torch.where(width > 0, width, torch.ones_like(width))
    at = ((scores - low) / divisor).floor().clamp(0, bins - 1).to(torch.int64)
    counts = torch.zeros((len(scores), bins), dtype=torch.int64, device=scores.device)
    counts.scatter_add_(1, at, torch.ones_like(at))
    return low.squeeze(1), width.squeeze(1), counts


def rows_in_cache(scores: Tensor) -> int:
    """On a CPU a few rows, whose temporary tables fit into its cache; elsewhere all of them."""
    cpu = scores.device.type == "cpu"
    return max(1, _CACHED // scores.shape[1] if cpu else len(scores))


def scores_of(context: WeightContext, directions: Tensor) -> Iterator[Tensor]:
    """Logits of some latents at a time, [n, n_logits]; together those of all in order."""
    tokens = context.tokens
    width = tokens.n_logits
    if tokens.logits_are_kept:
        (unembedding,) = tokens.unembedding()
        for span in context.spans(width):
            yield directions[span] @ unembedding
        return
    # Making the pieces costs as much for one latent as for many: a table as large as a piece.
    for group in torch.split(directions, max(1, PIECE // (4 * width))):
        scores = group.new_empty((len(group), width))
        first = 0
        for piece in tokens.unembedding():
            scores[:, first : first + piece.shape[1]] = group @ piece
            first += piece.shape[1]
        yield from torch.split(scores, context.rows_at_once(width))


def compute(context: WeightContext) -> dict[str, Any]:
    """Table `logit_lens`: write direction times the unembedding, the final norm folded in."""
    directions = writes_of(context.sae, context.model, context.chosen)
    columns: dict[str, list[np.ndarray[Any, Any]]] = {}
    parts = []
    for scores in scores_of(context, directions):
        for few in torch.split(scores, rows_in_cache(scores)):
            lower, width, counts = histogram(few)
            numbers = {**moments(few), "lower": lower, "width": width, "counts": counts}
            for name, values in numbers.items():
                columns.setdefault(name, []).append(values.cpu().numpy())
        parts.append(extremes(scores, context.listed))
    joined = {name: np.concatenate(values) for name, values in columns.items()}
    counts32 = list(joined.pop("counts").astype(np.int32)) if joined else []
    names = ("mean", "std", "skewness", "kurtosis", "lower", "width")
    numbers32 = {name: joined.get(name, np.zeros(0, dtype=np.float32)) for name in names}
    empty = extremes(torch.zeros((0, context.tokens.n_logits)), context.listed)
    table = {"latent": context.names, **numbers32, "counts": counts32}
    return {**table, **listed(parts or [empty])}


def _why_not(context: WeightContext) -> str:
    return context.sae.why_no_decoder or _why_no_lens(context)


def _why_no_lens(context: WeightContext) -> str:
    model = context.model
    return why_no_write(context.sae.writes, model) or model.wiring.unembedding_problem


def compute_layers(context: WeightContext) -> dict[str, Any]:
    """Table `write_layers`: norms and lens of what latents write at each hook point.

    Where there is no logit lens, the lists of tokens are empty.
    """
    sae, n = context.sae, len(context.names)
    listing = 0 if _why_no_lens(context) else min(context.listed, LAYER_TOKENS)
    empty = extremes(torch.zeros((0 if listing else n, context.tokens.n_logits)), 0)
    norms, lists = [], []
    for place in range(len(sae.writes)):
        rows = sae.write_rows(context.chosen, place).float()
        norms.append(rows.norm(dim=1).cpu().numpy())
        parts = []
        if listing:
            directions = written_at(sae, context.model, context.chosen, place)
            parts = [extremes(scores, listing) for scores in scores_of(context, directions)]
        lists.append(listed(parts or [empty]))
    # Rows are sorted by (latent, layer): the hook points take turns.
    columns = {
        name: [row for rows in zip(*(found[name] for found in lists), strict=True) for row in rows]
        for name in lists[0]
    }
    layers = np.array([hook.layer for hook in sae.writes], dtype=np.int32)
    return {
        "latent": np.repeat(context.names, len(layers)),
        "layer": np.tile(layers, n),
        "norm": np.stack(norms, axis=1).reshape(-1).astype(np.float32),
        **columns,
    }


def _why_no_layers(context: WeightContext) -> str:
    if len(context.sae.writes) == 1:
        return context.sae.why_no_decoder or "it writes to one hook point"
    return context.sae.why_no_decoder


TABLE = WeightTable("logit_lens", _why_not, compute)
LAYERS = WeightTable("write_layers", _why_no_layers, compute_layers)
