"""An SAE as a whole: how well its reconstruction stands in for the activations.

The first tokens of the text go through the model block by block (`block_sums`), once as it is and
once for every way in which an activation is replaced. SAEs share the true run, and those that
write at the same hook point the runs with zero and with the mean. Sums are kept for every sequence:
intervals come from drawing sequences anew, without more runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from saereport.evaluate.block_sums import (
    ORIGINAL,
    Block,
    Joining,
    Sums,
    Variant,
    block_sums,
    cut,
    means_of,
    runs_of,
)
from saereport.evaluate.figures import (
    Figures,
    Runs,
    fit_figures,
    loss_figures,
    n_unusual,
    unusual_sums,
)
from saereport.evaluate.sequences import (
    SequenceBatches,
    Sequences,
    first_counted,
    sequences_at_a_time,
)
from saereport.evaluate.warnings import doubts
from saereport.intervene.splicing import places, spliced_sequences
from saereport.measure import Columns
from saereport.run.kinds import LARGEST
from saereport.sources.devices import is_out_of_memory
from saereport.sources.forward import forward
from saereport.sources.models import LanguageModel
from saereport.sources.saes.sae import Sae
from saereport.util.errors import SaereportError
from saereport.util.progress import Bar, Progress

__all__ = [
    "ORIGINAL",
    "Evaluation",
    "Measure",
    "SequenceBatches",
    "Sequences",
    "Variant",
    "evaluate",
    "first_counted",
    "is_kept",
    "sequences_at_a_time",
    "why_not_spliced",
]

Measure = Callable[[Sequence[Block], Bar], Iterable[tuple[int, Sums | None]]]
"""Gives the number and the sums of every block, in any order; None where memory ran out."""


@dataclass(frozen=True)
class Evaluation:
    """What came of it.

    Attributes:
        tables: Table `sae_metrics` of each SAE, by slug.
        left_out: Why an SAE has none, by slug.
        doubts: What a reader must know before leaning on an SAE's figures, by slug.
    """

    tables: Mapping[str, Columns] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    doubts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def evaluate(
    model: LanguageModel,
    saes: Sequence[Sae],
    tokens: NDArray[np.int32],
    counted: NDArray[np.bool_],
    progress: Progress,
    measure: Measure | None = None,
) -> Evaluation:
    """Table `sae_metrics` of every SAE, each spliced into the model alone.

    Activations are replaced at counted tokens only, and a prediction is judged where it is made at
    a counted token and the next token counts as well. A transcoder's reconstruction stands in for
    what its write point holds.

    Args:
        model: The language model.
        saes: SAEs and transcoders that fit it.
        tokens: Token ids of whole sequences, `[n, pos]`.
        counted: Tokens to evaluate on, `[n, pos]`.
        progress: Where to say what is going on.
        measure: Who measures the blocks; one after the other, by this process, unless given.

    Returns:
        The tables, and reasons where there is none: the SAE cannot be spliced in, numbers
        overflow, memory runs out, or there is no prediction to judge.
    """
    some = counted.any(axis=1)
    tokens, counted = tokens[some], counted[some]
    if not bool((counted[:, :-1] & counted[:, 1:]).any()):
        reason = "the text has no token to predict after one that counts"
        return Evaluation(left_out={sae.slug: reason for sae in saes})
    tables: dict[str, Columns] = {}
    said: dict[str, tuple[str, ...]] = {}
    with torch.no_grad():
        trial = Sequences(
            torch.from_numpy(tokens[:1].astype(np.int64)).to(model.device),
            torch.from_numpy(counted[:1]).to(model.device),
        )
        left_out = {sae.slug: why_not_spliced(model, sae, trial) for sae in saes}
        fit = [sae for sae in saes if not left_out[sae.slug]]
        found = _measured(model, fit, (tokens, counted), progress, measure) if fit else {}
    for slug, figures in found.items():
        left_out[slug] = "" if _usable(figures) else "its numbers are not finite"
        if not left_out[slug]:
            tables[slug] = _columns(figures)
            said[slug] = doubts(figures)
    left_out |= {sae.slug: "memory ran out" for sae in fit if sae.slug not in found}
    return Evaluation(tables, {slug: why for slug, why in left_out.items() if why}, said)


def why_not_spliced(model: LanguageModel, sae: Sae, text: Sequences) -> str:
    """Why an SAE cannot be spliced in, tried on the beginning of a text; empty where it can."""
    if sae.why_not_alone:
        return sae.why_not_alone
    few = text.part(0, 1)
    few = Sequences(few.tokens[:, :2], few.counted[:, :2])
    try:
        acts = forward(model, few.tokens, reads=places(sae)).acts
        reconstruction = spliced_sequences(sae, acts, few.counted)
        name = sae.write_point.name
        forward(model, few.tokens, edits={name: lambda _: reconstruction}, reads=[name])
    except SaereportError as error:
        return str(error)
    return ""


def _usable(figures: Figures) -> bool:
    """Whether the sums came out as numbers; a quotient may have had nothing to divide by."""
    sums = ("mse", "l1", "ce_original", "ce_spliced", "ce_zero", "ce_mean", "kl_spliced")
    return all(is_kept(figures[name].value) for name in sums)


def is_kept(number: float) -> bool:
    """Whether a run can hold it: a number that is not beyond all measure."""
    return math.isfinite(number) and abs(number) <= LARGEST


def _columns(figures: Figures) -> Columns:
    names = [name for name in sorted(figures) if is_kept(figures[name].value)]
    ends = [figures[name].interval or () for name in names]
    return {
        "metric": names,
        "value": np.array([figures[name].value for name in names], dtype=np.float64),
        "interval": [list(pair) if all(map(is_kept, pair)) else [] for pair in ends],
        "n_tokens": np.array([figures[name].n_tokens for name in names], dtype=np.int64),
        "n_sequences": np.array([figures[name].n_sequences for name in names], dtype=np.int64),
    }


def _measured(
    model: LanguageModel,
    saes: Sequence[Sae],
    text: tuple[NDArray[np.int32], NDArray[np.bool_]],
    progress: Progress,
    measure: Measure | None,
) -> dict[str, Figures]:
    """The figures of each SAE; none where memory ran out."""
    tokens, counted = text
    n_counted = int(counted.sum())
    by_whom = measure or (lambda blocks, bar: _here(model, saes, blocks, bar))
    found = Joining(n_unusual(n_counted))
    with progress.bar("Evaluating the SAEs", n_counted * runs_of(saes), "tok") as bar:
        try:
            text_of_all = Block(
                tuple(sae.slug for sae in saes),
                tokens,
                counted,
                0,
                means_of(model, saes, tokens, counted),
                n_unusual(n_counted),
            )
            edges = cut(len(tokens), sequences_at_a_time(tokens.shape[1], model.d_vocab))
            for number, sums in by_whom([text_of_all.part(*ends) for ends in edges], bar):
                if sums is None:
                    return {}
                found.add(number, sums)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return {}
    whole = found.joined()
    return {sae.slug: _figures_of(whole, sae.slug) for sae in saes}


def _here(
    model: LanguageModel, saes: Sequence[Sae], blocks: Sequence[Block], bar: Bar
) -> Iterator[tuple[int, Sums]]:
    for number, block in enumerate(blocks):
        yield number, block_sums(model, saes, block, bar.advance)


def _figures_of(sums: Sums, slug: str) -> Figures:
    name, losses = sums.written[slug], sums.losses
    activations = sums.activations[name]
    unusual = unusual_sums(sums.largest[name], sums.errors[slug], len(activations.n))
    runs = Runs(
        losses[ORIGINAL], losses["spliced", slug], losses["zero", name], losses["mean", name]
    )
    return fit_figures(activations, sums.fits[slug], unusual) | loss_figures(runs)
