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
        token_square: Squared norm of each token's activation, float64 `[tokens]`.
    """

    n: Counts
    n_directed: Counts
    square: Floats
    total: Floats
    token_square: Floats


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
        token_error: Squared error of each token, `[tokens]`.
    """

    error: Floats
    cosine: Floats
    ratio: Floats
    l0: Floats
    l1: Floats
    token_error: Floats


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


def activations_of(acts: Tensor, counts: Sequence[int]) -> Activations:
    """The sums for activations `[tokens, d]` at a hook point; `counts` as in `by_sequence`."""
    a = float64_of(acts)
    square = a.square().sum(dim=1)
    return Activations(
        n=np.array(counts, dtype=np.int64),
        n_directed=by_sequence(square > 0, counts).astype(np.int64),
        square=by_sequence(square, counts),
        total=by_sequence(a, counts),
        token_square=square.cpu().numpy(),
    )


def fit_of(sae: Sae, acts: Mapping[str, Tensor], counted: Tensor, counts: Sequence[int]) -> Fit:
    """The sums for an SAE over some tokens.

    Args:
        sae: The SAE or transcoder.
        acts: True activations at `splicing.places(sae)`, each `[n, pos, width]`.
        counted: The tokens that count, bool `[n, pos]`.
        counts: How many of each sequence.

    Raises:
        SaereportError: What it makes cannot stand there by itself.
    """
    true, read = acts[sae.write_point.name][counted], acts[sae.hook_in.name]
    if sae.encoder.of_sequences:
        f, made = sae.encode(read)[counted], sae.reconstruct(read)[counted]
    else:
        f, made = sae.encode(read[counted]), sae.reconstruct(read[counted])
    a, r = float64_of(true), float64_of(made.to(true.dtype))
    active = f > 0
    l0 = by_sequence(active.sum(dim=1), counts)
    length, reached = a.norm(dim=1), r.norm(dim=1)
    directed = length > 0
    cosine = (a * r).sum(dim=1) / torch.where(directed & (reached > 0), length * reached, 1)
    ratio = reached / torch.where(directed, length, 1)
    error = (a - r).square().sum(dim=1)
    return Fit(
        error=by_sequence(error, counts),
        cosine=by_sequence(cosine * directed, counts),
        ratio=by_sequence(ratio * directed, counts),
        l0=l0,
        l1=by_sequence(f[active], [int(n) for n in l0]),
        token_error=error.cpu().numpy(),
    )


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
