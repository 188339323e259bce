"""Exact arithmetic on float32 activations, with torch: bins by bits, integers, priorities by hash.

Sums of floats depend on the order of adding, so two ways of batching one text would give two
reports. Here an activation is taken apart into exponent and significand, and the significands of
one octave are summed as integers: exact, hence the same in every order.

Priorities are those of `util.priority` and `statistics.floats`, on tensors of any device. There
is no unsigned 64-bit arithmetic in torch: products wrap alike in signed integers, shifts are
masked, and an unsigned number is compared by flipping its highest bit.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from saereport.measure.statistics.floats import FINE, FINE_SHIFT

NEVER = (1 << 63) - 1
"""The priority that nothing has: above every other."""
LEVELS = 32
"""Levels of the samples of a text: level l holds every 2^l-th token."""

_SIGN = -(1 << 63)
_HIGHEST_POWER = 400


def _signed(x: int) -> int:
    return x - (1 << 64) if x >= 1 << 63 else x


_STEP = _signed(0x9E3779B97F4A7C15)
_FIRST = _signed(0xBF58476D1CE4E5B9)
_SECOND = _signed(0x94D049BB133111EB)


def mix(x: Tensor) -> Tensor:
    """`util.priority.mix` on int64 tensors: the same 64 bits, seen as signed."""
    x = x + _STEP
    for shift, factor in ((30, _FIRST), (27, _SECOND), (31, 1)):
        shifted = x >> shift
        shifted &= (1 << (64 - shift)) - 1
        x ^= shifted
        if factor != 1:
            x *= factor
    return x


def ordered(bits: Tensor) -> Tensor:
    """Unsigned 64-bit numbers as signed ones of the same order; its own inverse."""
    return bits ^ _SIGN


def place_bits(sequence: Tensor, position: Tensor) -> Tensor:
    """The bits of `util.priority.place_priorities`, int64 of the inputs' common shape."""
    return mix((sequence.to(torch.int64) << 32) | position.to(torch.int64))


def latent_bits(seed: int, latent: Tensor) -> Tensor:
    """What `statistics.floats.priorities` mixes into a place's bits for each latent, int64."""
    seeded = mix(torch.tensor([_signed(seed & 0xFFFFFFFFFFFFFFFF)], device=latent.device))
    return mix(latent.to(torch.int64) ^ seeded)


def levels_of(place: Tensor) -> Tensor:
    """How many leading bits of each place's number are zero, at most 31; int8.

    Level l or above has every 2^l-th token of a text, on average; which ones depends on their
    place in the text alone.
    """
    high = (place >> 32) & 0xFFFFFFFF
    _, exponent = torch.frexp(high.to(torch.float64))
    return (LEVELS - exponent).clamp_(0, LEVELS - 1).to(torch.int8)


def fine_bin(bits: Tensor) -> Tensor:
    """`statistics.floats.fine_bin` of int32 bits."""
    return (bits - 1) >> FINE_SHIFT


def fine_ends(lowest: int, highest: int) -> tuple[int, int]:
    """The fine bins of two activations, of which the host has the bits."""
    return (lowest - 1) >> FINE_SHIFT, (highest - 1) >> FINE_SHIFT


def octaves(lowest: int, highest: int) -> tuple[int, int]:
    """Fine bins of whole octaves that cover activations between two of given bits: start, stop."""
    first, last = fine_ends(lowest, highest)
    return first // FINE * FINE, (last // FINE + 1) * FINE


def significand(bits: Tensor) -> tuple[Tensor, Tensor]:
    """Take activations apart: `value = integer * 2 ** (exponent - 150)`, integer below 2^24.

    Args:
        bits: Positive finite float32s seen as int32.

    Returns:
        The biased exponent (1 to 254, int32) and the integer (int64).
    """
    exponent = bits >> 23
    hidden = (exponent > 0).to(torch.int32) << 23
    integer = (bits & 0x7FFFFF) | hidden
    return exponent.clamp_min(1), integer.to(torch.int64)


class Powers:
    """`2 ** exponent` as float64, exactly, for exponents between -400 and 400.

    From a table: a device's own power function may be wrong in the last bit.
    """

    def __init__(self, device: torch.device | str) -> None:
        listed = [math.ldexp(1.0, e) for e in range(-_HIGHEST_POWER, _HIGHEST_POWER + 1)]
        self._table = torch.tensor(listed, dtype=torch.float64, device=device)

    def of(self, exponent: Tensor) -> Tensor:
        """The powers of integer exponents; those beyond the table get its ends."""
        inside = exponent.to(torch.int64).clamp(-_HIGHEST_POWER, _HIGHEST_POWER)
        return self._table.index_select(0, inside.reshape(-1) + _HIGHEST_POWER).view(inside.shape)


def linear_exponent(maximum: Tensor, bins_log2: int) -> Tensor:
    """The smallest e for which 2^bins_log2 bins of width 2^e reach the maximum, int32.

    Of a maximum of zero it is any number.
    """
    mantissa, exponent = torch.frexp(maximum)
    return exponent.to(torch.int32) - bins_log2 - (mantissa == 0.5).to(torch.int32)


def rank_in_groups(group: Tensor, n_groups: int) -> Tensor:
    """The place (from 0) of each element within its group; equal groups side by side, int64[k]."""
    counts = torch.zeros(n_groups, dtype=torch.int64, device=group.device)
    wide = group.to(torch.int64)
    counts.scatter_add_(0, wide, torch.ones_like(wide))
    start = torch.cumsum(counts, 0) - counts
    return torch.arange(len(group), device=group.device) - start[wide]
