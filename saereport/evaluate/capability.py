"""Capability tests: what a model makes of prompts with answers, with an SAE in it and without.

The model runs once on each prompt as it is, once with every SAE's reconstruction spliced in, and
once with zero at every hook point where one of them writes: SAEs that write at one place share
that run, and all share the true one. Prompts of one length go through the model together, so that
nothing is padded. Only the last position is unembedded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.evaluate.bootstrap import Estimates, intervals
from saereport.evaluate.fidelity import (
    ORIGINAL,
    SequenceBatches,
    Sequences,
    Variant,
    is_kept,
    sequences_at_a_time,
    why_not_spliced,
)
from saereport.evaluate.sums import Floats
from saereport.intervene.splicing import places, spliced_sequences
from saereport.measure import Columns
from saereport.run.capability import ALL, METRICS
from saereport.run.figures import FEWEST_SEQUENCES, Figure
from saereport.sources.devices import float64_of, is_out_of_memory
from saereport.sources.forward import Edit, forward
from saereport.sources.models import LanguageModel
from saereport.sources.saes.sae import Sae
from saereport.util.progress import Progress

NEXT_TOKENS = 10
"""Most likely next tokens that are kept."""

Run = Literal["original", "spliced", "zero"]
RUNS: tuple[Run, ...] = ("original", "spliced", "zero")
"""What stands at an SAE's write point: what the model puts there, the reconstruction, zero."""


@dataclass(frozen=True)
class Question:
    """A prompt with an answer, as token ids.

    Attributes:
        set: The set that it is in.
        tokens: What the model reads.
        counted: Which of the tokens' activations are replaced.
        answer: The token that is to follow.
        wrong: The token that is not to follow; -1 for none.
        note: Which token of a longer answer `answer` is; empty where there is nothing to say.
    """

    set: str
    tokens: tuple[int, ...]
    counted: tuple[bool, ...]
    answer: int
    wrong: int = -1
    note: str = ""


@dataclass(frozen=True, eq=False)
class Predictions:
    """What one run of the model predicts after each of some prompts.

    Attributes:
        rank: Of the answer, 1 for the most likely next token, int64 `[n]`; of equally likely ones
            the smaller id comes first.
        logit: Of the answer, float64 `[n]`.
        probability: Of the answer over the whole vocabulary, float64 `[n]`.
        difference: The answer's logit minus that of the wrong answer, float64 `[n]`; NaN where
            there is none.
        next_tokens: The most likely next tokens, best first, int64 `[n, k]`.
        next_logits: Theirs, float64 `[n, k]`.
        next_probabilities: Theirs, float64 `[n, k]`.
    """

    rank: NDArray[np.int64]
    logit: Floats
    probability: Floats
    difference: Floats
    next_tokens: NDArray[np.int64]
    next_logits: Floats
    next_probabilities: Floats

    @property
    def usable(self) -> bool:
        """Whether all of it are numbers that a run can hold."""
        numbers = (self.logit, self.next_logits, self.next_probabilities, self.probability)
        known = self.difference[~np.isnan(self.difference)]
        return all(is_kept(float(x)) for array in (*numbers, known) for x in array.flat)

    @staticmethod
    def in_order(parts: Sequence[Predictions], order: NDArray[np.int64]) -> Predictions:
        """Those of all parts; row i of them is that of prompt `order[i]`."""
        back = np.argsort(order)
        names = tuple(Predictions.__dataclass_fields__)
        return Predictions(
            *(np.concatenate([getattr(part, name) for part in parts])[back] for name in names)
        )


@dataclass(frozen=True)
class Capability:
    """What came of capability tests.

    Attributes:
        prompts: Table `capability_prompts` of each SAE, by slug.
        sets: Table `capability_sets` likewise.
        left_out: Why an SAE has none, by slug.
    """

    prompts: Mapping[str, Columns] = field(default_factory=dict)
    sets: Mapping[str, Columns] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)


def capability(
    model: LanguageModel, saes: Sequence[Sae], questions: Sequence[Question], progress: Progress
) -> Capability:
    """The tables of every SAE, each spliced into the model alone.

    Args:
        model: The language model.
        saes: SAEs and transcoders that fit it.
        questions: The prompts; each fits into the model's context and has a counted token.
        progress: Where to say what is going on.

    Returns:
        The tables, and reasons where there is none: the SAE cannot be spliced in, numbers
        overflow, or memory runs out.
    """
    longest = max(questions, key=lambda one: len(one.tokens))
    with torch.no_grad():
        trial = _sequences([longest], model.device)
        left_out = {sae.slug: why_not_spliced(model, sae, trial) for sae in saes}
        fit = [sae for sae in saes if not left_out[sae.slug]]
        try:
            found = predictions(model, fit, questions, progress) if fit else {}
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            left_out |= {sae.slug: "memory ran out" for sae in fit}
            fit = []
    runs = {sae.slug: _runs_of(sae, found) for sae in fit}
    for slug, mine in runs.items():
        if not all(one.usable for one in mine.values()):
            left_out[slug] = "its numbers are not finite"
    usable = {slug: mine for slug, mine in runs.items() if not left_out[slug]}
    return Capability(
        prompts={slug: prompt_rows(questions, mine) for slug, mine in usable.items()},
        sets=set_rows(questions, usable),
        left_out={slug: why for slug, why in left_out.items() if why},
    )


def _runs_of(sae: Sae, found: Mapping[Variant, Predictions]) -> dict[Run, Predictions]:
    return {
        "original": found[ORIGINAL],
        "spliced": found["spliced", sae.slug],
        "zero": found["zero", sae.write_point.name],
    }


# ---- running the model


def predictions(
    model: LanguageModel, saes: Sequence[Sae], questions: Sequence[Question], progress: Progress
) -> dict[Variant, Predictions]:
    """What every variant of the model predicts after the prompts, in their order.

    Args:
        model: The language model.
        saes: SAEs that can be spliced in.
        questions: The prompts.
        progress: Where to say what is going on.

    Returns:
        `original`; `spliced` of each SAE; `zero` of each hook point where one of them writes.
    """
    lengths = np.array([len(one.tokens) for one in questions])
    order = np.argsort(lengths, kind="stable")
    parts: list[dict[Variant, Predictions]] = []
    runs = 1 + len(saes) + len({sae.write_point.name for sae in saes})
    with progress.bar("Testing capabilities", int(lengths.sum()) * runs, "tok") as bar:
        for length in np.unique(lengths).tolist():
            own = [questions[i] for i in order[lengths[order] == length]]
            batches = SequenceBatches(sequences_at_a_time(length, model.d_vocab))
            text = _sequences(own, model.device)

            def asked(batch: Sequences, own: list[Question] = own) -> dict[Variant, Predictions]:
                mine = own[batch.first : batch.first + len(batch)]
                return _ask(model, saes, batch, mine)

            for part in batches.over(text, asked):
                parts.append(part)
                bar.advance(len(part[ORIGINAL].rank) * length * runs)
    return {
        variant: Predictions.in_order([part[variant] for part in parts], order)
        for variant in parts[0]
    }


def _sequences(questions: Sequence[Question], device: torch.device) -> Sequences:
    """Prompts of one length."""
    return Sequences(
        torch.tensor([one.tokens for one in questions], dtype=torch.int64, device=device),
        torch.tensor([one.counted for one in questions], dtype=torch.bool, device=device),
    )


def _ask(
    model: LanguageModel, saes: Sequence[Sae], batch: Sequences, questions: Sequence[Question]
) -> dict[Variant, Predictions]:
    """One batch, in every variant."""
    names = sorted({name for sae in saes for name in places(sae)})
    run = forward(model, batch.tokens, reads=names, logits="last")
    found = {ORIGINAL: read_off(run.logits, questions)}

    def replaced(name: str, value: Tensor) -> Predictions:
        edits: dict[str, Edit] = {name: lambda _: value}
        return read_off(forward(model, batch.tokens, edits=edits, logits="last").logits, questions)

    for sae in saes:
        value = spliced_sequences(sae, run.acts, batch.counted)
        found["spliced", sae.slug] = replaced(sae.write_point.name, value)
    for name in dict.fromkeys(sae.write_point.name for sae in saes):
        true = run.acts[name]
        keep = ~batch.counted.to(true.device)[..., None]
        found["zero", name] = replaced(name, torch.where(keep, true, torch.zeros_like(true)))
    return found


def read_off(logits: Tensor | None, questions: Sequence[Question]) -> Predictions:
    """What is kept of the last logits `[n, 1, d_vocab]` behind as many prompts."""
    if logits is None:
        raise RuntimeError("a pass for logits gave none")
    last = logits[:, -1]
    answers = torch.tensor([one.answer for one in questions], device=last.device)[:, None]
    wrong = torch.tensor([one.wrong for one in questions], device=last.device)[:, None]
    logit = last.gather(1, answers)
    before = torch.arange(last.shape[1], device=last.device)[None] < answers
    rank = 1 + (last > logit).sum(dim=1) + ((last == logit) & before).sum(dim=1)
    difference = float64_of(logit) - float64_of(last.gather(1, wrong.clamp(min=0)))
    difference[wrong.to(difference.device) < 0] = torch.nan
    probabilities = torch.softmax(float64_of(last), dim=1)
    best = torch.stack([top_tokens(row, NEXT_TOKENS) for row in last])
    return Predictions(
        rank=rank.cpu().numpy(),
        logit=float64_of(logit)[:, 0].cpu().numpy(),
        probability=probabilities.gather(1, answers.to(probabilities.device))[:, 0].cpu().numpy(),
        difference=difference[:, 0].cpu().numpy(),
        next_tokens=best.cpu().numpy(),
        next_logits=float64_of(last.gather(1, best)).cpu().numpy(),
        next_probabilities=probabilities.gather(1, best.to(probabilities.device)).cpu().numpy(),
    )


def top_tokens(logits: Tensor, k: int) -> Tensor:
    """The `k` largest of logits `[d_vocab]`, best first, of equal ones the smaller id; int64 `[k]`.

    Sorting a whole vocabulary costs more than running a small model: what is below the k-th
    largest is left out first.
    """
    k = min(k, len(logits))
    least = torch.topk(logits, k).values[-1]
    # A NaN is not below anything; what holds one is left out later, with all that it touched.
    some = torch.where(~(logits < least))[0]
    return some[torch.sort(logits[some], descending=True, stable=True).indices[:k]]


# ---- tables


def prompt_rows(questions: Sequence[Question], runs: Mapping[Run, Predictions]) -> Columns:
    """Table `capability_prompts` of one SAE."""
    places_of = [(i, run) for i in range(len(questions)) for run in RUNS]
    asked = [questions[i] for i, _ in places_of]

    def of(name: str) -> list[NDArray[np.float64]]:
        return [getattr(runs[run], name)[i] for i, run in places_of]

    return {
        "number": [i for i, _ in places_of],
        "run": [run for _, run in places_of],
        "set": [one.set for one in asked],
        "tokens": [list(one.tokens) for one in asked],
        "answer": [one.answer for one in asked],
        "wrong": [one.wrong for one in asked],
        "note": [one.note for one in asked],
        **{name: of(name) for name in ("rank", "logit", "probability")},
        "difference": [[] if np.isnan(one) else [one] for one in of("difference")],
        **{name: of(name) for name in ("next_tokens", "next_logits", "next_probabilities")},
    }


def scores(questions: Sequence[Question], found: Predictions) -> dict[str, Floats]:
    """Of each prompt the metrics of `capability_sets`, float64 `[n]`; NaN where it has none."""
    alone = np.array([one.wrong < 0 for one in questions])
    first = found.rank == 1
    with np.errstate(invalid="ignore"):
        right = np.where(alone, first, found.difference > 0)
    return {
        "accuracy": right.astype(np.float64),
        "first": first.astype(np.float64),
        "logit_difference": found.difference,
    }


def set_rows(
    questions: Sequence[Question], runs: Mapping[str, Mapping[Run, Predictions]]
) -> dict[str, Columns]:
    """Table `capability_sets` of every SAE, by slug.

    Args:
        questions: The prompts.
        runs: By slug what each run predicts. Where two SAEs share a run, it is one object.
    """
    distinct = {id(one): one for mine in runs.values() for one in mine.values()}
    scored = {key: scores(questions, one) for key, one in distinct.items()}
    rows: dict[str, list[tuple[str, Run, str, Figure]]] = {slug: [] for slug in runs}
    names = np.array([one.set for one in questions])
    for name in (ALL, *dict.fromkeys(names.tolist())):
        inside = np.ones(len(names), bool) if name == ALL else names == name
        for metric in METRICS:
            values = {str(key): mine[metric][inside] for key, mine in scored.items()}
            figures = mean_figures(values)
            for slug, mine in runs.items():
                for run, one in mine.items():
                    if (figure := figures.get(str(id(one)))) is not None:
                        rows[slug].append((name, run, metric, figure))
    return {
        slug: _set_columns(sorted(mine, key=lambda row: row[:3])) for slug, mine in rows.items()
    }


def mean_figures(values: Mapping[str, Floats]) -> dict[str, Figure]:
    """Means over prompts with their intervals, all by the same draws.

    Args:
        values: By name one number for each prompt, float64 `[n]`; NaN for prompts that have none,
            the same ones for every name.

    Returns:
        By name the mean over the prompts that have a number; nothing where none has.
    """
    if not values:
        return {}
    known = ~np.isnan(next(iter(values.values())))
    n = int(known.sum())
    if n == 0:
        return {}
    table = np.stack([one[known] for one in values.values()], axis=1)

    def estimates(weights: Floats) -> Estimates:
        return dict(zip(values, (weights @ table / n).T, strict=True))

    found = intervals(estimates, n, FEWEST_SEQUENCES)
    means = dict(zip(values, table.mean(axis=0).tolist(), strict=True))
    return {name: Figure(means[name], found[name], n, n) for name in values}


def _set_columns(rows: Sequence[tuple[str, Run, str, Figure]]) -> Columns:
    figures = [row[3] for row in rows]
    return {
        "set": [row[0] for row in rows],
        "run": [row[1] for row in rows],
        "metric": [row[2] for row in rows],
        "value": [figure.value for figure in figures],
        "interval": [list(figure.interval or ()) for figure in figures],
        "n_prompts": [figure.n_sequences for figure in figures],
    }
