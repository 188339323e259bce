"""Bins of float32 activations by their bits, and priorities of events by hash, on the host.

What makes results of sums and bins; `measure.exact` has what fills them, on the device.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from saereport.util.priority import mix, place_priorities

FINE = 32
"""Bins an octave of the fine logarithmic histogram."""
FINE_SHIFT = 23 - 5
"""Bits of a float32 below those that say its fine bin."""


def fine_bin(bits: NDArray[np.int32]) -> NDArray[np.int32]:
    """The fine logarithmic bin of each activation, from its bits.

    Bins are open below and closed above and split each octave (2^e, 2^(e+1)] into 32 of equal
    width; bin `32 (e + 127) + i` is (2^e (1 + i/32), 2^e (1 + (i+1)/32)]. Numbers above 0 and up to
    2^-126 (subnormal) fall in bins 0 to 31, which split (0, 2^-126] evenly.

    Args:
        bits: Positive finite float32s seen as int32.
    """
    return (bits - 1) >> FINE_SHIFT


def fine_edge(bins: NDArray[Any]) -> NDArray[np.float64]:
    """The lower edge of each fine bin; that of `bin + 1` is its upper edge. Exact."""
    bits = np.asarray(bins, dtype=np.int64) << FINE_SHIFT
    return bits.astype(np.uint32).view(np.float32).astype(np.float64)


def scale(exponent: NDArray[Any] | int) -> NDArray[np.float64]:
    """`2 ** (exponent - 150)` as float64: the unit of `measure.exact.significand`'s integers."""
    return np.ldexp(1.0, np.asarray(exponent, dtype=np.int64) - 150)


def priorities(
    seed: int, latent: NDArray[Any], sequence: NDArray[Any], position: NDArray[Any]
) -> NDArray[np.uint64]:
    """A pseudo-random 64-bit number for every event, the same whenever the event is met.

    Within one latent no two events share a number. Sequences and positions below 2^32.
    """
    seeded = mix(np.array([seed & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64))
    start = mix(latent.astype(np.uint64) ^ seeded)
    return mix(start ^ place_priorities(sequence, position))
