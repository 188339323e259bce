"""Ways through a model: what is done to a vector between a hook point and the residual stream.

A way may pass a norm, whose weight multiplies every direction alike and whose scale depends on the
position, or a multiplier. Which it is, is found by comparing what a model does to some vectors with
what each norm at hand would make of them; what fits none of them is a problem, with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Leg:
    """A way that is linear but for the scale of a norm.

    Attributes:
        gain: Weight of the norm that is passed, float32[d_model]; None where there is none.
        centred: Whether the norm takes the mean over the width away.
        scale: What else it is multiplied with; one where a norm's own scale hides it.
        normed: Whether a norm is passed, so that what arrives has a scale of each position's own.
        problem: Why nothing is known of it, a clause; empty where all is well.
    """

    gain: Tensor | None = None
    centred: bool = False
    scale: float = 1.0
    normed: bool = False
    problem: str = ""

    def along(self, rows: Tensor) -> Tensor:
        """Vectors at its start as they arrive, up to a norm's scale, [..., d_model]."""
        if self.centred:
            rows = rows - rows.mean(dim=-1, keepdim=True)
        if self.gain is not None:
            rows = rows * self.gain
        return rows if self.scale == 1.0 else rows * self.scale

    def back(self, rows: Tensor) -> Tensor:
        """Read directions at its end as ones at its start (the transpose), [..., d_model]."""
        if self.scale != 1.0:
            rows = rows * self.scale
        if self.gain is not None:
            rows = rows * self.gain
        return rows - rows.mean(dim=-1, keepdim=True) if self.centred else rows

    @property
    def plain(self) -> bool:
        """Whether it is known that vectors arrive as they started."""
        known = not self.problem and self.gain is None and self.scale == 1.0
        return known and not self.centred and not self.normed


def fit(
    arrived: Tensor,
    starts: Tensor,
    onward: Callable[[Tensor], Tensor],
    gains: Sequence[Tensor],
    tolerance: float,
    *,
    before: bool = True,
) -> Leg:
    """The way that explains what arrived.

    Args:
        arrived: What came out, float32[n, ..., m]; each last row is compared by direction.
        starts: What went in, float32[n, width].
        onward: What is known to happen besides, linear: after the norm, or before it.
        gains: Weights of norms that may be passed, float32[d_model] each.
        tolerance: How far the unit vectors may lie apart.
        before: Whether the norm comes before `onward`, or after.

    Returns:
        The best of all; its `problem` says by how much where that is not good enough.
    """
    if not bool(torch.isfinite(arrived).all()) or not bool(arrived.any()):
        return Leg(problem="nothing that is written arrives")
    best, least = Leg(), float("inf")
    for centred in (False, True):
        for gain in (None, *gains):
            leg = Leg(gain, centred)
            expected = onward(leg.along(starts)) if before else leg.along(onward(starts))
            error = float(_apart(arrived, expected.reshape(arrived.shape)))
            if error < least:
                best, least, made = leg, error, expected.reshape(arrived.shape)
    if least > tolerance:
        return Leg(problem=f"off by {min(least, 1.0):.0%} at best")
    flat, plan = arrived.flatten(1), made.flatten(1)
    ratio = (flat * plan).sum(dim=1) / plan.square().sum(dim=1)
    # Through a norm, what starts longer arrives no longer.
    normed = float((ratio / ratio.mean() - 1).abs().max()) > 8 * tolerance
    if normed:
        return Leg(best.gain, best.centred, normed=True)
    scale = float(ratio.mean())
    digits = 4 if tolerance < 0.01 else 2
    scale = 1.0 if abs(scale - 1) < 2 * tolerance else float(f"{scale:.{digits}g}")
    return Leg(best.gain, best.centred, scale)


def _apart(a: Tensor, b: Tensor) -> Tensor:
    """The largest distance of two rows' unit vectors."""
    worst: Tensor = torch.linalg.vector_norm(_unit(a) - _unit(b), dim=-1).max()
    return worst


def _unit(rows: Tensor) -> Tensor:
    norm = rows.norm(dim=-1, keepdim=True)
    return rows / torch.where(norm > 0, norm, torch.ones_like(norm))
