"""The packed sequences of a run: the windows that examples show, and the files with the whole text.

An example carries the few tokens around it. The whole sequences are written once for the report, in
files of some 32,000 tokens (`text/t0000.js`), and loaded when a reader unfolds an example. Beside a
sequence stands which latents of the report have an example in it, so that the same text can be seen
with the eyes of another latent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from saereport.run import Run
from saereport.site import jsonwriter
from saereport.site.columns import flat
from saereport.site.packing import pack
from saereport.site.records import SequenceRow, trimmed
from saereport.util.errors import SaereportError

TOKENS_PER_FILE = 32_768


class KeptSequences:
    """Token ids of every sequence that the run kept."""

    def __init__(self, run: Run) -> None:
        table = run.table("sequences", columns=["sequence", "tokens"])
        self._ids: npt.NDArray[np.int64] = table.column("sequence").to_numpy()
        self._offsets, tokens = flat(table.column("tokens"))
        self._tokens = tokens.astype(np.int32, copy=False)
        longest = int(np.diff(self._offsets).max(initial=1))
        self._per_file = max(1, TOKENS_PER_FILE // max(1, longest))

    @property
    def flat(self) -> npt.NDArray[np.int32]:
        """The token ids of all sequences, one after the other."""
        return self._tokens

    @property
    def firsts(self) -> list[int]:
        """The first sequence of each file: enough to find the file of any sequence."""
        return [int(sequence) for sequence in self._ids[:: self._per_file]]

    def windows(self, sequences: list[int], starts: list[int], stops: list[int]) -> list[str]:
        """The packed tokens of many windows at once.

        Args:
            sequences: The sequence of each window.
            starts: Its first position.
            stops: Its end, exclusive; cut to the end of the sequence.

        Raises:
            SaereportError: The run does not hold one of the sequences.
        """
        wanted = np.asarray(sequences, np.int64)
        rows = self._rows(wanted)
        begins = self._offsets[rows]
        first = np.clip(np.asarray(starts, np.int64), 0, None)
        last = np.minimum(np.asarray(stops, np.int64), self._offsets[rows + 1] - begins)
        sizes = np.maximum(last - first, 0)
        within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return pack(self._tokens[np.repeat(begins + first, sizes) + within], sizes)

    def tokens(self, sequence: int, start: int, stop: int) -> list[int]:
        """The token ids of one sequence from `start` up to, not including, `stop`."""
        row = int(self._rows(np.asarray([sequence], np.int64))[0])
        begin, end = int(self._offsets[row]), int(self._offsets[row + 1])
        found: list[int] = self._tokens[begin + start : min(begin + stop, end)].tolist()
        return found

    def files(self, shown: Mapping[int, str]) -> Iterator[Iterator[str]]:
        """The lines of each file with the whole text, one a sequence.

        Args:
            shown: For a sequence, the latents with an example in it, as its line holds them.
        """
        for start in range(0, len(self._ids), self._per_file):
            yield self._lines(start, shown)

    def _lines(self, start: int, shown: Mapping[int, str]) -> Iterator[str]:
        stop = min(start + self._per_file, len(self._ids))
        sizes = np.diff(self._offsets[start : stop + 1])
        packed = pack(self._tokens[self._offsets[start] : self._offsets[stop]], sizes)
        for sequence, text in zip(self._ids[start:stop].tolist(), packed, strict=True):
            row = SequenceRow(sequence, text, shown.get(sequence, ""))
            yield jsonwriter.dumps(trimmed(row))

    def _rows(self, wanted: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        rows = np.searchsorted(self._ids, wanted)
        inside = rows < len(self._ids)
        if not inside.all() or (self._ids[rows] != wanted).any():
            raise SaereportError(
                "The run is damaged: an example names a sequence that it does not hold.",
                "Collect it again.",
            )
        return rows
