"""An SAE as a whole: how well its reconstruction stands in for the activations.

Two passes over the first tokens of the text. The first one reads activations: what the SAE keeps
of them, and their mean. The second one runs the model to the end, once as it is and once for every
way in which an activation is replaced, and compares the predictions. SAEs that write at the same
hook point share the runs with zero and with the mean. Sums are kept for every sequence: intervals
come from drawing sequences anew, without more runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.evaluate.figures import (
    Figures,
    Runs,
    fit_figures,
    loss_figures,
    unusual_sums,
    unusual_tokens,
)
from saereport.evaluate.sums import (
    Activations,
    Fit,
    Floats,
    Joined,
    Losses,
    activations_of,
    by_sequence,
    fit_of,
    losses_of,
)
from saereport.evaluate.warnings import doubts
from saereport.intervene.splicing import places, spliced_sequences
from saereport.measure import Columns
from saereport.run.kinds import LARGEST
from saereport.sources.devices import is_out_of_memory
from saereport.sources.forward import forward
from saereport.sources.models import LanguageModel
from saereport.sources.saes.sae import Sae
from saereport.sources.text.packing import Packed
from saereport.util.errors import SaereportError
from saereport.util.progress import Bar, Progress

LOGIT_BYTES = 128 * 2**20
"""Bytes of float32 logits of one batch, if that has more than one sequence."""

CHUNK_BYTES = 16 * 2**20
"""Bytes of float32 logits that are compared at a time."""

T = TypeVar("T")
K = TypeVar("K")
J = TypeVar("J", bound=Joined)
Variant = tuple[str, str]
"""`spliced` and an SAE's slug, `zero` or `mean` and a hook point, or `original` and nothing."""

ORIGINAL: Variant = ("original", "")


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


@dataclass(frozen=True, eq=False)
class _Read:
    """What the first pass gives: activations by hook point, and what SAEs keep of them by slug."""

    activations: dict[str, Activations]
    fits: dict[str, Fit]


@dataclass(frozen=True, eq=False)
class _Judged:
    """What the second pass gives: losses, and the sums of unusual activations by hook point."""

    losses: dict[Variant, Losses]
    unusual: dict[str, Floats]


@dataclass(frozen=True, eq=False)
class Sequences:
    """Sequences to evaluate on.

    Attributes:
        tokens: Token ids, int64 `[n, pos]`, on the model's device.
        counted: Tokens whose activations are replaced and measured, bool `[n, pos]`, there too.
        first: Number of the first of them in the whole text.
    """

    tokens: Tensor
    counted: Tensor
    first: int = 0

    def __len__(self) -> int:
        return len(self.tokens)

    def part(self, start: int, stop: int) -> Sequences:
        """Some of the sequences."""
        return Sequences(self.tokens[start:stop], self.counted[start:stop], self.first + start)

    def predicting(self) -> Tensor:
        """Which counted tokens are followed by another one, bool `[n, pos]`."""
        both = torch.zeros_like(self.counted)
        both[:, :-1] = self.counted[:, :-1] & self.counted[:, 1:]
        return both


def first_counted(packed: Iterable[Packed], n: int) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """The sequences that hold the first `n` counted tokens of a text.

    Returns:
        Token ids `[sequences, pos]`, and which tokens are among the `n`, or among the fewer that
        the text has.
    """
    tokens, within = [], []
    for part in packed:
        for row, counted in zip(part.tokens, part.counted, strict=True):
            tokens.append(row)
            within.append(counted & (np.cumsum(counted) <= n))
            n -= int(within[-1].sum())
            if n == 0:
                return np.stack(tokens), np.stack(within)
    return np.stack(tokens), np.stack(within)


def sequences_at_a_time(context_size: int, d_vocab: int) -> int:
    """Sequences in a batch, unless memory runs out.

    It depends on the model and the context alone: equal settings give equal sums.
    """
    return max(1, LOGIT_BYTES // (4 * context_size * d_vocab))


def evaluate(
    model: LanguageModel,
    saes: Sequence[Sae],
    tokens: NDArray[np.int32],
    counted: NDArray[np.bool_],
    progress: Progress,
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

    Returns:
        The tables, and reasons where there is none: the SAE cannot be spliced in, numbers
        overflow, memory runs out, or there is no prediction to judge.
    """
    some = counted.any(axis=1)
    text = Sequences(
        torch.from_numpy(tokens[some].astype(np.int64)).to(model.device),
        torch.from_numpy(counted[some]).to(model.device),
    )
    if not bool(text.predicting().any()):
        reason = "the text has no token to predict after one that counts"
        return Evaluation(left_out={sae.slug: reason for sae in saes})
    tables: dict[str, Columns] = {}
    said: dict[str, tuple[str, ...]] = {}
    with torch.no_grad():
        left_out = {sae.slug: why_not_spliced(model, sae, text) for sae in saes}
        fit = [sae for sae in saes if not left_out[sae.slug]]
        try:
            for slug, figures in _measured(model, fit, text, progress).items():
                left_out[slug] = "" if _usable(figures) else "its numbers are not finite"
                if not left_out[slug]:
                    tables[slug] = _columns(figures)
                    said[slug] = doubts(figures)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            left_out |= {sae.slug: "memory ran out" for sae in fit}
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
    model: LanguageModel, saes: Sequence[Sae], text: Sequences, progress: Progress
) -> dict[str, Figures]:
    if not saes:
        return {}
    n_counted = int(text.counted.sum())
    runs = 2 + len(saes) + 2 * len({sae.write_point.name for sae in saes})
    batches = SequenceBatches(sequences_at_a_time(text.tokens.shape[1], model.d_vocab))
    with progress.bar("Evaluating the SAEs", n_counted * runs, "tok") as bar:
        read = [*batches.over(text, lambda part: _read(model, saes, part, bar))]
        activations = _joined([one.activations for one in read])
        fits = _joined([one.fits for one in read])
        means = {name: a.total.sum(axis=0) / n_counted for name, a in activations.items()}
        unusual = {name: _places(text, a) for name, a in activations.items()}
        judged = [*batches.over(text, lambda part: _judge(model, saes, part, means, unusual, bar))]
    losses = _joined([one.losses for one in judged])
    totals = {name: np.concatenate([one.unusual[name] for one in judged]) for name in unusual}
    return {
        sae.slug: fit_figures(
            activations[name],
            fits[sae.slug],
            unusual_sums(activations[name], fits[sae.slug], totals[name]),
        )
        | loss_figures(
            Runs(
                losses[ORIGINAL],
                losses["spliced", sae.slug],
                losses["zero", name],
                losses["mean", name],
            )
        )
        for sae in saes
        for name in [sae.write_point.name]
    }


def _joined(parts: Sequence[Mapping[K, J]]) -> dict[K, J]:
    """For every key the arrays of all parts of the text."""
    return {key: type(one).joined([part[key] for part in parts]) for key, one in parts[0].items()}


def _places(text: Sequences, activations: Activations) -> Tensor:
    """Where the tokens of largest norm are, bool `[n, pos]`."""
    found = torch.zeros_like(text.counted)
    chosen = unusual_tokens(activations.token_square)
    found[text.counted] = torch.from_numpy(chosen).to(found.device)
    return found


class SequenceBatches:
    """How many sequences go through the model at a time; halves when memory runs out."""

    def __init__(self, size: int) -> None:
        self.size = size

    def over(self, text: Sequences, compute: Callable[[Sequences], T]) -> Iterator[T]:
        """What `compute` gives for each batch; its error where one sequence is too much."""
        start = 0
        while start < len(text):
            part = text.part(start, min(start + self.size, len(text)))
            found: T | None = None
            try:
                found = compute(part)
            except Exception as error:
                if not is_out_of_memory(error) or len(part) == 1:
                    raise
            if found is not None:
                yield found
                start += len(part)
                continue
            # Only outside the except block is nothing holding the failed attempt's tensors.
            self.size = len(part) // 2
            if part.tokens.device.type == "cuda":
                torch.cuda.empty_cache()


def _read(model: LanguageModel, saes: Sequence[Sae], batch: Sequences, bar: Bar) -> _Read:
    names = sorted({name for sae in saes for name in places(sae)})
    run = forward(model, batch.tokens, reads=names)
    counts = _counts(batch.counted)
    written = sorted({sae.write_point.name for sae in saes})
    found = _Read(
        activations={
            name: activations_of(run.acts[name][batch.counted], counts) for name in written
        },
        fits={sae.slug: fit_of(sae, run.acts, batch.counted, counts) for sae in saes},
    )
    bar.advance(int(batch.counted.sum()))
    return found


def _counts(chosen: Tensor) -> list[int]:
    """How many tokens of each sequence are chosen, of bool `[n, pos]`."""
    return [int(n) for n in chosen.sum(dim=1)]


def _judge(
    model: LanguageModel,
    saes: Sequence[Sae],
    batch: Sequences,
    means: Mapping[str, Floats],
    unusual: Mapping[str, Tensor],
    bar: Bar,
) -> _Judged:
    predicting = batch.predicting()
    at = torch.where(predicting.reshape(-1))[0]
    counts = _counts(predicting)
    targets = batch.tokens.reshape(-1)[at + 1]
    chunk = max(1, CHUNK_BYTES // (4 * model.d_vocab))
    n = int(batch.counted.sum())
    names = sorted({name for sae in saes for name in places(sae)})
    run = forward(model, batch.tokens, reads=names, logits=True)
    acts = run.acts
    original, true = losses_of(_at(run.logits, at), targets, None, counts, chunk)
    del run
    bar.advance(n)
    found = {ORIGINAL: original}
    for variant, name, value in _variants(saes, acts, batch.counted, means):
        logits = forward(model, batch.tokens, edits=_put(name, value), logits=True).logits
        found[variant], _ = losses_of(_at(logits, at), targets, true, counts, chunk)
        bar.advance(n)
    totals = {}
    for name, where in unusual.items():
        here = where[batch.first : batch.first + len(batch)]
        totals[name] = by_sequence(acts[name][here.to(acts[name].device)], _counts(here))
    return _Judged(found, totals)


def _at(logits: Tensor | None, places_of: Tensor) -> Tensor:
    if logits is None:
        raise RuntimeError("a pass for logits gave none")
    return logits.flatten(0, 1)[places_of]


def _put(name: str, value: Tensor) -> dict[str, Callable[[Tensor], Tensor]]:
    return {name: lambda _: value}


def _variants(
    saes: Sequence[Sae],
    acts: Mapping[str, Tensor],
    counted: Tensor,
    means: Mapping[str, Floats],
) -> Iterator[tuple[Variant, str, Tensor]]:
    """Each variant, its hook point, and what stands there, `[n, pos, width]`."""
    for sae in saes:
        yield ("spliced", sae.slug), sae.write_point.name, spliced_sequences(sae, acts, counted)
    for name, mean in means.items():
        true = acts[name]
        for kind, value in (("zero", np.zeros_like(mean)), ("mean", mean)):
            instead = torch.from_numpy(value).to(true.dtype).to(true.device)
            yield (kind, name), name, torch.where(counted[..., None], instead, true)
