"""Token-set enrichment: whether the tokens of a set stand together in a latent's logit lens.

The vocabulary is ranked by the logit lens. Walking down from the token that is raised most, each
member of a set S adds 1/|S| and each other token -1/(V - |S|); the score is the value of the
running sum that is farthest from zero, with its sign (Subramanian et al., 2005, "Gene set
enrichment analysis", with equal weights: the two-sample Kolmogorov-Smirnov statistic with a sign).

After j members and through the first h tokens the sum is (j V - h |S|) / (|S| (V - |S|)), so that
scores are kept as whole numbers, numerators over |S| (V - |S|), and compared without rounding.
Within tokens of equal logit there is no order: the sum is looked at only before and behind them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_BYTES_AN_ENTRY = 48
"""What ranking takes for each logit: orders, places and ties as int64, several at a time."""
_NULL_ENTRIES = 1 << 21
"""Places of members that are drawn together for the null."""


def rows_ranked_at_once(n_tokens: int, memory: int) -> int:
    """How many latents' vocabularies can be ranked together in so many bytes."""
    return max(1, memory // (_BYTES_AN_ENTRY * max(n_tokens, 1)))


def running_sums(scores: Tensor, sets: Sequence[Tensor], memory: int) -> NDArray[np.int64]:
    """Numerators of the enrichment scores of token sets.

    Args:
        scores: Logits of the tokens that are ranked, float32[n, V].
        sets: Of each set the columns of its members, int64[k] without repetition, 0 < k < V.
        memory: Bytes that temporary tables may take.

    Returns:
        int64[n, n_sets]; divided by `k * (V - k)` they are the scores. Where both extremes are
        equally far from zero, the positive one.
    """
    # An MPS device cannot do all that ranking takes.
    scores = scores.cpu() if scores.device.type == "mps" else scores
    sets = [members.to(scores.device) for members in sets]
    found = [np.zeros((0, len(sets)), np.int64)]
    for few in torch.split(scores, rows_ranked_at_once(scores.shape[1], memory)):
        place, above, through = _ranks(few)
        columns = [_extreme(place, above, through, members) for members in sets]
        found.append(torch.stack(columns, dim=1).cpu().numpy() if columns else found[0])
    return np.concatenate(found)


def _ranks(scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The order of each row's tokens, and where it has ties.

    Returns:
        Each token's place; and by place, how many tokens have a larger logit than the one there,
        and how many one that is no smaller; int64[n, V] each.
    """
    n, width = scores.shape
    values, order = torch.sort(scores, dim=1, descending=True)
    places = torch.arange(width, device=scores.device).expand(n, width)
    place = torch.empty_like(order).scatter_(1, order, places)
    first = torch.ones((n, width), dtype=torch.bool, device=scores.device)
    torch.ne(values[:, 1:], values[:, :-1], out=first[:, 1:])
    if first.all():
        return place, places, places + 1
    above = torch.where(first, places, 0).cummax(dim=1).values
    last = torch.ones_like(first)
    last[:, :-1] = first[:, 1:]
    through = torch.where(last, places + 1, width).flip(1).cummin(dim=1).values.flip(1)
    return place, above, through


def _extreme(place: Tensor, above: Tensor, through: Tensor, members: Tensor) -> Tensor:
    """The numerator farthest from zero of one set, int64[n]."""
    width, k = place.shape[1], len(members)
    if 2 * k > width:
        # The sum of all other tokens is the same with the other sign, and has fewer steps.
        inside = torch.zeros(width, dtype=torch.bool, device=members.device)
        inside[members] = True
        low, high = _ends(place, above, through, torch.where(~inside)[0])
        return _farthest(-low, -high)
    low, high = _ends(place, above, through, members)
    return _farthest(high, low)


def _ends(place: Tensor, above: Tensor, through: Tensor, members: Tensor) -> tuple[Tensor, Tensor]:
    """Smallest and largest numerator of the running sum, int64[n] each."""
    width, k = place.shape[1], len(members)
    at = place[:, members].sort(dim=1).values
    j = torch.arange(1, k + 1, device=place.device)
    # Of members with equal logits the last has the largest sum behind them, the first the
    # smallest before them: the extremes over all members are those over groups of equal ones.
    high = (j * width - through.gather(1, at) * k).amax(dim=1)
    low = ((j - 1) * width - above.gather(1, at) * k).amin(dim=1)
    return low, high


def _farthest(high: Tensor, low: Tensor) -> Tensor:
    return torch.where(high >= -low, high, low)


def permutation_null(size: int, n_tokens: int, n: int, seed: int) -> NDArray[np.int64]:
    """How far from zero the running sum gets for random sets of a size.

    Which tokens a set has does not matter then, nor which latent ranks them, as long as no two
    tokens have equal logits (equal ones bring a score nearer to zero, so that a p-value errs
    towards 1): one null serves all latents, and every set of this size.

    Args:
        size: Tokens of a set, 0 < size < n_tokens.
        n_tokens: Tokens that are ranked.
        n: Random sets.
        seed: With the sizes, decides which.

    Returns:
        Distances as numerators over `size * (n_tokens - size)`, rising, int64[n].
    """
    # A set and all other tokens are equally far from zero.
    k = min(size, n_tokens - size)
    random = np.random.default_rng([seed, n_tokens, k])
    j = np.arange(1, k + 1)
    found = np.empty(n, dtype=np.int64)
    step = max(1, _NULL_ENTRIES // k)
    for start in range(0, n, step):
        count = min(step, n - start)
        places = np.stack([random.choice(n_tokens, k, replace=False) for _ in range(count)])
        places.sort(axis=1)
        high = (j * n_tokens - (places + 1) * k).max(axis=1)
        low = ((j - 1) * n_tokens - places * k).min(axis=1)
        found[start : start + count] = np.maximum(high, -low)
    found.sort()
    return found


def p_values(numerators: NDArray[np.int64], null: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of the null at least as far from zero, the observed one counted in: never zero.

    Args:
        numerators: Of one set, any shape.
        null: Rising, as `permutation_null` gives it for the set's size.
    """
    farther = len(null) - np.searchsorted(null, np.abs(numerators), side="left")
    return np.asarray((farther + 1) / (len(null) + 1), dtype=np.float64)


def benjamini_hochberg(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """p-values corrected for their number (Benjamini and Hochberg, 1995).

    Those at or below a level have among them, in the mean, no larger share of false ones than it.

    Args:
        p: Any shape; all entries together are one family.
    """
    flat = p.ravel()
    order = np.argsort(flat, kind="stable")
    scaled = flat[order] * len(flat) / np.arange(1, len(flat) + 1)
    corrected = np.empty_like(flat)
    corrected[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return corrected.reshape(p.shape)
