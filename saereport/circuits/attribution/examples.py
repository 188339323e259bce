"""Exact attribution at the peaks of latents' top examples."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from saereport.circuits.attribution.components import components, head_attribution
from saereport.circuits.attribution.influences import earlier_saes, followed, strongest_influences
from saereport.circuits.attribution.reads import Targets, targets_of
from saereport.circuits.attribution.rows import (
    Row,
    as_columns,
    can_be_attributed,
    component_columns,
    influence_rows,
)
from saereport.circuits.attribution.summary import head_deembedding, influence_counts
from saereport.circuits.frozen import FrozenRun, freeze_batch, is_parallel
from saereport.measure import Columns
from saereport.measure.weights import TokenRows
from saereport.sources.models import LanguageModel
from saereport.sources.saes.sae import Sae

SOURCES = 24
"""Source positions before the peak that are told apart; what comes from before them is summed."""

_BATCH = 256 * 2**20
"""Bytes that the frozen passes of one batch may take, about."""


@dataclass(frozen=True)
class Peak:
    """One example of one latent: which sequence, and where the latent is most active in it."""

    latent: int
    rank: int
    sequence: int
    position: int
    activation: float


@dataclass(frozen=True, eq=False)
class TopExamples:
    """Where latents are most active in a text.

    Attributes:
        latents: The latents.
        table: Table `examples`, of which group `top` is used.
        tokens_of: Token ids of a sequence.
    """

    latents: NDArray[Any] | Sequence[int]
    table: Columns
    tokens_of: Callable[[int], list[int]]

    def peaks(self, per_latent: int) -> list[Peak]:
        """The peaks of each latent's first examples, by latent and rank."""
        latents = {int(latent) for latent in self.latents}
        names = ("latent", "rank", "sequence", "position", "activation", "group")
        rows = zip(*(np.asarray(self.table[name]).tolist() for name in names), strict=True)
        found = [
            Peak(*row)
            for *row, group in rows
            if group == "top" and row[0] in latents and row[1] < per_latent
        ]
        return sorted(found, key=lambda peak: (peak.latent, peak.rank))


@dataclass(frozen=True)
class ExampleLimits:
    """How much of examples is given.

    Attributes:
        per_latent: Examples of each latent.
        influences: Influences listed for each example, and latents counted for each latent.
        listed: Tokens listed at each end of a de-embedding.
        include_bos: Treat BOS and other special tokens as sources of influence like any other.
    """

    per_latent: int
    influences: int
    listed: int
    include_bos: bool = False


def example_attributions(
    model: LanguageModel,
    saes: Sequence[Sae],
    sae: Sae,
    examples: TopExamples,
    limits: ExampleLimits,
    token_rows: TokenRows,
    *,
    advance: Callable[[int], None] | None = None,
) -> dict[str, Columns]:
    """Take latents of one SAE apart at the peaks of their top examples.

    Each sequence is run up to its last peak and no further: no position sees a later one.

    Args:
        model: The language model.
        saes: The report's SAEs.
        sae: The one whose latents they are.
        examples: The latents and their examples.
        limits: How much is given.
        token_rows: The model's vocabulary.
        advance: Called with the number of examples that were done.

    Returns:
        Tables `example_heads` or `example_components`, `example_influences`, `influence_counts`
        and `example_head_deembedding`; a table that would have no row is not there, and none is
        for SAEs that read what a sublayer adds.

    Raises:
        SaereportError: The model is not one that can be frozen.
    """
    peaks = examples.peaks(limits.per_latent)
    if not peaks or not can_be_attributed(sae.hook_in):
        return {}
    others = followed(model, [other for other in saes if other is not sae])
    early = earlier_saes(others, sae.hook_in, parallel=is_parallel(model))
    uncounted = frozenset() if limits.include_bos else model.special_ids
    decomposed: dict[Peak, Row] = {}
    influenced: dict[Peak, list[Row]] = {}

    def take(sequences: dict[int, list[Peak]]) -> None:
        # The frozen runs of a batch are gone when the next one is frozen.
        runs = _freeze(model, sae, early, sequences, examples.tokens_of)
        for run, mine in zip(runs, sequences.values(), strict=True):
            decomposed.update(_decomposed(run, sae, mine))
            influenced.update(_influenced(run, sae, mine, early, uncounted, limits.influences))
            if advance is not None:
                advance(len(mine))

    for sequences in _batches(peaks, model, sae.hook_in.layer + 1):
        take(sequences)
    rows = [decomposed[peak] for peak in peaks]
    name = "example_heads" if sae.hook_in.kind == "z" else "example_components"
    tables = {name: as_columns(rows)}
    if flat := [row for peak in peaks for row in influenced[peak]]:
        tables["example_influences"] = as_columns(flat)
        tables["influence_counts"] = influence_counts(rows, flat, limits.influences)
    if deembedded := head_deembedding(sae, rows, token_rows, limits.listed):
        tables["example_head_deembedding"] = deembedded
    return tables


def _influenced(
    run: FrozenRun,
    sae: Sae,
    peaks: Sequence[Peak],
    early: Sequence[Sae],
    uncounted: Collection[int],
    k: int,
) -> dict[Peak, list[Row]]:
    """Rows of `example_influences` for the peaks of one sequence; sources relative to the peak."""
    stop = max(peak.position for peak in peaks) + 1
    tokens = run.tokens[:stop].tolist()
    counted = torch.tensor([token not in uncounted for token in tokens])
    acts = {
        i: (other, other.encode(run.acts[other.hook_in.name][:stop]))
        for i, other in enumerate(early)
    }
    targets = _targets(run, sae, peaks)
    strongest = strongest_influences(run, sae.hook_in, targets, acts, counted, k)
    names = {number: other.slug for number, other in enumerate(early)}
    found = {}
    for peak, kept in zip(peaks, strongest, strict=True):
        rows = influence_rows({"latent": peak.latent, "rank": peak.rank}, kept, names)
        found[peak] = [
            {
                **row,
                "number": number,
                "token": tokens[row["source"]],
                "source": row["source"] - peak.position,
            }
            for number, row in enumerate(rows)
        ]
    return found


def _batches(
    peaks: Sequence[Peak], model: LanguageModel, n_layers: int
) -> Iterator[dict[int, list[Peak]]]:
    """Peaks by sequence, the sequences in batches of similar length."""
    by_sequence: dict[int, list[Peak]] = {}
    for peak in peaks:
        by_sequence.setdefault(peak.sequence, []).append(peak)
    lengths = {s: max(p.position for p in mine) + 1 for s, mine in by_sequence.items()}
    batch: dict[int, list[Peak]] = {}
    for sequence in sorted(by_sequence, key=lambda s: (lengths[s], s)):
        # A frozen layer keeps four places of the residual stream, and the patterns.
        a_token = 4 * n_layers * (4 * model.d_model + model.n_heads * lengths[sequence])
        if batch and (len(batch) + 1) * lengths[sequence] * a_token > _BATCH:
            yield batch
            batch = {}
        batch[sequence] = by_sequence[sequence]
    if batch:
        yield batch


def _freeze(
    model: LanguageModel,
    sae: Sae,
    early: Sequence[Sae],
    sequences: dict[int, list[Peak]],
    tokens_of: Callable[[int], list[int]],
) -> list[FrozenRun]:
    rows = [
        tokens_of(sequence)[: max(peak.position for peak in mine) + 1]
        for sequence, mine in sequences.items()
    ]
    longest = max(map(len, rows))
    padded = [[*row, *row[-1:] * (longest - len(row))] for row in rows]
    return freeze_batch(
        model,
        torch.tensor(padded),
        n_layers=sae.hook_in.layer + 1,
        reads=[sae.hook_in.name, *(other.hook_in.name for other in early)],
    )


def _targets(run: FrozenRun, sae: Sae, peaks: Sequence[Peak]) -> Targets:
    a = run.acts[sae.hook_in.name]
    positions = torch.tensor([peak.position for peak in peaks], device=a.device)
    latents = torch.tensor([peak.latent for peak in peaks], device=a.device)
    return targets_of(sae, a, positions, latents)


def _decomposed(run: FrozenRun, sae: Sae, peaks: Sequence[Peak]) -> dict[Peak, Row]:
    hook, targets = sae.hook_in, _targets(run, sae, peaks)
    rows: dict[Peak, Row] = {
        peak: {
            "latent": peak.latent,
            "rank": peak.rank,
            "sequence": peak.sequence,
            "position": peak.position,
            "activation": peak.activation,
            "pre_activation": float(targets.pre_activation[i]),
        }
        for i, peak in enumerate(peaks)
    }
    if hook.kind != "z":
        found = components(run, hook, targets)
        return {p: rows[p] | component_columns(found, i) for i, p in enumerate(peaks)}
    by_head, bias = head_attribution(run, hook, targets)
    for i, peak in enumerate(peaks):
        start = max(peak.position - SOURCES, 0)
        by_source = by_head[i].sum(dim=0)
        sources = by_source[start : peak.position + 1].clone()
        sources[0] += by_source[:start].sum()
        rows[peak] |= {
            "start": start,
            "bias": float(bias[i]),
            "heads": by_head[i].sum(dim=1).cpu().numpy(),
            "sources": sources.cpu().numpy(),
        }
    return rows
