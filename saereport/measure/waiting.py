"""Columns on a device, of which new ones wait until it is worth sorting them in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.measure.batch import concatenated
from saereport.measure.columns import State
from saereport.measure.crossing import to_device, to_host

Fields = Mapping[str, torch.dtype]


class Waiting:
    """Columns that are in order, and further ones that wait for it.

    Args:
        fields: Name and type of each column.
        device: Where they lie.
        patience: How many rows may wait at least.
    """

    def __init__(self, fields: Fields, device: torch.device | str, patience: int) -> None:
        self._fields = dict(fields)
        self._device = device
        self._patience = patience
        self.kept = self._empty()
        self._parts: list[dict[str, Tensor]] = []
        self._n = 0

    def _empty(self) -> dict[str, Tensor]:
        return {
            name: torch.zeros(0, dtype=kind, device=self._device)
            for name, kind in self._fields.items()
        }

    def __len__(self) -> int:
        return len(next(iter(self.kept.values())))

    @property
    def anything(self) -> bool:
        """Whether any row waits."""
        return bool(self._parts)

    @property
    def due(self) -> bool:
        """Whether it is time to put them in order: nearly as many wait as are kept."""
        return self._n > max(self._patience, len(self) * 3 // 4)

    def add(self, columns: Mapping[str, Tensor]) -> None:
        """Let some rows wait."""
        size = len(next(iter(columns.values())))
        if size:
            self._parts.append({name: columns[name] for name in self._fields})
            self._n += size

    def take_all(self) -> dict[str, Tensor]:
        """Everything there is, to be put in order; give it back with `keep`."""
        parts = [dict(self.kept), *self._parts]
        self._parts, self._n = [], 0
        self.kept = self._empty()
        # Column by column, so that only one is there twice.
        return {name: torch.cat([part.pop(name) for part in parts]) for name in self._fields}

    def take_new(self) -> dict[str, Tensor]:
        """What waits; it is sorted in beside `kept`, and given back with it by `keep`."""
        parts, self._parts, self._n = self._parts, [], 0
        return concatenated(parts or [self._empty()])

    def keep(self, columns: dict[str, Tensor], chosen: Tensor | None = None) -> None:
        """What is in order from now on: some rows of columns, by index, or all.

        The columns are taken out of the mapping one by one, so that only one is there twice.
        """
        kept = {}
        for name in self._fields:
            column = columns.pop(name)
            kept[name] = column if chosen is None else column.index_select(0, chosen)
            del column
        self.kept = kept

    def state(self) -> State:
        """The columns that are in order; none may wait."""
        return {name: to_host(column) for name, column in self.kept.items()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become the columns whose `state` this is."""
        self._parts, self._n = [], 0
        self.kept = {name: to_device(state[name], self._device) for name in self._fields}
