"""The write directions of a whole dictionary, in a space that another one writes to as well."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.measure.weights.context import HookView, ModelView, SaeWeights, summed_rows
from saereport.measure.weights.directions import why_no_write, writes_of

BLOCK = 4096
"""Latents whose directions are taken at a time."""

Space = Literal["hook", "residual"]
"""`hook`: both write at one hook point, and rows are compared there; `residual`: in the stream."""


@dataclass(frozen=True, eq=False)
class Directions:
    """The directions of a dictionary.

    Attributes:
        rows: Of length one, float32 `[n, d]`, on the weights' device.
        latents: Which latent each row is, ascending, int64 `[n]`.
        n_without: Latents that have no direction: their row has no length or is not finite.
    """

    rows: Tensor
    latents: NDArray[np.int64]
    n_without: int = 0

    def __len__(self) -> int:
        return len(self.latents)


def directions_of(rows: Iterable[Tensor], n: int) -> Directions:
    """Directions from rows of any length.

    Args:
        rows: Those of all latents in their order, in blocks `[k, d]`, held one at a time.
        n: How many latents there are, one at least.
    """
    unit, start = torch.zeros(0), 0
    for block in rows:
        some = _unit(block.detach().float())
        if not start:
            unit = some.new_empty((n, some.shape[1]))
        unit[start : start + len(some)] = some
        start += len(some)
    lengths = unit.norm(dim=1)
    fit = torch.isfinite(lengths) & (lengths > 0.5)
    latents = torch.nonzero(fit).squeeze(1)
    if len(latents) < len(unit):
        unit = unit[latents]
    return Directions(unit, latents.cpu().numpy(), int(len(fit) - len(latents)))


def _unit(rows: Tensor) -> Tensor:
    # Divided by the largest entry first: squares of tiny ones would vanish, of huge ones overflow.
    largest = rows.abs().amax(dim=1, keepdim=True)
    rows = rows / torch.where(largest > 0, largest, torch.ones_like(largest))
    norm = rows.norm(dim=1, keepdim=True)
    return rows / torch.where(norm > 0, norm, torch.ones_like(norm))


def shared_space(first: SaeWeights, second: SaeWeights, model: ModelView) -> tuple[Space, str]:
    """Where two dictionaries can be compared, or why nowhere.

    Returns:
        The space and an empty text, or a reason as a clause: "it writes to …".
    """
    for sae in (first, second):
        if sae.why_no_decoder:
            return "hook", f"of {sae.slug}, {sae.why_no_decoder}"
    if one_hook(first, second) is not None:
        return "hook", ""
    for sae in (first, second):
        if reason := why_no_write(sae.writes, model):
            return "residual", f"of {sae.slug}, {reason}"
    return "residual", ""


def one_hook(first: SaeWeights, second: SaeWeights) -> HookView | None:
    """The one hook point at which both write; None where there is no such."""
    if len(first.writes) == len(second.writes) == 1:
        point = first.writes[0]
        return point if point.name == second.writes[0].name else None
    return None


def dictionary(sae: SaeWeights, space: Space, model: ModelView) -> Directions:
    """The directions of all latents of an SAE in a space that it writes to.

    Args:
        sae: The SAE or transcoder; nothing is against it by `shared_space`.
        space: At its hook point (of several the sum over them), or in the residual stream, where
            heads' outputs have gone through the output matrices and norms' weights are folded in.
        model: The model.
    """
    n, device = sae.W_enc.shape[1], sae.W_enc.device
    spans = (torch.arange(at, min(at + BLOCK, n), device=device) for at in range(0, n, BLOCK))
    if space == "hook":
        return directions_of((summed_rows(sae, index) for index in spans), n)
    return directions_of((writes_of(sae, model, index) for index in spans), n)
