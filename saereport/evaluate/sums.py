"""The sums that figures of an SAE as a whole are made of, sequence by sequence.

Sums are over the tokens of one sequence, in float64: intervals come from drawing sequences anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.sources.devices import float64_of
from saereport.sources.saes.sae import Sae

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Joined:
    """Arrays over the sequences, or over the tokens, of a text that comes in parts."""

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The arrays of all parts, one after the other."""
        return cls(
            *(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls))
        )


@dataclass(frozen=True, eq=False)
class Activations(Joined):
    """The true activations at a hook point.

    Attributes:
        n: Tokens, int64 `[sequences]`.
        n_directed: Tokens whose activation is not zero, int64 `[sequences]`.
        square: Sums of squared norms, float64 `[sequences]`.
        total: Sums of activations, float64 `[sequences, d]`.
    """

    n: Counts
    n_directed: Counts
    square: Floats
    total: Floats


@dataclass(frozen=True, eq=False)
class Largest(Joined):
    """Tokens of the largest norms at a hook point, in the order of the text.

    Attributes:
        sequence: In which sequence each is, int64 `[k]`.
        square: Squared norms, float64 `[k]`.
        acts: Activations, float64 `[k, d]`.
    """

    sequence: Counts
    square: Floats
    acts: Floats

    def only(self, chosen: NDArray[np.int64]) -> Largest:
        """Some of them."""
        return Largest(self.sequence[chosen], self.square[chosen], self.acts[chosen])


@dataclass(frozen=True, eq=False)
class Fit(Joined):
    """What an SAE keeps of the activations where it writes; float64 `[sequences]` each.

    Attributes:
        error: Sums of squared errors.
        cosine: Sums of cosines; a reconstruction without length has cosine 0, and a token without
            activation has none.
        ratio: Sums of the ratios of norms, reconstruction by activation, over the same tokens.
        l0: Sums of the numbers of active latents.
        l1: Sums of the latents' activations.
    """

    error: Floats
    cosine: Floats
    ratio: Floats
    l0: Floats
    l1: Floats


@dataclass(frozen=True, eq=False)
class Stand:
    """What an SAE makes of some activations.

    Attributes:
        fit: The sums.
        error: Squared error of each token, float64 `[tokens]`.
        value: What stands at its write point once it is spliced in, `[n, pos, d_out]`.
    """

    fit: Fit
    error: Floats
    value: Tensor


@dataclass(frozen=True, eq=False)
class Losses(Joined):
    """How well a run of the model predicts, in nats.

    Attributes:
        n: Predictions, int64 `[sequences]`.
        cross_entropy: Sums of the cross-entropies on the next token, float64 `[sequences]`.
        divergence: Sums of the divergences from the true run's predicted distributions, likewise.
    """

    n: Counts
    cross_entropy: Floats
    divergence: Floats


def by_sequence(values: Tensor, counts: Sequence[int]) -> Floats:
    """Sums over the sequences, float64 `[sequences, ...]`.

    Args:
        values: One entry for each of the tokens in their order, `[tokens, ...]`.
        counts: Tokens of each sequence.
    """
    parts = torch.split(float64_of(values), list(counts))
    sums = [part.sum(dim=0) for part in parts]
    return np.asarray(torch.stack(sums).cpu().numpy(), dtype=np.float64)


def activations_of(
    acts: Tensor, counts: Sequence[int], first: int, k: int
) -> tuple[Activations, Largest, NDArray[np.int64]]:
    """The sums for activations at a hook point, and the tokens of largest norm.

    Args:
        acts: Activations of the tokens, `[tokens, d]`.
        counts: Tokens of each sequence.
        first: Number of the first sequence.
        k: How many tokens of largest norm.

    Returns:
        The sums, these tokens, and which of the given ones they are.
    """
    a = float64_of(acts)
    square = a.square().sum(dim=1)
    sums = Activations(
        n=np.array(counts, dtype=np.int64),
        n_directed=by_sequence(square > 0, counts).astype(np.int64),
        square=by_sequence(square, counts),
        total=by_sequence(a, counts),
    )
    squares = square.cpu().numpy()
    chosen = largest_of(squares, k)
    sequence = first + np.repeat(np.arange(len(counts)), counts)[chosen]
    there = torch.from_numpy(chosen).to(a.device)
    return sums, Largest(sequence, squares[chosen], a[there].cpu().numpy()), chosen


def largest_of(square: Floats, k: int) -> NDArray[np.int64]:
    """Places of the `k` largest of some numbers, ascending; of equal ones the first are taken."""
    return np.sort(np.argsort(-square, kind="stable")[:k])


def stand_of(sae: Sae, acts: Mapping[str, Tensor], counted: Tensor, counts: Sequence[int]) -> Stand:
    """What an SAE makes of some tokens, and the sums over them.

    Args:
        sae: The SAE or transcoder.
        acts: True activations at `splicing.places(sae)`, each `[n, pos, width]`.
        counted: The tokens that count, bool `[n, pos]`; only these are replaced.
        counts: How many of each sequence.

    Raises:
        SaereportError: What it makes cannot stand there by itself.
    """
    whole, read = acts[sae.write_point.name], acts[sae.hook_in.name]
    if sae.encoder.of_sequences:
        f, made = sae.encode(read)[counted], sae.reconstruct(read)[counted]
    else:
        f, made = sae.encode(read[counted]), sae.reconstruct(read[counted])
    made = made.to(whole.dtype)
    value = whole.clone()
    value[counted] = made
    a, r = float64_of(whole[counted]), float64_of(made)
    active = f > 0
    l0 = by_sequence(active.sum(dim=1), counts)
    length, reached = a.norm(dim=1), r.norm(dim=1)
    directed = length > 0
    cosine = (a * r).sum(dim=1) / torch.where(directed & (reached > 0), length * reached, 1)
    ratio = reached / torch.where(directed, length, 1)
    error = (a - r).square().sum(dim=1)
    fit = Fit(
        error=by_sequence(error, counts),
        cosine=by_sequence(cosine * directed, counts),
        ratio=by_sequence(ratio * directed, counts),
        l0=l0,
        l1=by_sequence(f[active], [int(n) for n in l0]),
    )
    return Stand(fit, error.cpu().numpy(), value)


def losses_of(
    logits: Tensor, targets: Tensor, true: Tensor | None, counts: Sequence[int], chunk: int
) -> tuple[Losses, Tensor | None]:
    """The sums for some predictions.

    Args:
        logits: `[n, d_vocab]`, in any number type; softmax is taken in float32.
        targets: The tokens that came, `[n]`.
        true: Log-probabilities of the true run, float32 `[n, d_vocab]`; None for the true run.
        counts: Predictions of each sequence.
        chunk: Predictions that are looked at together.

    Returns:
        The sums, and for the true run its log-probabilities.
    """
    entropies, divergences = [logits.new_zeros(0).float()], [logits.new_zeros(0).float()]
    kept = [logits[:0].float()]
    for start in range(0, len(logits), chunk):
        span = slice(start, start + chunk)
        found = torch.log_softmax(logits[span].float(), dim=-1)
        entropies.append(-found.gather(1, targets[span, None])[:, 0])
        if true is None:
            kept.append(found)
            divergences.append(torch.zeros_like(entropies[-1]))
            continue
        # Where the true run rules a token out, the term's limit is zero.
        ruled_out = true[span] == -torch.inf
        terms = true[span].exp() * (true[span] - found)
        divergences.append(terms.masked_fill_(ruled_out, 0).sum(dim=-1))
    sums = Losses(
        n=np.array(counts, dtype=np.int64),
        cross_entropy=by_sequence(torch.cat(entropies), counts),
        divergence=by_sequence(torch.cat(divergences), counts),
    )
    return sums, torch.cat(kept) if true is None else None
