"""Which tokens' embeddings a latent reads."""

from __future__ import annotations

from typing import Any

import numpy as np

from saereport.measure.weights.context import WeightContext, WeightTable
from saereport.measure.weights.directions import reads_at, why_no_read
from saereport.measure.weights.extremes import extremes_in_chunks


def compute(context: WeightContext) -> dict[str, Any]:
    """Table `deembedding`: raw and extended embedding rows times each latent's read direction."""
    directions = reads_at(context.encoder, context.hook_in, context.model)
    tokens = context.tokens
    found = {
        kind: extremes_in_chunks(context, directions, rows)
        for kind, rows in (("extended", tokens.extended()), ("raw", tokens.embedding()))
    }
    # Rows are sorted by (latent, kind): the two tables take turns.
    columns = {
        name: [
            values
            for pair in zip(*(found[kind][name] for kind in found), strict=True)
            for values in pair
        ]
        for name in found["raw"]
    }
    kinds = list(found) * len(context.names)
    return {"latent": np.repeat(context.names, 2), "kind": kinds, **columns}


def why_no_tokens(context: WeightContext) -> str:
    """Why there are no embeddings, raw and extended, that latents could read."""
    wiring = context.model.wiring
    return wiring.embedding_problem or wiring.mlp0_problem


def _why_not(context: WeightContext) -> str:
    reason = context.sae.why_no_reads or why_no_read(context.hook_in, context.model)
    return reason or why_no_tokens(context)


TABLE = WeightTable("deembedding", _why_not, compute)
