"""What steering did to a text: judged by the unsteered model, and summed up over strengths."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.evaluate.proportions import difference
from saereport.sources.devices import float64_of
from saereport.sources.forward import forward
from saereport.sources.models import LanguageModel
from saereport.sources.saes.sae import Sae

P_VISIBLE = 0.05
"""Below this probability, chance is not why a sign of the latent is more frequent."""
SIGNS = 2
"""Signs that are looked for; they and the strengths share this probability."""
BROKEN = 2.0
"""Perplexity, in multiples of that of the unsteered text, at which a text counts as broken."""
LARGEST = 1e30
"""What a larger perplexity is stored as."""


@dataclass(frozen=True, eq=False)
class Gauge:
    """What is measured on each token of a text, in the unsteered model.

    Attributes:
        hooks: Hook points that are read.
        value: From the activations there, `[batch, pos, width]` each, what is measured
            `[batch, pos]`.
    """

    hooks: tuple[str, ...]
    value: Callable[[Mapping[str, Tensor]], Tensor]


def latent_gauge(sae: Sae, latent: int) -> Gauge:
    """The activation of a latent."""
    name = sae.hook_in.name

    def value(acts: Mapping[str, Tensor]) -> Tensor:
        index = torch.tensor([latent], device=sae.device)
        return sae.encode_chosen(acts[name].to(sae.dtype), index)[..., 0]

    return Gauge((name,), value)


@dataclass(frozen=True)
class Judged:
    """What the unsteered model says of one continuation.

    Attributes:
        nats: Its cross-entropy, summed over its tokens, in nats.
        n_tokens: Its tokens.
        mean: Mean of what is measured over those of them that are no special tokens; 0 of none.
        peak: The largest of it, either way.
    """

    nats: float
    n_tokens: int
    mean: float
    peak: float

    @property
    def perplexity(self) -> float:
        """`exp` of the cross-entropy per token."""
        return perplexity(self.nats, self.n_tokens)


def perplexity(nats: float, n_tokens: int) -> float:
    """`exp(nats / n_tokens)`, at most `LARGEST`; 1 of no token."""
    return float(min(np.exp(min(nats / max(n_tokens, 1), 700.0)), LARGEST))


def judged(
    model: LanguageModel,
    gauge: Gauge,
    prompt: Sequence[int],
    continuations: Sequence[Sequence[int]],
) -> list[Judged]:
    """What the unsteered model says of continuations of one prompt, and what is measured on them.

    Args:
        model: The language model.
        gauge: What is measured.
        prompt: Token ids of the prompt, at least one.
        continuations: Token ids of each continuation, at least one of each.
    """
    longest = max(map(len, continuations))
    # What stands behind a continuation is seen by none of its tokens.
    padded = [[*prompt, *one, *([prompt[-1]] * (longest - len(one)))] for one in continuations]
    tokens = torch.tensor(padded, device=model.device)
    with torch.no_grad():
        run = forward(model, tokens, reads=list(gauge.hooks), logits=True)
        if run.logits is None:
            raise RuntimeError("a pass for logits gave none")
        predicted = run.logits[:, len(prompt) - 1 : -1].float().log_softmax(dim=-1)
        new = tokens[:, len(prompt) :]
        nats = -float64_of(predicted.gather(2, new[..., None])[..., 0]).cpu()
        measured = float64_of(gauge.value(run.acts)[:, len(prompt) :]).cpu()
    special = sorted(model.special_ids)
    counted = ~torch.isin(new.cpu(), torch.tensor(special, dtype=new.dtype))
    return [
        _judged(nats[i, : len(one)], measured[i, : len(one)], counted[i, : len(one)])
        for i, one in enumerate(continuations)
    ]


def _judged(nats: Tensor, active: Tensor, counted: Tensor) -> Judged:
    own = active[counted]
    mean, peak = (float(own.mean()), float(own[own.abs().argmax()])) if len(own) else (0.0, 0.0)
    return Judged(float(nats.sum()), len(nats), mean, peak)


@dataclass(frozen=True)
class AtStrength:
    """All continuations at one strength.

    Attributes:
        strength: The strength.
        n_texts: Continuations.
        n_with_concept: How many of them hold a word of the concept, or a top token.
        n_active: On how many of them the latent is active, in the unsteered model.
        perplexity: `exp` of the cross-entropy per token over all of their tokens.
    """

    strength: float
    n_texts: int
    n_with_concept: int
    n_active: int
    perplexity: float


def more_often(n_now: int, of_now: int, n_before: int, of_before: int) -> float:
    """How likely a share at least as much larger is by chance: Fisher's exact test, one-sided.

    Args:
        n_now: Successes.
        of_now: Of so many.
        n_before: Successes of what it is compared with.
        of_before: Of so many.
    """
    from scipy.stats import fisher_exact

    table = [[n_now, of_now - n_now], [n_before, of_before - n_before]]
    return float(fisher_exact(table, alternative="greater").pvalue)


def window(found: Sequence[AtStrength]) -> tuple[float, float]:
    """The strengths between which steering works.

    Args:
        found: What was found at each strength; that of strength 0 is what it is compared with.

    Returns:
        The least positive strength with a visible effect: more of the continuations than chance
        would have it hold the concept, or have the latent active on them; and the least positive
        one at which perplexity has doubled. 0 where there is none.
    """
    (plain,) = (one for one in found if one.strength == 0)
    rising = sorted((one for one in found if one.strength > 0), key=lambda one: one.strength)
    # With each strength there is another chance of an effect that is none.
    visible = (
        one.strength for one in rising if _chance(one, plain) < P_VISIBLE / (SIGNS * len(rising))
    )
    broken = (one.strength for one in rising if one.perplexity >= BROKEN * plain.perplexity)
    return next(visible, 0.0), next(broken, 0.0)


def _chance(now: AtStrength, plain: AtStrength) -> float:
    """How likely the clearer of the two signs is by chance."""
    pairs = ((now.n_with_concept, plain.n_with_concept), (now.n_active, plain.n_active))
    return min(more_often(n, now.n_texts, before, plain.n_texts) for n, before in pairs)


@dataclass(frozen=True)
class Best:
    """The strength that does most while the text still holds together.

    Attributes:
        strength: The strength; 0 where no positive one leaves the text whole.
        effect: Share of the continuations that hold the concept, minus that without steering.
        interval: Newcombe's 95 % interval of it.
        perplexity_ratio: Perplexity, in multiples of that without steering; 1 of strength 0.
    """

    strength: float
    effect: float
    interval: tuple[float, float]
    perplexity_ratio: float


def best(found: Sequence[AtStrength]) -> Best:
    """The strength of the largest effect, the least of equals, among positive ones below breaking.

    Args:
        found: What was found at each strength; that of strength 0 is what it is compared with.
    """
    (plain,) = (one for one in found if one.strength == 0)
    _, broken = window(found)
    whole = [one for one in found if 0 < one.strength < (broken or np.inf)]
    if not whole:
        return Best(0.0, 0.0, (0.0, 0.0), 1.0)
    one = min(whole, key=lambda one: (-one.n_with_concept / one.n_texts, one.strength))
    effect, low, high = difference(
        one.n_with_concept, one.n_texts, plain.n_with_concept, plain.n_texts
    )
    return Best(one.strength, effect, (low, high), one.perplexity / plain.perplexity)


def occurrences(tokens: Sequence[int], top: NDArray[np.int32]) -> int:
    """How many of some tokens are among the top ones."""
    return int(np.isin(np.asarray(tokens, dtype=np.int64), top).sum())


def word_finder(words: Sequence[str]) -> Callable[[str], int]:
    """A function that counts where any of some words stands in a text.

    Upper and lower case are one, and so are all kinds of space. A word stands alone: no letter or
    digit goes before or after it, but for words that begin or end with a letter of a script
    without upper and lower case, which may write words without a space between.
    """
    found = re.compile("|".join(_alone(word) for word in sorted(words, key=len, reverse=True)))
    return lambda text: sum(1 for _ in found.finditer(" ".join(text.casefold().split())))


def _alone(word: str) -> str:
    text = " ".join(word.casefold().split())
    before = r"(?<!\w)" if _joins(text[0]) else ""
    after = r"(?!\w)" if _joins(text[-1]) else ""
    return before + re.escape(text) + after


def _joins(letter: str) -> bool:
    return letter.isdigit() or letter.lower() != letter.upper()
