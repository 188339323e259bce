"""Absolute gradients of latent pairs, averaged over many prompts in bounded memory.

A pair of latents is active together at a pair of positions (the earlier one not after the later)
in some prompts; the sum of the absolute gradients over all of these, their number and the number
of prompts are kept for each pair that was seen. Where more pairs were seen than may be kept, those
with the smallest sums are dropped; their part of the sum of all is what `kept_share` lacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from saereport.circuits.gradients.maps import GradientMap
from saereport.sources.devices import float64_of

BOUND = 4_000_000
"""Pairs that are kept for one pair of SAEs: 32 bytes each."""


@dataclass
class PairSums:
    """Sums over prompts for the latents of one pair of SAEs.

    Attributes:
        width: Number of latents of the later SAE.
        bound: Pairs to keep; twice as many are let come together before the smallest are dropped.
        keys: `early * width + late` of each pair, ascending.
        sums: Sum of the absolute gradients.
        n_both: Pairs of positions at which both were active.
        n_prompts: Prompts in which that happened.
        used: Prompts that were added.
        total: Sum of all absolute gradients, dropped pairs included.
        n_dropped: Pairs that were dropped; one that comes again counts again.
        n_limited: Prompts of which not all inputs or outputs were looked at.
    """

    width: int
    bound: int = BOUND
    keys: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0, np.float64))
    n_both: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    n_prompts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    used: int = 0
    total: float = 0.0
    n_dropped: int = 0
    n_limited: int = 0

    def add(self, found: GradientMap) -> None:
        """Add one prompt's gradients."""
        self.used += 1
        looked_at = (len(found.early), len(found.late))
        self.n_limited += looked_at != (found.n_early_all, found.n_late_all)
        keys, sums, n_both = summed(found, self.width)
        self.total += float(sums.sum())
        every = np.concatenate([self.keys, keys])
        self.keys, place = np.unique(every, return_inverse=True)
        size = len(self.keys)
        ones = np.ones(len(keys))
        self.sums = _added(place, np.concatenate([self.sums, sums]), size)
        self.n_both = _added(place, np.concatenate([self.n_both, n_both]), size).astype(np.int64)
        self.n_prompts = _added(place, np.concatenate([self.n_prompts, ones]), size).astype(
            np.int64
        )
        if size > 2 * self.bound:
            self._drop()

    def _drop(self) -> None:
        keep = np.sort(np.lexsort((self.keys, -self.sums))[: self.bound])
        self.n_dropped += len(self.keys) - len(keep)
        self.keys, self.sums = self.keys[keep], self.sums[keep]
        self.n_both, self.n_prompts = self.n_both[keep], self.n_prompts[keep]

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything as arrays."""
        return {
            "keys": self.keys,
            "sums": self.sums,
            "n_both": self.n_both,
            "n_prompts": self.n_prompts,
            "counts": np.array([self.used, self.n_dropped, self.n_limited], dtype=np.int64),
            "total": np.array(self.total, dtype=np.float64),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become what `state` was made from."""
        self.keys, self.sums = state["keys"], state["sums"]
        self.n_both, self.n_prompts = state["n_both"], state["n_prompts"]
        self.used, self.n_dropped, self.n_limited = state["counts"].tolist()
        self.total = float(state["total"])

    def rows(self, early: str, late: str, limit: int) -> dict[str, Any]:
        """Table `pair_means`: the pairs with the largest sums; of equal ones the smaller latents.

        Args:
            early: Name of the earlier SAE.
            late: Name of the later SAE.
            limit: Pairs to give at most.
        """
        order = np.lexsort((self.keys, -self.sums))[:limit]
        n = len(order)
        return {
            "early": [early] * n,
            "late": [late] * n,
            "rank": list(range(n)),
            "early_latent": (self.keys[order] // self.width).tolist(),
            "late_latent": (self.keys[order] % self.width).tolist(),
            "mean": (self.sums[order] / self.n_both[order]).tolist(),
            "n_both": self.n_both[order].tolist(),
            "n_prompts": self.n_prompts[order].tolist(),
        }

    def map_row(self, early: str, late: str, limit: int, n_skipped: int) -> dict[str, list[Any]]:
        """Table `pair_mean_maps`: what the rows above are of.

        Args:
            early: Name of the earlier SAE.
            late: Name of the later SAE.
            limit: As for `rows`.
            n_skipped: Prompts of the file that could not be used.
        """
        kept = np.sort(self.sums)[::-1][:limit]
        row = {
            "early": early,
            "late": late,
            "n_prompts": self.used,
            "n_skipped": n_skipped,
            "n_limited": self.n_limited,
            "n_pairs": len(self.keys) + self.n_dropped,
            "n_kept": len(kept),
            "kept_share": float(kept.sum()) / self.total if self.total else 1.0,
        }
        return {name: [value] for name, value in row.items()}


def summed(
    found: GradientMap, width: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """One prompt's gradients by pair of latents.

    Args:
        found: Gradients `[n_late, n_early]`.
        width: Number of latents of the later SAE.

    Returns:
        Ascending keys `early * width + late`, the sum of the absolute gradients of each over the
        pairs of positions of which the earlier is not after the later, and their number. A pair
        without any such positions is not among them.
    """
    late, early = found.late, found.early
    together = early.positions[None, :] <= late.positions[:, None]
    keys = (early.latents[None, :] * width + late.latents[:, None])[together]
    sizes = float64_of(found.values[together].abs())
    unique, place = torch.unique(keys, return_inverse=True)
    index = place.cpu().numpy()
    sums = _added(index, sizes.cpu().numpy(), len(unique))
    n_both = np.bincount(index, minlength=len(unique)).astype(np.int64)
    return unique.cpu().numpy(), sums, n_both


def _added(place: NDArray[Any], values: NDArray[Any], size: int) -> NDArray[np.float64]:
    """Sums of values that share a place; in their order, so equal inputs give equal sums."""
    return np.bincount(place, weights=values, minlength=size).astype(np.float64)
