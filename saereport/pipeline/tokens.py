"""Tokens on their way to the device."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def tokens_on(tokens: NDArray[np.int32], device: torch.device) -> Tensor:
    """Token ids as int64 on a device; to a CUDA device without waiting for it.

    What goes there in pinned memory is copied while the device still computes; PyTorch keeps that
    memory until it is.

    Args:
        tokens: Token ids of any shape.
        device: Where they are needed.
    """
    found = torch.from_numpy(np.ascontiguousarray(tokens))
    if device.type == "cuda":
        return found.pin_memory().to(device, non_blocking=True).to(torch.int64)
    return found.to(device, torch.int64)
