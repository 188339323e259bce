"""Exact attribution on prompts: latents decomposed into what they read.

Attention latents come apart by head and source position, readers of the residual stream and of an
MLP's input by component, and both by the earlier latents that reach them. Everything is a sum over
one `FrozenRun`; nothing is differentiated. `examples.example_attributions` does the same at the
peaks of a latent's top examples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from saereport.circuits.active import Active
from saereport.circuits.attribution.components import components, head_attribution
from saereport.circuits.attribution.influences import earlier_saes, followed, strongest_influences
from saereport.circuits.attribution.reads import Targets, targets_of
from saereport.circuits.attribution.rows import (
    Row,
    as_columns,
    can_be_attributed,
    component_columns,
    head_rows,
    influence_rows,
    pattern_rows,
    strongest_latents,
)
from saereport.circuits.frozen import FrozenRun, freeze_batch, is_parallel
from saereport.measure import Columns
from saereport.sources.models import LanguageModel
from saereport.sources.saes.sae import Sae

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
        if can_be_attributed(sae.hook_in) and not sae.why_no_reads
    }
    taken = [sae for sae in saes if len(chosen.get(sae.slug, ()))]
    if not taken:
        return {}
    writers = followed(model, saes)
    parallel = is_parallel(model)
    early = {sae.slug: earlier_saes(writers, sae.hook_in, parallel=parallel) for sae in taken}
    reads = dict.fromkeys(one.hook_in.name for sae in taken for one in (sae, *early[sae.slug]))
    n_layers = max(sae.hook_in.layer for sae in taken) + 1
    run = freeze_batch(model, tokens[None], n_layers=n_layers, reads=list(reads))[0]
    numbers = {sae.slug: number for number, sae in enumerate(saes)}
    rows: dict[str, list[Row]] = {"head_attributions": [], "components": [], "influences": []}
    patterns: dict[tuple[int, int], Row] = {}
    for sae in taken:
        decomposed = _Decomposed.of(run, sae, chosen[sae.slug])
        if sae.hook_in.kind == "z":
            by_head, bias = head_attribution(run, sae.hook_in, decomposed.targets)
            rows["head_attributions"] += decomposed.by_head(by_head, bias)
            patterns |= pattern_rows(run, sae.hook_in.layer, by_head, PATTERNS)
        else:
            rows["components"] += decomposed.by_component()
        sources = {numbers[one.slug]: (one, acts[one.slug]) for one in early[sae.slug]}
        rows["influences"] += decomposed.by_influence(sources, counted, influences)
    tables = {**rows, "patterns": [patterns[key] for key in sorted(patterns)]}
    return {name: as_columns(table) for name, table in tables.items() if table}


@dataclass(frozen=True, eq=False)
class _Decomposed:
    """Latents of one SAE on a prompt, and the rows of tables that say what they are made of."""

    run: FrozenRun
    sae: Sae
    active: Active
    targets: Targets

    @classmethod
    def of(cls, run: FrozenRun, sae: Sae, active: Active) -> _Decomposed:
        a = run.acts[sae.hook_in.name]
        return cls(run, sae, active, targets_of(sae, a, active.positions, active.latents))

    def _where(self) -> list[Row]:
        latents, positions = self.active.latents.tolist(), self.active.positions.tolist()
        return [
            {"sae": self.sae.slug, "latent": latent, "position": position}
            for latent, position in zip(latents, positions, strict=True)
        ]

    def _known(self) -> list[Row]:
        values, before = self.active.values.tolist(), self.targets.pre_activation.tolist()
        return [
            {**place, "activation": value, "pre_activation": pre_activation}
            for place, value, pre_activation in zip(self._where(), values, before, strict=True)
        ]

    def by_head(self, by_head: Tensor, bias: Tensor) -> list[Row]:
        return head_rows(self._known(), by_head, bias, self.targets)

    def by_component(self) -> list[Row]:
        found = components(self.run, self.sae.hook_in, self.targets)
        return [{**row, **component_columns(found, i)} for i, row in enumerate(self._known())]

    def by_influence(
        self, early: Mapping[int, tuple[Sae, Tensor]], counted: Tensor, k: int
    ) -> list[Row]:
        names = {number: sae.slug for number, (sae, _) in early.items()}
        strongest = strongest_influences(
            self.run, self.sae.hook_in, self.targets, early, counted, k
        )
        return [
            {**row, "rank": rank}
            for place, kept in zip(self._where(), strongest, strict=True)
            for rank, row in enumerate(influence_rows(place, kept, names))
        ]
