"""Pseudo-random priorities: the same number for the same thing, wherever and whenever it is met.

Samples that are chosen by lowest priority do not depend on batches, and merge exactly; sketches
whose priorities are of tokens alone can be compared between latents, SAEs and reports.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SKETCHED = 64
"""Tokens that a sketch of a latent's active tokens holds at most."""


def mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """splitmix64's finaliser: a bijection of 64-bit integers that scatters them evenly."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x


def place_priorities(sequence: NDArray[Any], position: NDArray[Any]) -> NDArray[np.uint64]:
    """A number for every token of a text, `uint64` of the inputs' shape.

    No two tokens share one. Sequences and positions below 2^32.
    """
    return mix((sequence.astype(np.uint64) << np.uint64(32)) | position.astype(np.uint64))


def token_priorities(tokens: NDArray[Any], context_size: int) -> NDArray[np.uint64]:
    """`place_priorities` of tokens that are numbered `sequence * context_size + position`."""
    sequence, position = np.divmod(np.asarray(tokens, dtype=np.int64), context_size)
    return place_priorities(sequence, position)
