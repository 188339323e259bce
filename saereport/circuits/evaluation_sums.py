"""The sums that figures of an SAE as a whole are made of, and the figures.

Sums are over tokens, in float64, and add up over the parts of a text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from saereport.circuits.splicing import spliced, write_point
from saereport.sources.devices import float64_of
from saereport.sources.saes import Dictionary

Figures = dict[str, tuple[float, int]]
"""Metric to its value and the number of tokens, or of predictions, that it is over."""


@dataclass(frozen=True, eq=False)
class Fit:
    """What an SAE keeps of the activations where it writes.

    Attributes:
        n: Tokens.
        n_directed: Tokens whose activation is not zero; `cosine` and `ratio` are over these.
        error: Sum of the squared errors.
        square: Sum of the activations' squared norms.
        total: Sum of the activations, float64 `[d_out]`.
        cosine: Sum of cosines; a reconstruction without length has cosine 0.
        ratio: Sum of the ratios of norms, reconstruction by activation.
        l0: Sum of the numbers of active latents.
        l1: Sum of the latents' activations.
    """

    n: int
    n_directed: int
    error: float
    square: float
    total: Tensor
    cosine: float
    ratio: float
    l0: int
    l1: float

    def __add__(self, other: Fit) -> Fit:
        return Fit(*(getattr(self, part.name) + getattr(other, part.name) for part in fields(Fit)))

    def figures(self) -> Figures:
        """The metrics of `sae_metrics` that need activations only."""
        n, mean = self.n, self.total / self.n
        variance = self.square / n - float(mean.square().sum())
        return {
            "explained_variance": (1 - _ratio(self.error / n, variance), n),
            "mse": (self.error / n, n),
            "cosine": (_ratio(self.cosine, self.n_directed), self.n_directed),
            "l2_ratio": (_ratio(self.ratio, self.n_directed), self.n_directed),
            "l0": (self.l0 / n, n),
            "l1": (self.l1 / n, n),
        }


def fit_of(sae: Dictionary, acts: Mapping[str, Tensor]) -> Fit:
    """The sums for an SAE over some tokens.

    Args:
        sae: The SAE or transcoder.
        acts: True activations at `splicing.places(sae)`, each `[n, width]`.
    """
    true = acts[write_point(sae).name]
    everyone = torch.ones(len(true), dtype=torch.bool, device=true.device)
    a, r = float64_of(true), float64_of(spliced(sae, acts, everyone))
    f = sae.encode(acts[sae.hook_in.name])
    length, reached = a.norm(dim=1), r.norm(dim=1)
    directed = length > 0
    cosine = (a * r).sum(dim=1) / torch.where(reached > 0, length * reached, 1)
    return Fit(
        n=len(a),
        n_directed=int(directed.sum()),
        error=float((a - r).square().sum()),
        square=float(a.square().sum()),
        total=a.sum(dim=0).cpu(),
        cosine=float(cosine[directed].sum()),
        ratio=float((reached / length)[directed].sum()),
        l0=int((f > 0).sum()),
        l1=float(float64_of(f[f > 0]).sum()),
    )


@dataclass(frozen=True)
class Losses:
    """How well a run of the model predicts, in nats.

    Attributes:
        cross_entropy: Sum of the cross-entropies on the next token.
        divergence: Sum of the divergences from the true run's predicted distributions.
        n: Predictions.
    """

    cross_entropy: float
    divergence: float
    n: int

    def __add__(self, other: Losses) -> Losses:
        return Losses(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Losses)))


def losses_of(
    logits: Tensor, targets: Tensor, true: Tensor | None, chunk: int
) -> tuple[Losses, Tensor | None]:
    """The sums for some predictions.

    Args:
        logits: `[n, d_vocab]`, in any number type; softmax is taken in float32.
        targets: The tokens that came, `[n]`.
        true: Log-probabilities of the true run, float32 `[n, d_vocab]`; None for the true run.
        chunk: Predictions that are looked at together.

    Returns:
        The sums, and for the true run its log-probabilities.
    """
    entropy, divergence = 0.0, 0.0
    kept = [logits[:0].float()]
    for start in range(0, len(logits), chunk):
        span = slice(start, start + chunk)
        found = torch.log_softmax(logits[span].float(), dim=-1)
        entropy -= float(float64_of(found.gather(1, targets[span, None])).sum())
        if true is None:
            kept.append(found)
            continue
        # Where the true run rules a token out, the term's limit is zero.
        ruled_out = true[span] == -torch.inf
        terms = true[span].exp() * (true[span] - found)
        divergence += float(float64_of(terms.masked_fill_(ruled_out, 0).sum(dim=-1)).sum())
    sums = Losses(entropy, divergence, len(logits))
    return sums, torch.cat(kept) if true is None else None


def loss_figures(original: Losses, own: Losses, zero: Losses, mean: Losses) -> Figures:
    """The metrics of `sae_metrics` that need predictions; `own` has the SAE spliced in."""
    n = original.n
    gap = zero.cross_entropy - original.cross_entropy
    values = {
        "ce_original": original.cross_entropy / n,
        "ce_spliced": own.cross_entropy / n,
        "ce_zero": zero.cross_entropy / n,
        "ce_mean": mean.cross_entropy / n,
        "ce_recovered": _ratio(zero.cross_entropy - own.cross_entropy, gap),
        "kl_spliced": own.divergence / n,
        "kl_zero": zero.divergence / n,
        "kl_mean": mean.divergence / n,
        "kl_recovered": 1 - _ratio(own.divergence, zero.divergence),
    }
    return {name: (value, n) for name, value in values.items()}


def _ratio(above: float, below: float) -> float:
    """A quotient; NaN where there is nothing to divide by."""
    return above / below if below else float("nan")
