"""The packed sequences of a run, held once, cut and packed for the shards that show them."""

from __future__ import annotations

import numpy as np

from saereport.run import Run
from saereport.site.columns import flat
from saereport.site.packing import pack

Span = tuple[int, int]
"""A first position and an end, exclusive."""

CONTEXT = 128
"""At most so many tokens on each side of an example can be unfolded."""


class Sequences:
    """Token ids of every sequence that the run kept."""

    def __init__(self, run: Run) -> None:
        table = run.table("sequences", columns=["sequence", "tokens"])
        self._ids = table.column("sequence").to_numpy()
        self._offsets, tokens = flat(table.column("tokens"))
        self._tokens = tokens.astype(np.int32, copy=False)

    def used_tokens(self) -> list[int]:
        """Every token id that occurs, once, in order."""
        return [int(token) for token in np.unique(self._tokens)]

    def cut(self, wanted: dict[int, Span]) -> tuple[dict[int, Span], list[list[object]]]:
        """The parts of sequences that a shard needs.

        Args:
            wanted: Sequence to the first position and the end (exclusive) that its examples cover.

        Returns:
            Sequence to the first position and the end of the part that is kept, and the records
            `[sequence, first position, length of the whole sequence, packed ids]` in order.

        Raises:
            KeyError: The run does not hold a sequence that an example names.
        """
        order = sorted(wanted)
        rows = np.searchsorted(self._ids, order)
        found = rows < len(self._ids)
        if not (found.all() and (self._ids[rows] == order).all()):
            raise KeyError("an example names a sequence that the run does not hold")
        begins = self._offsets[rows]
        lengths = self._offsets[rows + 1] - begins
        spans = np.array([wanted[sequence] for sequence in order], np.int64).reshape(-1, 2)
        first = np.maximum(spans[:, 0] - CONTEXT, 0)
        last = np.minimum(spans[:, 1] + CONTEXT, lengths)
        sizes = last - first
        within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        places = np.repeat(begins + first, sizes) + within
        packed = pack(self._tokens[places], sizes)
        records: list[list[object]] = [
            [sequence, int(a), int(n), text]
            for sequence, a, n, text in zip(order, first, lengths, packed, strict=True)
        ]
        kept = zip(order, first.tolist(), last.tolist(), strict=True)
        return {sequence: (a, b) for sequence, a, b in kept}, records

    def tokens(self, sequence: int, start: int, stop: int) -> list[int]:
        """The token ids of one sequence from `start` up to, not including, `stop`."""
        row = int(np.searchsorted(self._ids, sequence))
        begin, end = int(self._offsets[row]), int(self._offsets[row + 1])
        return [int(t) for t in self._tokens[begin + start : min(begin + stop, end)]]
