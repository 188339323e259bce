"""Two dictionaries against each other: best matches both ways, chance, and feature splitting.

A *best match* of a direction is the one of the other dictionary with the largest cosine, of equal
ones that of the smaller number. The matrix of all cosines is made in blocks of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.measure.geometry.directions import Directions

MEMORY = 128 * 2**20
"""Bytes that a block of cosines may take."""
CHANCE_ROWS = 1024
"""Directions of a dictionary whose best match by chance is measured."""
DRAWN = 8192
"""Random directions that are drawn at a time."""


@dataclass(frozen=True, eq=False)
class Best:
    """The best match of each direction of a dictionary.

    Attributes:
        row: Its place among the rows of the other, int64 `[n]`.
        cosine: float32 `[n]`.
    """

    row: NDArray[np.int64]
    cosine: NDArray[np.float32]


def best_matches(first: Tensor, second: Tensor, memory: int = MEMORY) -> tuple[Best, Best]:
    """The best match of each row of `first` in `second`, and of each of `second` in `first`.

    Args:
        first: Unit rows, float32 `[n, d]`, at least one.
        second: Unit rows, float32 `[m, d]` on the same device, at least one.
        memory: Bytes that a block of cosines may take.

    Returns:
        That of the rows of `first`, and that of the rows of `second`.
    """
    n, m = len(first), len(second)
    step = max(1, memory // (8 * m))
    rows = torch.empty(n, dtype=torch.int64, device=first.device)
    values = torch.empty(n, dtype=torch.float32, device=first.device)
    back_rows = torch.zeros(m, dtype=torch.int64, device=first.device)
    back = torch.full((m,), -torch.inf, dtype=torch.float32, device=first.device)
    for start in range(0, n, step):
        cosine = first[start : start + step] @ second.T
        values[start : start + step], rows[start : start + step] = cosine.max(dim=1)
        most, at = cosine.max(dim=0)
        # Only what is larger replaces: of equal ones the smaller number stays.
        better = most > back
        back = torch.where(better, most, back)
        back_rows = torch.where(better, at + start, back_rows)
    return _best(rows, values), _best(back_rows, back)


def _best(rows: Tensor, values: Tensor) -> Best:
    return Best(rows.cpu().numpy(), values.clamp(-1, 1).cpu().numpy())


def is_mutual(best: Best, back: Best) -> NDArray[np.bool_]:
    """Of each row of the first dictionary whether it is its best match's best match, `[n]`."""
    mutual: NDArray[np.bool_] = back.row[best.row] == np.arange(len(best.row))
    return mutual


# ---- chance


def by_chance(rows: Tensor, like: Tensor, seed: int, memory: int = MEMORY) -> NDArray[np.float32]:
    """Cosines of best matches among random directions in place of a dictionary's.

    As many directions are drawn as the dictionary has, from a normal distribution with the second
    moments of its unit rows (their covariance about zero), and made of length one. What real
    directions reach beyond that is not owed to their number, nor to the few dimensions in which
    most of both dictionaries lie.

    Args:
        rows: Unit rows whose best match is looked for, float32 `[n, d]`; of many, `CHANCE_ROWS`
            that lie evenly among them.
        like: The dictionary, float32 `[m, d]`.
        seed: Of the draws.
        memory: Bytes that a block of cosines may take.

    Returns:
        float32 `[min(n, CHANCE_ROWS)]`.
    """
    some = rows[_evenly(len(rows), CHANCE_ROWS).to(rows.device)]
    found = torch.full((len(some),), -torch.inf, dtype=torch.float32, device=rows.device)
    for drawn in random_directions(like, len(like), seed):
        for part in torch.split(drawn, max(1, memory // (8 * len(some)))):
            found = torch.maximum(found, (some @ part.T).amax(dim=1))
    return np.asarray(found.clamp(-1, 1).cpu().numpy())


def _evenly(n: int, most: int) -> Tensor:
    """Up to so many places, spread evenly over `n`."""
    return torch.linspace(0, n - 1, min(n, most), dtype=torch.float64).long()


def random_directions(like: Tensor, n: int, seed: int) -> Iterator[Tensor]:
    """Random unit rows with the second moments of a dictionary, `DRAWN` of them at a time.

    Args:
        like: The dictionary, float32 `[m, d]`.
        n: How many rows.
        seed: Of the draws, which are the same on every device.
    """
    root = _root_of_moments(like)
    generator = torch.Generator().manual_seed(seed)
    for start in range(0, n, DRAWN):
        size = (min(DRAWN, n - start), root.shape[1])
        drawn = torch.randn(size, generator=generator).to(like.device) @ root.T
        yield drawn / drawn.norm(dim=1, keepdim=True).clamp(min=1e-30)


def _root_of_moments(rows: Tensor) -> Tensor:
    """A matrix L with L L^T the second moments of unit rows, float32 `[d, d]`."""
    d = rows.shape[1]
    moments = torch.zeros((d, d), dtype=torch.float32, device=rows.device)
    for block in torch.split(rows, DRAWN):
        moments += block.T @ block
    exact = moments.cpu().to(torch.float64) / len(rows)
    # Rows that span less than the space have no such root without a little in every direction: as
    # little as will do, since single precision is off by more or less.
    identity = torch.eye(d, dtype=torch.float64)
    for power in range(-6, -1):
        root, failed = torch.linalg.cholesky_ex(exact + 10.0**power / d * identity)
        if not int(failed):
            break
    else:
        values, vectors = torch.linalg.eigh(exact)
        root = vectors * values.clamp(min=0).sqrt()
    single: Tensor = root.float().to(rows.device)
    return single


def pairs_by_chance(like: Tensor, share: float, seed: int) -> float:
    """The cosine that a share of pairs of random directions like a dictionary's stays below."""
    (drawn, *_) = random_directions(like, 2 * CHANCE_ROWS, seed)
    half = len(drawn) // 2
    cosines = (drawn[:half] @ drawn[half:].T).cpu().numpy()
    return float(np.quantile(cosines, share))


# ---- feature splitting


@dataclass(frozen=True, eq=False)
class Split:
    """A direction of one dictionary for which another has several.

    Attributes:
        whole: Its latent.
        parts: The latents of the other whose best match it is, the nearest first.
        cosines: Theirs with it.
        within: Mean cosine between two of the parts.
    """

    whole: int
    parts: NDArray[np.int64]
    cosines: NDArray[np.float32]
    within: float


def splits(whole: Directions, parts: Directions, back: Best, least: float) -> list[Split]:
    """Directions that are the best match of several of another dictionary.

    Args:
        whole: The dictionary, as a rule the narrower one, whose directions may be split.
        parts: The other one.
        back: The best match of each of `parts` in `whole`.
        least: Cosine from which a best match counts.

    Returns:
        Those with two parts or more: the most parts first, of equally many those with the larger
        mean cosine.
    """
    groups = matched_by(back, least)
    found = []
    for row, members in groups.items():
        if len(members) < 2:
            continue
        inside = parts.rows[torch.from_numpy(members).to(parts.rows.device)]
        found.append(
            Split(
                whole=int(whole.latents[row]),
                parts=parts.latents[members],
                cosines=back.cosine[members],
                within=mean_cosine(inside),
            )
        )
    return sorted(found, key=lambda s: (-len(s.parts), -float(s.cosines.mean()), s.whole))


def matched_by(back: Best, least: float) -> dict[int, NDArray[np.int64]]:
    """The rows of the other dictionary whose best match a row is, the nearest first, by row."""
    fit = np.flatnonzero(back.cosine >= least)
    order = fit[np.lexsort((fit, -back.cosine[fit], back.row[fit]))]
    rows, starts = np.unique(back.row[order], return_index=True)
    parts = np.split(order, starts[1:]) if len(rows) else []
    return dict(zip(rows.tolist(), parts, strict=True))


def mean_cosine(rows: Tensor) -> float:
    """Mean cosine between two different ones of at least two unit rows."""
    n = len(rows)
    total = float(rows.sum(dim=0).square().sum()) - float(rows.square().sum())
    return float(np.clip(total / (n * (n - 1)), -1, 1))
