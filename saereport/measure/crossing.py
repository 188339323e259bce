"""Where tensors cross between the host and the device: the only place that waits for the device.

Each of these is a question to the device, which has to finish all that was asked of it before;
everything else in the accumulators only asks it for more. `tests/measure/test_crossing.py` counts
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_WORD = 8


def home_of(device: torch.device) -> torch.device:
    """Where the statistics of what is computed on a device are held.

    There, or with the host where the device has no 64-bit floats, which they need: Apple's MPS.
    """
    return torch.device("cpu") if device.type == "mps" else device


def numbers(tensors: Sequence[Tensor]) -> list[int]:
    """Whole numbers that the host needs to know, in one question.

    Args:
        tensors: Of no dimension, on one device, of an integer or bool type.
    """
    if not tensors:
        return []
    stacked = torch.stack([tensor.to(torch.int64) for tensor in tensors])
    found: list[int] = stacked.tolist()
    return found


def indices(mask: Tensor, size: int | None = None) -> Tensor:
    """Where a mask holds, ascending, int64[size].

    Args:
        mask: bool[k].
        size: How often it holds, if the host knows: then the device is not asked.
    """
    if mask.device.type == "cpu":
        return _in_words(mask.reshape(-1))
    if size is None:
        return torch.nonzero(mask).squeeze(1)
    return torch.nonzero_static(mask, size=size).squeeze(1)


def _in_words(mask: Tensor) -> Tensor:
    """`nonzero` of a mask that mostly does not hold: eight values at a time are passed over."""
    n = len(mask) // _WORD * _WORD
    words = torch.nonzero(mask[:n].view(torch.int64)).squeeze(1)
    if 2 * len(words) > len(mask) // _WORD:
        return torch.nonzero(mask).squeeze(1)
    inside = torch.nonzero(mask[:n].view(-1, _WORD).index_select(0, words))
    found = words.index_select(0, inside[:, 0]) * _WORD + inside[:, 1]
    return torch.cat([found, torch.nonzero(mask[n:]).squeeze(1) + n])


def to_host(tensor: Tensor) -> NDArray[Any]:
    """A tensor as an array of its own in the host's memory."""
    array: NDArray[Any] = tensor.detach().cpu().numpy()
    return array.copy() if tensor.device.type == "cpu" else array


def to_device(array: NDArray[Any], device: torch.device | str) -> Tensor:
    """An array's copy on a device; nothing waits for it."""
    # A copy: what the caller does with the array afterwards must not show.
    return torch.from_numpy(np.array(array, order="C")).to(device, non_blocking=True)
