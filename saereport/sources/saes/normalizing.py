"""Directions through what an SAE does to activations at run time, its scale held fixed.

SAELens normalises what some SAEs read in one of two ways: `constant_norm_rescale` brings each
activation to the length `sqrt(d_in)`, `layer_norm` centres it and divides it by its standard
deviation. A decoder that writes where the encoder reads undoes that.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from torch import Tensor

Normalization = Literal["layer_norm", "constant_norm_rescale"]

AT_RUN_TIME: Final[tuple[Normalization, ...]] = ("layer_norm", "constant_norm_rescale")
"""SAELens's other ways are folded into the weights when they are loaded, or act in training."""


def read_before(how: Normalization | None, rows: Tensor, read: Tensor) -> Tensor:
    """Read directions on normalised activations, as ones on the activations themselves.

    Args:
        how: How they are normalised; None where they are not.
        rows: The activations, `[n, d_in]`.
        read: A direction for each, `[n, d_in]`.
    """
    if how == "constant_norm_rescale":
        length: Tensor = rows.norm(dim=-1, keepdim=True)
        return read * (math.sqrt(rows.shape[-1]) / length)
    if how == "layer_norm":
        centred = read - read.mean(dim=-1, keepdim=True)
        result: Tensor = centred / (rows.std(dim=-1, keepdim=True) + 1e-5)
        return result
    return read


def written_after(how: Normalization | None, rows: Tensor, written: Tensor) -> Tensor:
    """What a decoder adds to a normalised activation, as what that is in the activation's units.

    Args:
        how: How activations are normalised; None where they are not.
        rows: What was read, `[n, d_in]`.
        written: What is added for each, `[n, d_in]`.
    """
    if how == "constant_norm_rescale":
        coefficient: Tensor = rows.shape[-1] ** 0.5 / rows.norm(dim=-1, keepdim=True)
        return written / coefficient
    if how == "layer_norm":
        centred = rows - rows.mean(dim=-1, keepdim=True)
        result: Tensor = written * centred.std(dim=-1, keepdim=True)
        return result
    return written
