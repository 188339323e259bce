"""From a map of gradients to the rows that are stored of it, and those that are checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from saereport.circuits.gradients.maps import GradientMap
from saereport.sources.devices import float64_of


@dataclass(frozen=True, eq=False)
class KeptPairs:
    """The pairs of a gradient map that are stored, the largest gradient first.

    Attributes:
        late: Index of the output in the map, int64 `[n]`.
        early: Index of the input, int64 `[n]`.
        gradients: `[n]`.
        n_pairs: Pairs with a gradient, stored or not.
        total: Sum of the absolute gradients of all pairs.
    """

    late: Tensor
    early: Tensor
    gradients: Tensor
    n_pairs: int
    total: float

    def __len__(self) -> int:
        return len(self.late)

    @property
    def share(self) -> float:
        """Share of `total` that the stored pairs hold; 1 where there is nothing to hold."""
        held = float(float64_of(self.gradients).abs().sum())
        return held / self.total if self.total else 1.0


def kept_pairs(values: Tensor, limit: int, block: Tensor | None = None) -> KeptPairs:
    """The pairs with the largest gradients.

    Args:
        values: Gradients `[n_late, n_early]`.
        limit: Pairs to keep at most; of equal ones those that come first by (late, early).
        block: Outputs, bool `[n_late]`, of which as many more pairs are kept as belong to them
            among the largest of theirs alone; None for no such outputs.
    """
    flat = values.reshape(-1)
    sizes = flat.abs()
    kept = _largest(sizes, limit)
    if block is not None and bool(block.any()):
        inside = block[:, None].expand_as(values).reshape(-1)
        wanted = torch.zeros_like(inside)
        wanted[kept] = True
        wanted[_largest(sizes * inside, limit)] = True
        kept = wanted.nonzero().squeeze(1)
    order = torch.sort(sizes[kept], descending=True, stable=True).indices
    kept = kept[order]
    n_early = max(values.shape[1], 1)
    return KeptPairs(
        late=kept // n_early,
        early=kept % n_early,
        gradients=flat[kept],
        n_pairs=int(torch.count_nonzero(flat)),
        total=float(float64_of(sizes).sum()),
    )


def _largest(sizes: Tensor, limit: int) -> Tensor:
    """Indices of the largest of non-negative numbers, ascending, zeros never among them."""
    k = min(limit, int(torch.count_nonzero(sizes)))
    if k == 0:
        return torch.zeros(0, dtype=torch.int64, device=sizes.device)
    least = torch.topk(sizes, k).values[-1]
    above = (sizes > least).nonzero().squeeze(1)
    equal = (sizes == least).nonzero().squeeze(1)[: k - len(above)]
    return torch.cat([above, equal]).sort().values


def map_row(early: str, late: str, found: GradientMap, kept: KeptPairs) -> dict[str, list[Any]]:
    """The row of table `gradient_maps`."""
    row = {
        "early": early,
        "late": late,
        "n_early": len(found.early),
        "n_late": len(found.late),
        "n_true": found.n_true,
        "n_reconstructed": found.n_reconstructed,
        "n_one_only": found.n_one_only,
        "n_early_all": found.n_early_all,
        "n_late_all": found.n_late_all,
        "early_share": found.early_share,
        "late_share": found.late_share,
        "n_pairs": kept.n_pairs,
        "n_kept": len(kept),
        "total": kept.total,
        "kept_share": kept.share,
    }
    return {name: [value] for name, value in row.items()}


def gradient_rows(early: str, late: str, found: GradientMap, kept: KeptPairs) -> dict[str, Any]:
    """The rows of table `gradients`."""
    sources, targets = found.early, found.late
    return {
        "early": [early] * len(kept),
        "late": [late] * len(kept),
        "rank": list(range(len(kept))),
        "early_latent": sources.latents[kept.early].tolist(),
        "early_position": sources.positions[kept.early].tolist(),
        "early_activation": sources.values[kept.early].tolist(),
        "late_latent": targets.latents[kept.late].tolist(),
        "late_position": targets.positions[kept.late].tolist(),
        "late_activation": targets.values[kept.late].tolist(),
        "gradient": kept.gradients.tolist(),
    }


def pairs_to_check(found: GradientMap, kept: KeptPairs, n: int) -> Tensor:
    """The strongest pairs as the rows that `ablation_effects` takes, int64 `[n, 4]`."""
    early, late = kept.early[:n], kept.late[:n]
    return torch.stack(
        [
            found.early.positions[early],
            found.early.latents[early],
            found.late.positions[late],
            found.late.latents[late],
        ],
        dim=1,
    )


def check_rows(
    early: str, late: str, found: GradientMap, kept: KeptPairs, measured: Tensor
) -> dict[str, Any]:
    """The rows of table `gradient_checks`: the linear prediction beside what was measured.

    Args:
        early: The earlier SAE.
        late: The later SAE, or an empty name for the logits.
        found: The map.
        kept: What is stored of it.
        measured: Changes `[n]` by setting the strongest pairs' earlier latents to zero.
    """
    n = len(measured)
    predicted = -float64_of(found.early.values[kept.early[:n]]) * float64_of(kept.gradients[:n])
    return {
        "early": [early] * n,
        "late": [late] * n,
        "rank": list(range(n)),
        "predicted": predicted.tolist(),
        "measured": measured.tolist(),
    }


def limit_note(found: GradientMap) -> str:
    """What limits left out of a map, in words; empty where they left out nothing.

    What is not stored because it is small is said by the map's own row, not here.
    """
    parts: Sequence[tuple[str, int, int, float]] = (
        ("inputs", len(found.early), found.n_early_all, found.early_share),
        ("outputs", len(found.late), found.n_late_all, found.late_share),
    )
    cut = [
        f"{used:,} of {all_:,} {what} ({share:.0%} of their activation)"
        for what, used, all_, share in parts
        if used < all_
    ]
    if not cut:
        return ""
    return (
        f"Too many are active: {' and '.join(cut)} were used, those with the largest activations."
    )
