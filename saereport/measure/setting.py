"""What to measure: the one setting that every accumulator is made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
        coactivation_bytes: A table of pairs above this size is not kept; see `Coactivation`.
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
    coactivation_bytes: int = field(default=512 * 2**20)

    def __post_init__(self) -> None:
        object.__setattr__(self, "latents", np.asarray(self.latents, dtype=np.int64))
        edges = (0.0, *self.quantile_edges, 1.0)
        if any(low >= high for low, high in pairwise(edges)):
            raise ValueError("quantile edges must ascend strictly between 0 and 1")
        if self.intervals > 32:
            raise ValueError("at most 32 intervals")
