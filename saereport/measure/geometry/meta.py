"""What a meta-SAE makes of the decoder rows of another SAE, row by row and in blocks.

A meta-SAE (Bussmann et al. 2024, Leask et al. 2025) reads a decoder row of a *base* SAE as if it
were an activation, and writes it as a sum of few of its own decoder rows: the meta-latents. A row
that is not explained so is, for this meta-SAE, no sum of anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.measure.geometry.matching import DRAWN, random_directions
from saereport.measure.weights.extremes import largest

MEMORY = 256 * 2**20
"""Bytes that the activations of a block of rows may take, with what encoding makes of them."""
COPIES = 6
"""Tables as large as the activations of a block that are there at a time."""
STRONGEST = 10
"""Base latents of a meta-latent that are listed."""
TRIED = 32
"""Rows by which it is told whether an activation depends on the other rows of a batch."""
DIFFERENT = 0.1
"""Share of them that rounding may change."""


class MetaSae(Protocol):
    """A meta-SAE, as `saereport.sources.saes.sae.Sae` holds one."""

    @property
    def d_sae(self) -> int:
        """Number of meta-latents."""

    def encode(self, a: Tensor) -> Tensor:
        """Activations of the meta-latents, `[n, d_sae]`, of rows `[n, d]`."""

    def decode(self, f: Tensor, a: Tensor) -> Tensor:
        """What they make, `[n, d]`, in the units of the rows `a`."""

    def write_vectors(self, a: Tensor, latents: Tensor) -> Tensor:
        """What one unit of a meta-latent adds to the reconstruction of a row, `[n, d]`."""


@dataclass(frozen=True, eq=False)
class Survey:
    """What a meta-SAE makes of all rows.

    Attributes:
        residual: Squared length of what is left of each row, float64 `[n]`.
        spread: Squared distance of each row from the mean of all, float64 `[n]`.
        cosine: Of each row with its reconstruction, 0 where either has no length, float32 `[n]`.
        n_active: Meta-latents that are active on each row, int64 `[n]`.
        uses: Rows on which each meta-latent is active, int64 `[d_sae]`.
        strongest: Places of the rows on which each meta-latent is most active, int64 `[d_sae, k]`.
        activations: Its activations there, the largest first and 0 from where there are no more,
            float32 `[d_sae, k]`.
    """

    residual: NDArray[np.float64]
    spread: NDArray[np.float64]
    cosine: NDArray[np.float32]
    n_active: NDArray[np.int64]
    uses: NDArray[np.int64]
    strongest: NDArray[np.int64]
    activations: NDArray[np.float32]

    @property
    def explained_variance(self) -> float:
        """1 - the sum of `residual` / the sum of `spread`; 0 where all rows are equal."""
        spread = float(self.spread.sum())
        return 1 - float(self.residual.sum()) / spread if spread else 0.0

    @property
    def explained(self) -> NDArray[np.float64]:
        """The same of each row by itself, float64 `[n]`; 0 for a row that is the mean."""
        spread = np.where(self.spread > 0, self.spread, 1.0)
        return np.where(self.spread > 0, 1 - self.residual / spread, 0.0)


def survey(meta: MetaSae, rows: Tensor, memory: int = MEMORY, listed: int = STRONGEST) -> Survey:
    """Put rows through a meta-SAE, in blocks.

    Args:
        meta: The meta-SAE.
        rows: The decoder rows as they are put in, float32 `[n, d]`, at least one, on its device.
        memory: Bytes that the activations of a block may take.
        listed: Rows of each meta-latent that are listed.
    """
    mean = mean_row(rows)
    parts: dict[str, list[Tensor]] = {name: [] for name in ("residual", "spread", "cosine", "n")}
    uses = torch.zeros(meta.d_sae, dtype=torch.int64)
    best = _Strongest(meta.d_sae, listed)
    for start, block in blocks(rows, meta.d_sae, memory):
        f = meta.encode(block)
        made = meta.decode(f, block).float()
        active = f > 0
        parts["residual"].append((block - made).square().sum(dim=1).cpu())
        parts["spread"].append((block - mean).square().sum(dim=1).cpu())
        parts["cosine"].append(cosines(block, made).cpu())
        parts["n"].append(active.sum(dim=1).cpu())
        uses += active.sum(dim=0).cpu()
        best.see(f, start)
    joined = {name: torch.cat(found).numpy() for name, found in parts.items()}
    return Survey(
        residual=joined["residual"].astype(np.float64),
        spread=joined["spread"].astype(np.float64),
        cosine=joined["cosine"].astype(np.float32),
        n_active=joined["n"].astype(np.int64),
        uses=uses.numpy(),
        strongest=best.rows,
        activations=best.values,
    )


class _Strongest:
    """The rows on which each meta-latent is most active, over blocks of rows."""

    def __init__(self, n: int, listed: int) -> None:
        self._listed = listed
        self.rows = np.zeros((n, 0), np.int64)
        self.values = np.zeros((n, 0), np.float32)

    def see(self, f: Tensor, start: int) -> None:
        """The activations of further rows, float `[rows, n]`, the first of which is row `start`."""
        index, values = largest(f.T.float(), self._listed)
        rows = np.concatenate([self.rows, index.numpy() + start], axis=1)
        together = np.concatenate([self.values, values.numpy().astype(np.float32)], axis=1)
        # Earlier rows stand first, and of equal activations they stay so.
        order = np.argsort(-together, axis=1, kind="stable")[:, : self._listed]
        self.rows = np.take_along_axis(rows, order, axis=1)
        self.values = np.take_along_axis(together, order, axis=1)


def mean_row(rows: Tensor) -> Tensor:
    """The mean of rows, float32 `[d]`; summed in float64 on the host."""
    total = torch.zeros(rows.shape[1], dtype=torch.float64)
    for block in torch.split(rows, DRAWN):
        total += block.sum(dim=0).cpu().to(torch.float64)
    return (total / len(rows)).float().to(rows.device)


def blocks(rows: Tensor, width: int, memory: int) -> Iterator[tuple[int, Tensor]]:
    """Rows some at a time, as many as memory has room for, with the place of the first."""
    step = max(1, memory // (4 * COPIES * max(width, rows.shape[1])))
    for start in range(0, len(rows), step):
        yield start, rows[start : start + step]


def cosines(one: Tensor, other: Tensor) -> Tensor:
    """The cosine of each pair of rows, float32 `[n]`; 0 where one has no length."""
    lengths = one.norm(dim=1) * other.norm(dim=1)
    found = (one * other).sum(dim=1) / torch.where(lengths > 0, lengths, torch.ones_like(lengths))
    return found.clamp(-1, 1)


def is_of_batches(meta: MetaSae, rows: Tensor) -> bool:
    """Whether how many meta-latents are active on a row depends on the rows beside it.

    Args:
        meta: The meta-SAE.
        rows: Rows, of which a few are tried, alone and together.
    """
    places = torch.linspace(0, len(rows) - 1, min(len(rows), TRIED), dtype=torch.float64).long()
    few = rows[places.to(rows.device)]
    together = (meta.encode(few) > 0).sum(dim=1)
    alone = torch.cat([(meta.encode(row[None]) > 0).sum(dim=1) for row in few])
    # A threshold may be passed by rounding alone.
    return bool((together != alone).float().mean() > DIFFERENT)


def by_chance(unit: Tensor, lengths: Tensor | None, seed: int) -> Tensor:
    """Random rows in place of a dictionary's, with the second moments of its unit rows.

    Args:
        unit: The dictionary at length one, float32 `[n, d]`.
        lengths: Those that its rows are put in with, `[n]`; None where that is one.
        seed: Of the draws.

    Returns:
        float32 `[min(n, 8192), d]`; where lengths are given, these, taken evenly.
    """
    n = min(len(unit), DRAWN)
    drawn = torch.cat(list(random_directions(unit, n, seed)))
    if lengths is None:
        return drawn
    places = torch.linspace(0, len(unit) - 1, n, dtype=torch.float64).long()
    return drawn * lengths[places.to(lengths.device)][:, None]


@dataclass(frozen=True, eq=False)
class Sum:
    """A row as a sum: what no meta-latent makes, what each active one adds, and what is left.

    Attributes:
        parts: The active meta-latents, int64; the largest share first.
        activations: Theirs, float32.
        shares: Of each, the part of the row's squared distance from what no meta-latent makes that
            lies along what it adds, float32. With `left` they add up to 1.
        left: The part that lies along what is left of the row.
    """

    parts: NDArray[np.int64]
    activations: NDArray[np.float32]
    shares: NDArray[np.float32]
    left: float


def decompose(meta: MetaSae, rows: Tensor, memory: int = MEMORY) -> list[Sum]:
    """Rows as sums of meta-latents.

    With b for what the meta-SAE makes of a row while no meta-latent is active, f_j d_j for what
    each adds and r for what is left, row - b is the sum of all f_j d_j and r. A share is the scalar
    product of a term with row - b, divided by the squared length of row - b.

    Args:
        meta: The meta-SAE.
        rows: Rows as they are put in, float32 `[n, d]`.
        memory: Bytes that the activations of a block, and the terms of some rows, may take.
    """
    found = []
    for _, block in blocks(rows, meta.d_sae, memory):
        f = meta.encode(block)
        nothing = meta.decode(torch.zeros_like(f), block).float()
        goal = block - nothing
        whole = goal.square().sum(dim=1).clamp(min=1e-30)
        left = ((block - meta.decode(f, block).float()) * goal).sum(dim=1) / whole
        of, part = (f > 0).nonzero(as_tuple=True)
        values = f[of, part].float()
        shares = torch.cat(
            [
                (meta.write_vectors(block[row], one).float() * goal[row]).sum(dim=1)
                for row, one in _some_at_a_time(of, part, memory // (4 * COPIES * rows.shape[1]))
            ]
        )
        shares = shares * values / whole[of]
        counts = np.bincount(of.cpu().numpy(), minlength=len(block))
        cuts = np.cumsum(counts)[:-1]
        part_of, value_of, share_of = (
            np.split(x.cpu().numpy(), cuts) for x in (part, values, shares)
        )
        found += [
            _sorted(*one)
            for one in zip(part_of, value_of, share_of, left.cpu().tolist(), strict=True)
        ]
    return found


def _some_at_a_time(of: Tensor, part: Tensor, most: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Pairs of a row and a meta-latent, at most so many at a time; one empty one where none is."""
    step = max(1, most)
    for start in range(0, max(len(of), 1), step):
        yield of[start : start + step], part[start : start + step]


def _sorted(
    parts: NDArray[np.int64],
    activations: NDArray[np.float32],
    shares: NDArray[np.float32],
    left: float,
) -> Sum:
    order = np.lexsort((parts, -shares))
    return Sum(
        parts[order].astype(np.int64),
        activations[order].astype(np.float32),
        shares[order].astype(np.float32),
        left,
    )
