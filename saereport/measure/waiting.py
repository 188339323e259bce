"""Columns on a device, of which new ones wait until it is worth sorting them in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.measure.batch import concatenated
from saereport.measure.columns import State
from saereport.measure.crossing import indices, to_device, to_host
from saereport.measure.sorting import order_by

_BLOCK_ON_CPU, _BLOCK = 1 << 20, 1 << 23
"""Rows worked on at once: on the CPU what its caches hold, elsewhere what bounds the memory."""

Fields = Mapping[str, torch.dtype]
Columns = Mapping[str, Tensor]


class Waiting:
    """Columns that are in order, and further ones that wait for it.

    Args:
        fields: Name and type of each column.
        device: Where they lie.
        patience: How many rows may wait at least.
    """

    def __init__(self, fields: Fields, device: torch.device | str, patience: int) -> None:
        self._fields = dict(fields)
        self._device = torch.device(device)
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
        """Whether it is time to put them in order: half as many wait as are kept."""
        return self._n > max(self._patience, len(self) // 2)

    def add(self, columns: Mapping[str, Tensor]) -> None:
        """Let some rows wait."""
        size = len(next(iter(columns.values())))
        if size:
            self._parts.append({name: columns[name] for name in self._fields})
            self._n += size

    @property
    def _block(self) -> int:
        return _BLOCK_ON_CPU if self._device.type == "cpu" else _BLOCK

    def rework(
        self, key: str, n_units: int, work: Callable[[Columns, int, int], Columns], unit: int = 1
    ) -> None:
        """Put everything in order, some units at a time, so that memory is that of the columns.

        Args:
            key: The column to order by, integers below `n_units * unit`; every part is in the order
                of its units, `key // unit`.
            n_units: How many units there are.
            work: Called with the rows of some units, ordered by key (equal ones as they came), the
                first of these units and the one behind the last; returns what is kept, in order.
            unit: How many keys are worked on together.
        """
        parts, self._parts, self._n = [self.kept, *self._parts], [], 0
        self.kept = self._empty()
        total = sum(len(part[key]) for part in parts)
        n_blocks = min(-(-total // self._block), n_units)
        ends = [n_units * i // max(n_blocks, 1) for i in range(n_blocks + 1)]
        edges = torch.tensor(ends, device=self._device) * unit
        found = [torch.searchsorted(part[key], edges.to(part[key].dtype)) for part in parts]
        places: list[list[int]] = to_host(torch.stack(found)).tolist()
        done = _Filled(self._empty(), total)
        for i, (first, stop) in enumerate(pairwise(ends)):
            columns = concatenated(
                [
                    {name: column[at[i] : at[i + 1]] for name, column in part.items()}
                    for part, at in zip(parts, places, strict=True)
                ]
            )
            order = order_by(columns[key] - first * unit, (stop - first) * unit)
            columns = {name: column.index_select(0, order) for name, column in columns.items()}
            done.add(work(columns, first, stop))
        del parts
        self.kept = done.columns()

    def thin(
        self,
        starts: Callable[[Columns], Tensor],
        chosen: Callable[[Columns], Tensor],
    ) -> None:
        """Keep a part of everything, in the order as it came, some runs of rows at a time.

        Args:
            starts: Tells, bool, where the runs begin of which the rows must be looked at together.
            chosen: Tells of some whole runs which rows are kept, as ascending indices.
        """
        parts, self._parts, self._n = [self.kept, *self._parts], [], 0
        self.kept = self._empty()
        done = _Filled(self._empty(), sum(len(next(iter(part.values()))) for part in parts))
        while parts:
            part = parts.pop(0)
            for first, stop in self._split(starts(part)):
                rows = {name: column[first:stop] for name, column in part.items()}
                kept = chosen(rows)
                done.add({name: column.index_select(0, kept) for name, column in rows.items()})
            del part
        self.kept = done.columns()

    def _split(self, starting: Tensor) -> list[tuple[int, int]]:
        """Blocks of rows that begin where the mask holds: each one's first row and its end."""
        total = len(starting)
        if total <= self._block:
            return [(0, total)] if total else []
        at = indices(starting)
        wanted = torch.arange(self._block, total, self._block, device=self._device)
        place = torch.searchsorted(at, wanted).clamp_max(len(at) - 1)
        ends: list[int] = to_host(at.index_select(0, place)).tolist()
        return list(pairwise(sorted({0, *ends, total})))

    def take_all(self) -> dict[str, Tensor]:
        """Everything there is, to be put in order; give it back with `keep`."""
        parts = [dict(self.kept), *self._parts]
        self._parts, self._n = [], 0
        self.kept = self._empty()
        # Column by column, so that only one is there twice.
        return {name: torch.cat([part.pop(name) for part in parts]) for name in self._fields}

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


class _Filled:
    """Columns that are filled from the front, with room for so many rows.

    On the host, pages that nothing was written to take no memory; blocks that are held until all
    are there and then joined would take twice as much, and leave the heap full of holes.
    """

    def __init__(self, empty: Columns, room: int) -> None:
        self._room = {name: column.new_empty(room) for name, column in empty.items()}
        self._size = 0

    def add(self, rows: Columns) -> None:
        """Put further rows behind those that are there."""
        n = len(next(iter(rows.values())))
        for name, room in self._room.items():
            room.narrow(0, self._size, n).copy_(rows[name])
        self._size += n

    def columns(self) -> dict[str, Tensor]:
        """What was filled; room that was not is given back."""
        found = {}
        for name in list(self._room):
            column = self._room.pop(name).narrow(0, 0, self._size)
            found[name] = column if column.device.type == "cpu" else column.clone()
        return found
