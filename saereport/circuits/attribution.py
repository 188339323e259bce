"""Exact attribution on prompts: latents decomposed into what they read.

Attention latents come apart by head and source position, readers of the residual stream and of an
MLP's input by component, and both by the earlier latents that reach them. Everything is a sum over
one `FrozenRun`; nothing is differentiated. `example_attributions` does the same at the peaks of a
latent's top examples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from saereport.circuits.attribution_reads import targets_of
from saereport.circuits.attribution_rows import (
    Row,
    as_columns,
    can_be_attributed,
    component_columns,
    head_rows,
    influence_rows,
    pattern_rows,
    strongest_latents,
)
from saereport.circuits.components import components, head_attribution
from saereport.circuits.examples import example_attributions
from saereport.circuits.frozen import freeze_batch
from saereport.circuits.influences import earlier_saes, followed, strongest_influences
from saereport.measure import Columns
from saereport.sources.models import LanguageModel
from saereport.sources.saes.sae import Sae

__all__ = ["example_attributions", "prompt_attributions"]

PATTERNS = 2
"""Heads of each attention SAE whose patterns are given."""


def prompt_attributions(
    model: LanguageModel,
    saes: Sequence[Sae],
    tokens: Tensor,
    counted: Tensor,
    acts: Mapping[str, Tensor],
    *,
    attributed: int,
    influences: int,
) -> dict[str, Columns]:
    """Take the most active latents of each SAE on a prompt apart.

    Args:
        model: The language model.
        saes: The report's SAEs; those that read what a sublayer adds are left out as targets.
        tokens: Token ids `[pos]`.
        counted: Positions that take part, bool `[pos]`.
        acts: Activations of each SAE in the true run, by slug, `[pos, d_sae]`.
        attributed: Latents of each SAE, see `strongest_latents`.
        influences: Influences listed for each.

    Returns:
        Tables `head_attributions`, `patterns`, `components` and `influences` without their column
        `prompt`, in the order of the SAEs; a table that would have no row is not there.

    Raises:
        SaereportError: The model is not one that can be frozen.
    """
    chosen = {
        sae.slug: strongest_latents(acts[sae.slug], counted, attributed)
        for sae in saes
        if can_be_attributed(sae.hook_in)
    }
    taken = [sae for sae in saes if len(chosen.get(sae.slug, ()))]
    if not taken:
        return {}
    reads = [sae.hook_in.name for sae in taken]
    n_layers = max(sae.hook_in.layer for sae in taken) + 1
    run = freeze_batch(model, tokens[None], n_layers=n_layers, reads=reads)[0]
    names = dict(enumerate(sae.slug for sae in saes))
    rows: dict[str, list[Row]] = {"head_attributions": [], "components": [], "influences": []}
    patterns: dict[tuple[int, int], Row] = {}
    writers = followed(model, saes)
    for sae in taken:
        hook, active = sae.hook_in, chosen[sae.slug]
        targets = targets_of(sae, run.acts[hook.name], active.positions, active.latents)
        where = [
            {"sae": sae.slug, "latent": latent, "position": position}
            for latent, position in zip(
                active.latents.tolist(), active.positions.tolist(), strict=True
            )
        ]
        known = [
            {
                **place,
                "activation": float(active.values[i]),
                "pre_activation": float(targets.pre_activation[i]),
            }
            for i, place in enumerate(where)
        ]
        if hook.kind == "z":
            by_head, bias = head_attribution(run, hook, targets)
            rows["head_attributions"] += head_rows(known, by_head, bias, targets)
            patterns |= pattern_rows(run, hook.layer, by_head, PATTERNS)
        else:
            found = components(run, hook, targets)
            rows["components"] += [
                {**row, **component_columns(found, i)} for i, row in enumerate(known)
            ]
        before = {id(other) for other in earlier_saes(writers, hook, parallel=run.parallel)}
        early = {
            number: (other, acts[other.slug])
            for number, other in enumerate(saes)
            if id(other) in before
        }
        strongest = strongest_influences(run, hook, targets, early, counted, influences)
        for place, kept in zip(where, strongest, strict=True):
            rows["influences"] += [
                {**row, "rank": rank} for rank, row in enumerate(influence_rows(place, kept, names))
            ]
    tables = {**rows, "patterns": [patterns[key] for key in sorted(patterns)]}
    return {name: as_columns(table) for name, table in tables.items() if table}
