"""Output scores: whether turning a latent up raises its own tokens, against other latents.

The score is that of Arad, Mueller and Belinkov (2025), less what the model says without the
latent; the definition is that of the table `output_scores`. Prompts of one length go through the
model together, each with many latents, and only their last position is unembedded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.evaluate.bootstrap import Estimates, intervals
from saereport.evaluate.sums import Floats
from saereport.intervene.adding import adding, stacked
from saereport.intervene.splicing import last_logits
from saereport.intervene.steering import Direction
from saereport.run.figures import FEWEST_SEQUENCES
from saereport.sources.devices import float64_of
from saereport.sources.models import LanguageModel
from saereport.util.progress import Bar

LOGIT_BYTES = 256 * 2**20
"""What the logits of a batch, and what is made of them, may take."""
MOST_ROWS = 256
"""Prompts in a batch at most, each counted once for every latent that is turned up on it."""
CANDIDATES = 10_000
"""Live latents of an SAE among which controls are looked for, at most."""
TINIEST = 1e-300
"""What a smaller probability is taken for before its logarithm."""

Prompt = tuple[int, ...]
"""A prompt's token ids."""


@dataclass(frozen=True, eq=False)
class Turned:
    """A latent that is turned up.

    Attributes:
        direction: What is added.
        top: Top tokens of its logit lens, best first, int64 `[k]`.
    """

    direction: Direction
    top: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Change:
    """What turning a latent up did, on each prompt.

    Attributes:
        score: Change of the rank-weighted probability, float64 `[prompts]`.
        before: Probability of each top token without it, float64 `[prompts, k]`.
        after: The same with it.
    """

    score: Floats
    before: Floats
    after: Floats

    @property
    def log_ratio(self) -> float:
        """Mean over prompts of the logarithm of the top tokens' probability with, over without."""
        totals = [np.maximum(p.sum(axis=1), TINIEST) for p in (self.before, self.after)]
        return float(np.log(totals[1] / totals[0]).mean())

    @property
    def usable(self) -> bool:
        """Whether the model's numbers did not overflow."""
        return bool(np.isfinite(self.score).all() and np.isfinite(self.after).all())


def rank_weighted(logits: Tensor, top: Tensor) -> tuple[Floats, Floats]:
    """The rank-weighted probability of some tokens, and the probability of each.

    Args:
        logits: `[n, d_vocab]`; one row where it is the same for all.
        top: Token ids, int64 `[n, k]`, others in each row.

    Returns:
        `(1 - r / d_vocab) p` of the likeliest of the tokens, where r is its rank, 0 for the
        likeliest token of all and of equal ones the smaller id; float64 `[n]`. And the
        probabilities, float64 `[n, k]`.
    """
    # A row that overflowed is all NaN, and so is what comes of it.
    exact = float64_of(logits)
    top = top.to(exact.device)
    probabilities = torch.softmax(exact, dim=1).expand(len(top), -1).gather(1, top)
    own = exact.expand(len(top), -1).gather(1, top)
    most = own.max(dim=1, keepdim=True).values
    ids = torch.where(own == most, top, exact.shape[1])
    first = ids.min(dim=1, keepdim=True).values
    before = torch.arange(exact.shape[1], device=exact.device)[None] < first
    rank = (exact > most).sum(dim=1) + ((exact == most) & before).sum(dim=1)
    best = probabilities.max(dim=1).values
    found = (1 - rank.to(best.dtype) / exact.shape[1]) * best
    return found.cpu().numpy(), probabilities.cpu().numpy()


def rows_at_a_time(d_vocab: int) -> int:
    """Rows of a batch; it depends on the vocabulary alone."""
    return max(1, min(MOST_ROWS, LOGIT_BYTES // (24 * d_vocab)))


def changes(
    model: LanguageModel, turned: Sequence[Turned], prompts: Sequence[Prompt], bar: Bar | None
) -> list[Change]:
    """What turning each of some latents of one SAE up does on some prompts.

    Args:
        model: The language model.
        turned: The latents; all have equally many top tokens.
        prompts: Token ids of each prompt.
        bar: Counts prompts times latents.
    """
    if not turned:
        return []
    k = len(turned[0].top)
    tops = torch.from_numpy(np.stack([one.top for one in turned]))
    scores = np.zeros((len(turned), len(prompts)))
    before, after = np.zeros((2, len(turned), len(prompts), k))
    step = rows_at_a_time(model.d_vocab)
    with torch.no_grad():
        for number, prompt in enumerate(prompts):
            plain = last_logits(model, torch.tensor([prompt]), {})
            for start in range(0, len(turned), step):
                span = slice(start, start + step)
                some = tops[span]
                without = rank_weighted(plain, some)
                scores[span, number] = -without[0]
                before[span, number] = without[1]
        for length in sorted({len(prompt) for prompt in prompts}):
            same = [i for i, prompt in enumerate(prompts) if len(prompt) == length]
            keys = [(latent, i) for latent in range(len(turned)) for i in same]
            for start in range(0, len(keys), step):
                latents, numbers = map(list, zip(*keys[start : start + step], strict=True))
                tokens = torch.tensor([prompts[i] for i in numbers])
                edits = adding(stacked([turned[latent].direction for latent in latents]))
                found = rank_weighted(last_logits(model, tokens, edits), tops[latents])
                scores[latents, numbers] += found[0]
                after[latents, numbers] = found[1]
                if bar is not None:
                    bar.advance(len(numbers))
    return [Change(*of_one) for of_one in zip(scores, before, after, strict=True)]


# ---- controls


@dataclass(frozen=True, eq=False)
class Traits:
    """By what latents are matched with others: entry i is about latent i of the dictionary.

    Attributes:
        n_active: On how many tokens each is active, `[d_sae]`.
        norms: Length of what one unit of each writes, `[d_sae]`.
    """

    n_active: NDArray[np.int64]
    norms: Floats

    def logs(self, latents: NDArray[np.int64]) -> Floats:
        """Logarithms of both, float64 `[n, 2]`; of latents that have some."""
        both = np.stack([self.n_active[latents].astype(np.float64), self.norms[latents]], axis=1)
        return np.log(both)


def draw_controls(
    traits: Traits, shown: NDArray[np.int64], each: int, seed: int
) -> list[NDArray[np.int64]]:
    """For each shown latent its own controls, ascending; no latent is drawn twice.

    Args:
        traits: Of all latents of the SAE.
        shown: The shown latents that were active; none of them is a control.
        each: How many controls are drawn for each, at most.
        seed: Of the sample of `CANDIDATES` live latents, where there are more.

    Returns:
        Those nearest in log density and log write norm that were not drawn before, of equally near
        ones the smaller number; fewer, or none, where the SAE has no more.
    """
    live = (traits.n_active > 0) & (traits.norms > 0) & np.isfinite(traits.norms)
    live[shown] = False
    candidates = np.flatnonzero(live)
    if len(candidates) > CANDIDATES:
        rng = np.random.default_rng(seed)
        candidates = np.sort(rng.choice(candidates, CANDIDATES, replace=False))
    places = traits.logs(candidates)
    unit = units(places)
    free = np.ones(len(candidates), dtype=bool)
    found = []
    for at in traits.logs(shown):
        open_ = np.flatnonzero(free)
        distance = np.square((places[open_] - at) / unit).sum(axis=1)
        nearest = open_[np.argsort(distance, kind="stable")[:each]]
        free[nearest] = False
        found.append(np.sort(candidates[nearest]))
    return found


def units(places: Floats) -> Floats:
    """The standard deviation of each column of `[n, 2]`, and 1 of one that has none."""
    spread = places.std(axis=0) if len(places) else np.zeros(places.shape[1])
    return np.where(spread > 0, spread, 1.0)


def compared_with(own: Floats, controls: Floats, n: int) -> list[NDArray[np.int64]]:
    """For each latent the places of the `n` controls that are nearest to it, ascending.

    Args:
        own: Log density and log length of each latent, `[latents, 2]`.
        controls: The same of all controls, `[controls, 2]`; distances are in units of their
            standard deviations.
        n: How many.
    """
    unit = units(controls)
    distances = [np.square((controls - at) / unit).sum(axis=1) for at in own]
    return [np.sort(np.argsort(one, kind="stable")[:n]) for one in distances]


@dataclass(frozen=True)
class Compared:
    """A latent's score beside those of its controls, averaged over prompts.

    Attributes:
        score: The latent's.
        control: The mean of the controls'.
        difference: The one minus the other.
        percentile: Share of the controls with a lower score; equal ones count half.
        interval: Of the score, where there are enough prompts.
        difference_interval: Of the difference likewise.
    """

    score: float
    control: float
    difference: float
    percentile: float
    interval: tuple[float, float] | None
    difference_interval: tuple[float, float] | None


def compared(own: Floats, controls: Floats) -> Compared:
    """A latent beside its controls.

    Args:
        own: Its change on each prompt, float64 `[prompts]`.
        controls: That of each control, float64 `[controls, prompts]`.
    """
    n = len(own)
    beyond = own - controls.mean(axis=0)
    table = np.stack([own, beyond], axis=1)

    def estimates(weights: Floats) -> Estimates:
        score, difference = (weights @ table / n).T
        return {"score": score, "difference": difference}

    found = intervals(estimates, n, FEWEST_SEQUENCES)
    score, means = float(own.mean()), controls.mean(axis=1)
    below = (means < score).sum() + 0.5 * (means == score).sum()
    return Compared(
        score=score,
        control=float(means.mean()),
        difference=float(beyond.mean()),
        percentile=float(below / len(means)),
        interval=found["score"],
        difference_interval=found["difference"],
    )
