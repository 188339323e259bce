"""Earlier latents that push a latent up or down directly."""

from __future__ import annotations

from typing import Any

import numpy as np

from saereport.measure.weights.context import SaeWeights, WeightContext, WeightTable
from saereport.measure.weights.directions import (
    reads_at,
    reads_heads,
    why_no_read,
    why_no_write,
    writes_of,
)
from saereport.measure.weights.extremes import extremes_in_chunks


def earlier(context: WeightContext) -> list[SaeWeights]:
    """The other SAEs and transcoders that write into the residual stream before this one reads.

    Sorted by slug; without those that have no decoder. Two at the same hook point are not earlier
    than one another, and in a parallel block the MLP does not read what the heads beside it add.
    """
    found = [other for other in context.others if places_before(context, other)]
    return sorted(found, key=lambda other: other.slug)


def places_before(context: WeightContext, other: SaeWeights) -> list[int]:
    """At which of its hook points another SAE writes before this one reads."""
    reads, model = context.hook_in, context.model
    found = []
    for place, writes in enumerate(other.writes):
        if writes.depth >= reads.depth or other.why_no_decoder or why_no_write([writes], model):
            continue
        beside = writes.layer == reads.layer and reads_heads(writes)
        if not beside or reads_heads(reads) or model.wiring.hears_heads(reads):
            found.append(place)
    return found


def compute(context: WeightContext) -> dict[str, Any]:
    """Table `pullbacks`: the earlier one's write directions times this one's read directions."""
    directions = reads_at(context.encoder, context.hook_in, context.model)
    onto = earlier(context)
    found = []
    for other in onto:
        writes = writes_of(other, context.model, None, places_before(context, other))
        found.append(extremes_in_chunks(context, directions, [writes], names="latents"))
    n = len(context.names)
    columns = {name: [part[name][i] for i in range(n) for part in found] for name in found[0]}
    slugs = [other.slug for other in onto] * n
    return {"latent": np.repeat(context.names, len(onto)), "early": slugs, **columns}


def _why_not(context: WeightContext) -> str:
    if reason := context.sae.why_no_reads or why_no_read(context.hook_in, context.model):
        return reason
    if earlier(context):
        return ""
    for other in context.others:
        before = other.writes[0].depth < context.hook_in.depth
        if before and other.why_no_decoder:
            return f"what {other.slug} writes before it reads is not known: {other.why_no_decoder}"
    return "no other SAE of this report writes before it reads"


TABLE = WeightTable("pullbacks", _why_not, compute)
