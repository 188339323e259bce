"""The packed sequences of a run: the windows that examples show, and the files with the whole text.

An example carries the few tokens around it. The whole sequences are written once for the report, in
files of some 32,000 tokens (`text/t0000.js`), and loaded when a reader unfolds an example. Beside a
sequence stands which latents of the report have an example in it, so that the same text can be seen
with the eyes of another latent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from saereport.errors import SaereportError
from saereport.run import Run
from saereport.run.validation import LATENTS
from saereport.site import jsonwriter
from saereport.site.columns import flat
from saereport.site.context import Report
from saereport.site.packing import LIMIT, pack, packed

TOKENS_PER_FILE = 32_768
FOLDER = "text"


class Sequences:
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

    def write(self, folder: Path, shown: Mapping[int, str]) -> None:
        """Write the files with the whole text, one line a sequence.

        Args:
            folder: Where to write; it is made.
            shown: For a sequence, the latents with an example in it; see `latents_by_sequence`.
        """
        folder.mkdir()
        for number, start in enumerate(range(0, len(self._ids), self._per_file)):
            lines = jsonwriter.script(
                "text", {"file": number}, {"sequences": self._lines(start, shown)}
            )
            path = folder / f"t{number:04d}.js"
            path.write_bytes(("\n".join(lines) + "\n").encode("utf-8"))

    def _lines(self, start: int, shown: Mapping[int, str]) -> Iterator[str]:
        stop = min(start + self._per_file, len(self._ids))
        sizes = np.diff(self._offsets[start : stop + 1])
        packed = pack(self._tokens[self._offsets[start] : self._offsets[stop]], sizes)
        for sequence, text in zip(self._ids[start:stop].tolist(), packed, strict=True):
            latents = shown.get(sequence)
            yield jsonwriter.dumps([sequence, text, *([latents] if latents else [])])

    def _rows(self, wanted: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        rows = np.searchsorted(self._ids, wanted)
        inside = rows < len(self._ids)
        if not inside.all() or (self._ids[rows] != wanted).any():
            raise SaereportError(
                "The run is damaged: an example names a sequence that it does not hold.",
                "Collect it again.",
            )
        return rows


def latents_by_sequence(report: Report) -> dict[int, str]:
    """For each sequence, the latents of the report that have a stored example in it.

    A latent that is blinded is left out: that it is active on a text would say what it reads.

    Returns:
        By sequence, packed numbers: for each SAE its place in the report, how many latents follow,
        and these in rising order, each as the step from the one before it.
    """
    found: dict[int, list[str]] = {}
    for place, sae in enumerate(report.info.saes):
        if not report.run.has("examples", sae.slug):
            continue
        table = report.run.table("examples", sae.slug, columns=["latent", "sequence"])
        shown = [i for i in report.shards[sae.slug].latents if (sae.slug, i) not in report.blind]
        latents = table.column("latent").to_numpy()
        kept = np.isin(latents, shown)
        sequences, groups = _distinct(table.column("sequence").to_numpy()[kept], latents[kept])
        del table, latents
        for sequence, group in zip(sequences, groups, strict=True):
            text = packed([place, len(group), *_steps(group.tolist())])
            found.setdefault(sequence, []).append(text)
    return {sequence: "".join(parts) for sequence, parts in found.items()}


def _distinct(
    sequences: npt.NDArray[Any], latents: npt.NDArray[Any]
) -> tuple[list[int], list[npt.NDArray[Any]]]:
    """The sequences that are there, rising, and of each its latents, rising, each once."""
    # Millions of pairs in a large report: they are sorted as numbers, not as rows or objects.
    numbers, places = np.unique(sequences, return_inverse=True)
    keys = np.unique(places * LATENTS + latents)
    own, latents = np.divmod(keys, LATENTS)
    starts = np.searchsorted(own, np.arange(1, len(numbers)))
    return numbers.tolist(), np.split(latents.astype(np.int32), starts) if len(numbers) else []


def _steps(rising: list[int]) -> Iterator[int]:
    """Differences; one too large for the code is split, with `LIMIT - 1` for each whole part."""
    before = 0
    for number in rising:
        whole, rest = divmod(number - before, LIMIT - 1)
        yield from [LIMIT - 1] * whole
        yield rest
        before = number
