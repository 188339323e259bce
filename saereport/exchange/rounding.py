"""Numbers of single precision in as few decimals as tell them apart."""

from __future__ import annotations

from array import array

import numpy as np


def shortest(value: float) -> float:
    """The shortest decimal that is this number in single precision."""
    return float(str(np.float32(value)))


def decimals(values: array[float]) -> list[float]:
    """The same for many numbers, most of which are zero."""
    return [shortest(value) if value else 0.0 for value in values]
