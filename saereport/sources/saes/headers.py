"""Which tensors a weights file holds, told without reading the weights and without torch."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from saereport.util.errors import SaereportError, shortened
from saereport.util.untrusted import MIB

LARGEST_HEADER = 100 * MIB
LARGEST_PICKLE = 16 * MIB
"""Bytes that a pickle may have that names some tensors."""


def tensor_shapes(path: Path) -> dict[str, list[int]]:
    """The shapes that a safetensors file's header names; the weights are not read.

    Raises:
        SaereportError: The file is cut short, or no safetensors file.
    """
    damaged = SaereportError(
        f"{path.parent.name}/{path.name} is damaged or cut short.", "Copy or download it again."
    )
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= min(LARGEST_HEADER, size - 8):
                raise damaged
            header = json.loads(stream.read(length))
    except OSError as error:
        raise SaereportError(f"'{path}' cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise damaged from error
    if not isinstance(header, dict):
        raise damaged
    tensors = {name: value for name, value in header.items() if name != "__metadata__"}
    try:
        ends = [int(tensor["data_offsets"][1]) for tensor in tensors.values()]
        shapes = {name: [int(n) for n in tensor["shape"]] for name, tensor in tensors.items()}
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise damaged from error
    if 8 + length + max(ends, default=0) != size:
        raise damaged
    return shapes


class _Names(pickle.Unpickler):
    """Reads a pickle of tensors as their shapes; nothing that it names is ever called."""

    def __init__(self, stream: Any, where: str) -> None:
        super().__init__(stream)
        self._where = where

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        """A stand-in for what a file of plain tensors may name; all else is refused."""
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda _storage, _offset, size, *_: _Shape(size)
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        if (module, name) == ("collections", "OrderedDict"):
            return dict
        if (module == "torch" and name.endswith("Storage")) or (module, name) == ("torch", "Size"):
            return tuple
        raise holds_code(self._where, f"{module}.{name}")

    def persistent_load(self, _: Any) -> None:
        """Weights are left where they are."""


class _Shape(tuple[int, ...]):
    """The shape of a tensor."""


def holds_code(where: str, name: str) -> SaereportError:
    """The error that says that a file is a program, not weights."""
    return SaereportError(
        f"{where} is a pickle that asks for '{shortened(name, 80)}' to be run, not only tensors; "
        f"it was not loaded.",
        "Weights are read without running code: save them with torch.save(model.state_dict(), …).",
    )


def pickled_shapes(path: Path) -> dict[str, list[int]]:
    """The shapes of the tensors in what `torch.save` wrote of a state dict.

    Returns:
        Nothing for the format of torch before 1.6, which does not say them apart.

    Raises:
        SaereportError: It is damaged, holds something else, or asks for code to be run.
    """
    where = f"{path.parent.name}/{path.name}"
    damaged = SaereportError(f"{where} is damaged or cut short.", "Copy or download it again.")
    if not zipfile.is_zipfile(path):
        with path.open("rb") as stream:
            if stream.read(2) in (b"\x80\x02", b"\x80\x03", b"\x80\x04"):
                return {}
        raise damaged
    try:
        with zipfile.ZipFile(path) as archive:
            names = [info for info in archive.infolist() if info.filename.endswith("/data.pkl")]
            if len(names) != 1 or names[0].file_size > LARGEST_PICKLE:
                raise damaged
            with archive.open(names[0]) as stream:
                found = _Names(stream, where).load()
    except SaereportError:
        raise
    except Exception as error:  # whatever a damaged pickle makes of itself
        raise damaged from error
    if not isinstance(found, dict):
        raise SaereportError(f"{where} holds no tensors by name.", "Save a state dict.")
    return {str(name): list(size) for name, size in found.items() if isinstance(size, _Shape)}
