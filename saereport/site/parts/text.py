"""Whole sequences, for examples that are unfolded: data scripts without a page.

Beside a sequence stands which latents of the report have an example in it, so that the same text
can be seen with the eyes of another latent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from saereport.run.kinds import LATENTS
from saereport.site.context import ReportModel
from saereport.site.packing import LIMIT, packed
from saereport.site.parts.registry import Data, Part, register

FOLDER = "text"


def _items(report: ReportModel) -> Iterator[Data]:
    files = report.sequences.files(latents_by_sequence(report))
    for number, lines in enumerate(files):
        yield Data(f"{FOLDER}/t{number:04d}.js", "text", {"file": number}, {"sequences": lines})


def latents_by_sequence(report: ReportModel) -> dict[int, str]:
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
        shown = report.shards[sae.slug].latents
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


register(
    Part(
        "text",
        _items,
        order=100,
        folders=frozenset({FOLDER}),
        tables=("sequences",),
        called="whole sequences",
    )
)
