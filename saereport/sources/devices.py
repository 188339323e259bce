"""What this machine computes on, by the names that users give."""

from __future__ import annotations

import re

import torch

from saereport.util.errors import SaereportError, UsageError, did_you_mean, says_out_of_memory

DTYPES: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}
"""The number formats that a user can choose, by name."""


def resolve_device(name: str = "auto") -> torch.device:
    """The device that `name` means on this machine.

    Args:
        name: `auto` (a CUDA device, else Apple's MPS, else the CPU), `cpu`, `mps`, `cuda` or
            `cuda:1`.

    Raises:
        UsageError: `name` is not a device's name.
        SaereportError: This machine has no such device.
    """
    wanted = name.strip().lower()
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    match = re.fullmatch(r"(cpu|mps|cuda)(?::(\d+))?", wanted)
    if not match or (match[1] != "cuda" and match[2] not in (None, "0")):
        raise UsageError(
            f"'{name}' is not a device.", "Choose one of auto, cuda, cuda:1, mps and cpu."
        )
    kind, index = match[1], match[2]
    if kind == "cpu":
        return torch.device("cpu")
    if kind == "mps":
        if not torch.backends.mps.is_available():
            raise SaereportError("This machine has no MPS device.", "Try --device cpu.")
        return torch.device("mps")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        raise SaereportError(
            "No CUDA device can be used: either there is none, or the installed torch was built "
            "without CUDA.",
            "Try --device cpu.",
        )
    chosen = torch.cuda.current_device() if index is None else int(index)
    if chosen >= count:
        raise SaereportError(
            f"There is no device cuda:{chosen}: this machine has {count} CUDA device(s), "
            f"numbered from 0."
        )
    return torch.device("cuda", chosen)


def resolve_dtype(name: str | torch.dtype) -> torch.dtype:
    """The number format called `name`.

    Raises:
        UsageError: There is no such format among `DTYPES`.
    """
    if isinstance(name, torch.dtype):
        return name
    short = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16", "half": "float16"}
    wanted = name.strip().lower().removeprefix("torch.")
    wanted = short.get(wanted, wanted)
    if wanted not in DTYPES:
        raise UsageError(
            f"'{name}' is not a number format.",
            did_you_mean(wanted, DTYPES) or f"Choose one of {', '.join(DTYPES)}.",
        )
    return DTYPES[wanted]


def dtype_name(dtype: torch.dtype) -> str:
    """The name of a number format, such as `float32`."""
    return str(dtype).removeprefix("torch.")


def float64_of(x: torch.Tensor) -> torch.Tensor:
    """A tensor in float64, on the CPU where its device has no such numbers (MPS)."""
    return (x.cpu() if x.device.type == "mps" else x).double()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory ran out, on any device, so that a smaller batch may do."""
    return says_out_of_memory(error)
