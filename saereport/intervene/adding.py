"""Vectors that are added to a forward pass, others in each sequence of a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from saereport.intervene.steering import Direction
from saereport.sources.forward import Edit


def adding(amounts: Mapping[str, Tensor]) -> dict[str, Edit]:
    """Edits for `forward` that add to each sequence what is its own.

    Sums are made in float32 at least, and where nothing is added nothing is rounded.

    Args:
        amounts: Hook point to what is added there, `[batch, pos, d_out]`; one position where it
            is the same at all.
    """
    return {name: _add(amount) for name, amount in amounts.items()}


def _add(amount: Tensor) -> Edit:
    def edit(a: Tensor) -> Tensor:
        exact = torch.promote_types(a.dtype, torch.float32)
        return (a.to(exact) + amount.to(a.device, exact)).to(a.dtype)

    return edit


def stacked(directions: Sequence[Direction]) -> dict[str, Tensor]:
    """Directions of one SAE as what `adding` takes, `[batch, 1, d_out]` by hook point."""
    names = directions[0].vectors
    return {name: torch.stack([one.vectors[name] for one in directions])[:, None] for name in names}
