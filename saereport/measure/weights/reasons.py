"""Why an SAE lacks tables of weights, known before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping

from saereport.measure.weights.context import WeightContext, WeightTable
from saereport.measure.weights.directions import reads_heads
from saereport.measure.weights.heads import layers_read


def unexplained(
    context: WeightContext, tables: Mapping[str, WeightTable]
) -> dict[str, tuple[str, ...]]:
    """Tables that an SAE lacks because its model could not be made out, not by its kind.

    Args:
        context: The SAE and the model; no latents are needed.
        tables: The tables of weights.

    Returns:
        Names of tables, by the reason.
    """
    problems = _problems(context)
    found: dict[str, tuple[str, ...]] = {}
    for table in tables.values():
        reason = table.why_not(context)
        if reason in problems:
            found[reason] = (*found.get(reason, ()), table.name)
    return found


def _problems(context: WeightContext) -> set[str]:
    wiring, reads = context.model.wiring, context.hook_in
    found = {
        wiring.stream,
        wiring.embedding_problem,
        wiring.mlp0_problem,
        wiring.unembedding_problem,
    }
    for writes in context.sae.writes:
        if writes.kind not in ("mlp_in", "mlp_in_normalized"):
            found.add(wiring.out_of(writes).problem)
    if reads.kind != "mlp_out":
        found.add(wiring.into(reads).problem)
        for layer in layers_read(context):
            found.add(wiring.values(layer).problem)
            if not reads_heads(reads):
                found.add(wiring.heads(layer).problem)
    return found - {""}
