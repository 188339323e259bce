"""Which latents are active on a prompt, as short lists in place of a `[pos, d_sae]` table."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from saereport.sources.devices import float64_of


@dataclass(frozen=True, eq=False)
class Active:
    """Active latents on one prompt, sorted by (position, latent).

    Attributes:
        positions: Token positions, int64 `[n]`.
        latents: Indices of latents, int64 `[n]`.
        values: Activations `[n]`.
    """

    positions: Tensor
    latents: Tensor
    values: Tensor

    def __len__(self) -> int:
        return len(self.positions)

    def at(self, index: Tensor) -> Active:
        """Some of them, by index or mask `[n]`; an index is to be ascending."""
        return Active(self.positions[index], self.latents[index], self.values[index])


def active_of(f: Tensor, counted: Tensor, limit: int | None = None) -> Active:
    """The latents that are active at counted positions.

    Args:
        f: Activations `[pos, d_sae]`.
        counted: Positions that count, bool `[pos]`, on any device.
        limit: Keep at most this many, those with the largest activations; of equal ones those that
            come first by (position, latent). All where absent.

    Returns:
        On the device of `f`.
    """
    found = (f > 0) & counted.to(f.device)[:, None]
    positions, latents = found.nonzero(as_tuple=True)
    return largest(Active(positions, latents, f[positions, latents]), limit)


def share_of(kept: Active, every: Active) -> float:
    """The share of the sum of activations that some of them hold; 1 where there is none."""
    whole = float(float64_of(every.values).sum())
    return min(float(float64_of(kept.values).sum()) / whole, 1.0) if whole > 0 else 1.0


def largest(active: Active, limit: int | None) -> Active:
    """Those with the largest activations, still sorted; see `active_of`."""
    if limit is None or len(active) <= limit:
        return active
    order = torch.sort(active.values, descending=True, stable=True).indices
    return active.at(order[:limit].sort().values)
