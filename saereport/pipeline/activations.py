"""Where the pass over the text takes activations from: the model, or what was kept of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from saereport.pipeline.activation_store import HookRows, Row, Store
from saereport.sources.devices import dtype_name
from saereport.sources.models import LanguageModel


class Activations(Protocol):
    """Gives activations as `LanguageModel.run` does, which is one."""

    def run(self, tokens: Tensor, hooks: Sequence[str]) -> dict[str, Tensor]:
        """Activations of a batch: see `LanguageModel.run`."""


@dataclass
class CachedActivations:
    """A model's activations, those that are in a cache from there.

    A batch is taken from the cache when all of its sequences are there, and else computed whole,
    as it would be without one; what is not there yet is added. In which batches sequences were
    computed is no part of what they are found by, as it is none of what a run is of.

    Attributes:
        model: The model.
        store: The cache.
        text: What the text is called.
        identity: What the model's activations depend on: `fingerprint.activations_identity`.
        taken: Sequences that cost no forward pass.
        asked: Sequences that were asked for.
    """

    model: LanguageModel
    store: Store
    text: str
    identity: Mapping[str, Any]
    taken: int = 0
    asked: int = 0
    _places: dict[str, HookRows] = field(default_factory=dict)

    def run(self, tokens: Tensor, hooks: Sequence[str]) -> dict[str, Tensor]:
        """Activations of a batch: see `LanguageModel.run`."""
        rows = tokens.cpu().numpy().astype("<i4")
        keys = [hashlib.sha256(row.tobytes()).hexdigest() for row in rows]
        asked = list(dict.fromkeys(hooks))
        found = {hook: self._kept(hook, keys) for hook in asked}
        missing = [hook for hook in asked if found[hook] is None]
        computed = self.model.reader.run(tokens, missing)
        for hook in missing:
            self._keep(hook, keys, computed[hook])
        self.asked += len(keys)
        self.taken += len(keys) if not missing else 0
        return {**{hook: kept for hook, kept in found.items() if kept is not None}, **computed}

    def begin(self) -> None:
        """Count anew what is taken and asked for."""
        self.taken = self.asked = 0

    @property
    def words(self) -> str:
        """How much of it was in the cache, for a reader."""
        if self.taken == self.asked:
            return "The activations came from the cache: no forward pass was needed"
        return (
            f"Activations of {self.taken:,} of {self.asked:,} sequences came from the cache"
            f" '{self.store.folder}'"
        )

    def _place(self, hook: str) -> HookRows:
        if hook not in self._places:
            about = {
                "model": f"{self.model.name} ({self.model.wrapper}, "
                f"{dtype_name(self.model.dtype)}, {self.model.device.type})",
                "hook": hook,
            }
            self._places[hook] = self.store.place({**self.identity, "hook": hook}, about)
        return self._places[hook]

    def _kept(self, hook: str, keys: Sequence[str]) -> Tensor | None:
        place = self._place(hook)
        rows = place.find(keys)
        if not rows or len({(row.size, row.shape, row.dtype) for row in rows}) != 1:
            return None
        dtype = _dtype_of(rows[0])
        if dtype is None:
            return None
        cuda = self.model.device.type == "cuda"
        held = torch.empty((len(rows), rows[0].size), dtype=torch.uint8, pin_memory=cuda)
        if not place.read(rows, [memoryview(row) for row in held.numpy()]):
            return None
        return held.view(dtype).reshape(len(rows), *rows[0].shape).to(self.model.device)

    def _keep(self, hook: str, keys: Sequence[str], activations: Tensor) -> None:
        if self.store.stopped or activations.ndim != 3:
            return
        data = activations.contiguous().cpu().view(torch.uint8).numpy()
        by_key: Mapping[str, bytes] = {
            key: row.tobytes() for key, row in zip(keys, np.asarray(data), strict=True)
        }
        _, positions, width = activations.shape
        name = dtype_name(activations.dtype)
        self._place(hook).add(by_key, (positions, width), name, self.text)


def _dtype_of(row: Row) -> torch.dtype | None:
    """The number type of what was kept; None where the file says what cannot be."""
    dtype = getattr(torch, row.dtype, None)
    if not isinstance(dtype, torch.dtype):
        return None
    return dtype if row.shape[0] * row.shape[1] * dtype.itemsize == row.size else None
