"""Vectors of a file: what is in it, and one of them. Nothing here imports torch before it loads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from saereport.sources.saes.headers import tensor_shapes
from saereport.util.errors import SaereportError, did_you_mean, first_few, shortened

if TYPE_CHECKING:
    from torch import Tensor

FILE_BYTES = 2**30
"""Larger files are no list of directions."""
MOST_NAMES = 10_000
_ANOTHER = "Name another one with 'vector', or leave it out of the file."


def vectors_of(path: Path, chosen: str | None) -> dict[str, int]:
    """Names and widths of the vectors of a file, in its order.

    A safetensors file has vectors by name, and matrices whose rows are called `name.0`, `name.1`;
    an npy file has one vector, called the empty name, or one a row, called `0`, `1` and so on.

    Args:
        path: The file.
        chosen: The name of one of them; all where absent.

    Raises:
        SaereportError: The file is not there, is of another kind or damaged, or has no such vector.
    """
    found: dict[str, int] = {}
    for name, shape in _shapes(path).items():
        if len(shape) not in (1, 2) or 0 in shape:
            raise SaereportError(
                f"'{path}' holds a tensor of shape {list(shape)}{f', {name!r}' if name else ''}, "
                "which is neither a vector nor a list of vectors.",
                "Keep vectors of shape [d], or matrices [n, d].",
            )
        if len(shape) == 1:
            found[name] = shape[0]
        else:
            if len(found) + shape[0] > MOST_NAMES:
                raise SaereportError(f"'{path}' holds more than {MOST_NAMES:,} vectors.")
            dot = f"{name}." if name else ""
            found |= {f"{dot}{row}": shape[1] for row in range(shape[0])}
    if not found:
        raise SaereportError(f"'{path}' holds no vector.")
    if chosen is None:
        return found
    if chosen not in found:
        has = f"It holds {first_few(list(found))}."
        if "" in found:
            has = "It holds one vector, which has no name: leave 'vector' out."
        raise SaereportError(
            f"'{path}' holds no vector '{shortened(chosen)}'.", did_you_mean(chosen, found) or has
        )
    return {chosen: found[chosen]}


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    if not path.is_file():
        raise SaereportError(f"There is no file of vectors '{path}'.", "Check the path.")
    if path.stat().st_size > FILE_BYTES:
        raise SaereportError(f"'{path}' is larger than a file of vectors may be, 1 GiB.")
    if path.suffix == ".safetensors":
        return {name: tuple(shape) for name, shape in tensor_shapes(path).items()}
    if path.suffix == ".npy":
        array = _npy(path)
        if array.dtype.kind not in "fiu":
            raise SaereportError(f"'{path}' holds no numbers but {array.dtype}.")
        return {"": array.shape}
    raise SaereportError(
        f"'{path}' is neither .safetensors nor .npy.", "Save the vectors as one of these."
    )


def _npy(path: Path) -> np.ndarray:
    try:
        found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, OverflowError) as error:
        # Which error a shape of less than nothing, or more than all memory, is: numpy has several.
        raise SaereportError(f"'{path}' is not an npy file that can be read.") from error
    return found


def vector(path: Path, name: str) -> Tensor:
    """A vector of a file, float32 `[d]`.

    Args:
        path: The file.
        name: Its name, as `vectors_of` gives it.

    Raises:
        SaereportError: It is zero, or holds what is no finite number.
    """
    import torch

    if path.suffix == ".npy":
        array = _npy(path)
        row = array if array.ndim == 1 else array[int(name)]
        found = torch.from_numpy(np.array(row, dtype=np.float64)).float()
    else:
        from safetensors import safe_open

        with safe_open(path, framework="pt") as file:
            key, _, row_ = name.rpartition(".")
            whole = name in file.keys()  # noqa: SIM118 - it is no mapping
            tensor = file.get_tensor(name) if whole else file.get_slice(key)[int(row_)]
        found = tensor.float()
    which = f"The vector '{shortened(name)}'" if name else "The vector"
    if not bool(torch.isfinite(found).all()):
        raise SaereportError(f"{which} of '{path}' holds what is no finite number.", _ANOTHER)
    if not bool(found.any()):
        raise SaereportError(f"{which} of '{path}' is zero.", _ANOTHER)
    return found
