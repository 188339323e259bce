"""What to measure: the one setting that every accumulator is made from."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Room for pairs, shared by the tracked latents, see `bounds`.
_SAMPLES = 3 << 20
_FEWEST_SAMPLES, _MOST_SAMPLES = 48, 1 << 14
_ENTRIES = 3 << 22
_FEWEST_ENTRIES, _MOST_ENTRIES = 256, 1 << 18


def coactive_sample(latents: int) -> int:
    """Tokens on which a latent's co-activation is measured at most, for so many tracked latents."""
    return min(max(_SAMPLES // max(latents, 1), _FEWEST_SAMPLES), _MOST_SAMPLES)


def token_entries(latents: int) -> int:
    """Entries (token, level) that are kept for a latent at most, for so many tracked latents."""
    return min(max(_ENTRIES // max(latents, 1), _FEWEST_ENTRIES), _MOST_ENTRIES)


@dataclass(frozen=True, eq=False)
class Setting:
    """What to measure of one SAE.

    Attributes:
        d_sae: Size of the dictionary.
        d_vocab: Size of the vocabulary.
        latents: Tracked latents: sorted distinct indices into the dictionary.
        seed: Seed of the sampled examples.
        top: Number of top examples a latent.
        before, after: Tokens of an example's window before and after its peak.
        intervals: Number of equal intervals of (0, max]; 0 for none.
        interval_examples: Examples drawn from each interval.
        quantile_edges: Inner edges of the quantile groups, ascending, in (0, 1); empty for none.
        quantile_examples: Examples drawn from each quantile group.
        tokens: Number of tokens listed in each order.
        coactive: Number of co-active latents listed in each order.
        coactive_floor: Tokens on which two latents must be active together for that.
        coactive_sample: Tokens of a latent that its co-activation is measured on at most; by
            default `coactive_sample`.
        token_entries: Tokens of the vocabulary that are counted for a latent at most, roughly; by
            default `token_entries`.
        device: Where the events lie and the accumulators live.
    """

    d_sae: int
    d_vocab: int
    latents: NDArray[Any]
    seed: int = 0
    top: int = 20
    before: int = 40
    after: int = 23
    intervals: int = 5
    interval_examples: int = 5
    quantile_edges: tuple[float, ...] = (0.25, 0.5, 0.75, 0.95)
    quantile_examples: int = 5
    tokens: int = 20
    coactive: int = 10
    coactive_floor: int = 5
    coactive_sample: int = 0
    token_entries: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        object.__setattr__(self, "latents", np.asarray(self.latents, dtype=np.int64))
        if not self.coactive_sample:
            object.__setattr__(self, "coactive_sample", coactive_sample(len(self.latents)))
        if not self.token_entries:
            object.__setattr__(self, "token_entries", token_entries(len(self.latents)))
        edges = (0.0, *self.quantile_edges, 1.0)
        if any(low >= high for low, high in pairwise(edges)):
            raise ValueError("quantile edges must ascend strictly between 0 and 1")
        if self.intervals > 32:
            raise ValueError("at most 32 intervals")
