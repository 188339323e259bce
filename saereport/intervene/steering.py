"""Steering: a latent's write direction, added while a model writes, or put in place of its own.

The direction is what the decoder writes at the SAE's own hook point, so an SAE of an MLP's or of
the heads' output is steered where it writes, and the model itself carries that into the residual
stream. A layer of a cross-layer transcoder is steered at every MLP that it writes to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from saereport.sources.devices import float64_of
from saereport.sources.forward import Edit
from saereport.sources.saes.sae import Sae

Form = Literal["additive", "orthogonal", "projection_cap"]


@dataclass(frozen=True, eq=False)
class Direction:
    """What one unit of strength adds.

    Attributes:
        vectors: Hook point to the vector that strength 1 adds there, float32 `[d_out]`.
    """

    vectors: Mapping[str, Tensor]

    @property
    def norm(self) -> float:
        """The length of what strength 1 adds, over all hook points together."""
        squares = sum(float(float64_of(vector).square().sum()) for vector in self.vectors.values())
        return float(squares**0.5)


def why_not_steered(sae: Sae) -> str:
    """Why the latents of an SAE cannot be turned up, a clause; empty where they can."""
    if sae.why_no_decoder:
        return sae.why_no_decoder
    if sae.normalizes is not None and not sae.is_transcoder:
        return "it normalises what it reads, so that what a latent writes depends on the activation"
    return ""


def direction_of(sae: Sae, latent: int, activation: float) -> Direction:
    """What a latent writes where its SAE writes, at a given activation.

    Args:
        sae: The SAE or transcoder; there is no reason of `why_not_steered` against it.
        latent: The latent.
        activation: Its activation, which is one unit of strength: its maximum on a text.
    """
    index = torch.tensor([latent])
    return Direction(
        {
            hook.name: activation * sae.write_rows(index, place)[0].detach().float()
            for place, hook in enumerate(sae.writes)
        }
    )


def steering(
    direction: Direction,
    strengths: Tensor,
    form: Form,
    span: tuple[int, int | None] = (0, None),
    first: int = 0,
) -> dict[str, Edit]:
    """Edits for `forward` that steer each sequence of a batch with a strength of its own.

    With `u = v / |v|`. Additive: `a + s v`. Orthogonal: the component of `a` along `v` is replaced,
    `a - (a u) u + s v`. Projection cap: where that component is above `s |v|` it is lowered to it,
    `a - max(a u - s |v|, 0) u`. A sequence of strength 0 stays as it is in every form.

    Args:
        direction: What strength 1 adds.
        strengths: The strength of each sequence, float32 `[batch]`.
        form: Which of them.
        span: The first position at which it is done and that before which it ends, if it does;
            from 0, over prompt and continuation.
        first: The position at which the pass begins.
    """
    start, stop = span
    if stop is not None and first >= stop:
        return {}
    inside = slice(max(start - first, 0), None if stop is None else stop - first)
    return {
        name: _edit(vector, strengths, form, inside) for name, vector in direction.vectors.items()
    }


def _edit(vector: Tensor, strengths: Tensor, form: Form, where: slice) -> Edit:
    def edit(a: Tensor) -> Tensor:
        if not a[:, where].numel():
            return a
        exact = torch.promote_types(a.dtype, torch.float32)
        v = vector.to(a.device, exact)
        s = strengths.to(a.device, exact)[:, None, None]
        x = a[:, where].to(exact)
        moved = x + s * v
        if form != "additive":
            norm = v.norm()
            u = v / norm.clamp(min=torch.finfo(exact).tiny)
            along = (x @ u)[..., None]
            capped = x - (along - s * norm).clamp(min=0) * u
            moved = moved - along * u if form == "orthogonal" else capped
        moved = torch.where(s == 0, a[:, where], moved.to(a.dtype))
        if moved.shape == a.shape:
            return moved
        result = a.clone()
        result[:, where] = moved
        return result

    return edit


def overflows(direction: Direction, strength: float, dtype: torch.dtype) -> bool:
    """Whether what a strength adds, or its square, is too large for a number.

    Args:
        direction: What strength 1 adds.
        strength: The strength.
        dtype: The number format of the activations that it is added to. Norms square them in at
            least single precision, and give zero where that overflows.
    """
    if abs(strength) * direction.norm > torch.finfo(torch.float32).max ** 0.5:
        return True
    found = [strength * float64_of(vector) for vector in direction.vectors.values()]
    return not all(bool(torch.isfinite(vector.to(dtype)).all()) for vector in found)
