"""Columns of a run's tables as arrays, lined up with the latents that are compared.

Everything that is ranked (tokens, latents, places, histogram bins) is read into the same form,
`Lists`: one flat array and offsets, so that 25,000 lists are compared at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from saereport.run import Run


@dataclass(frozen=True)
class Lists:
    """One ragged list for each subject.

    Attributes:
        items: [total], the lists' entries one after another, each list best first.
        offsets: int64[n + 1]; list i is `items[offsets[i]:offsets[i + 1]]`.
    """

    items: NDArray[Any]
    offsets: NDArray[np.int64]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """int64[n], entries of each list."""
        return np.diff(self.offsets)

    @property
    def rows(self) -> NDArray[np.int64]:
        """int64[total], which list each entry is of."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.lengths)

    @property
    def places(self) -> NDArray[np.int64]:
        """int64[total], the place of each entry in its list, from 0."""
        return np.arange(len(self.items)) - self.offsets[:-1][self.rows]

    def of(self, subject: int) -> NDArray[Any]:
        """The list of one subject."""
        return self.items[self.offsets[subject] : self.offsets[subject + 1]]

    def with_items(self, items: NDArray[Any]) -> Lists:
        """The same lists with other entries."""
        return Lists(items, self.offsets)

    def first(self, length: int) -> Lists:
        """The first `length` entries of each list."""
        keep = self.places < length
        return _gathered(self.items[keep], self.rows[keep], len(self.offsets) - 1)

    def distinct(self) -> Lists:
        """The lists without repetition: of equal entries (whole numbers, 0 or more), the first."""
        span = int(self.items.max(initial=0)) + 1
        _, first = np.unique(self.rows * span + self.items, return_index=True)
        first.sort()
        return _gathered(self.items[first], self.rows[first], len(self.offsets) - 1)

    def taken(self, index: NDArray[np.int64]) -> Lists:
        """The lists of some subjects, in their order; -1 gives an empty list."""
        lengths = np.where(index < 0, 0, self.lengths[index] if len(self.lengths) else 0)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        starts = self.offsets[:-1][index] if len(self.lengths) else np.zeros(len(index), np.int64)
        shift = np.repeat(starts - offsets[:-1], lengths)
        return Lists(self.items[np.arange(offsets[-1]) + shift], offsets)


def _gathered(items: NDArray[Any], rows: NDArray[np.int64], n: int) -> Lists:
    counts = np.bincount(rows, minlength=n)
    return Lists(items, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))


def shown_latents(run: Run, slug: str) -> NDArray[np.int64]:
    """int64[n]: the latents of one SAE that the run shows, ascending."""
    return np.array(run.latents(slug), dtype=np.int64)


def numbers(table: pa.Table, column: str) -> NDArray[Any]:
    """A column of whole numbers as int64[n], or of fractions as float64[n]."""
    values = table.column(column)
    kind = np.int64 if pa.types.is_integer(values.type) else np.float64
    found: NDArray[Any] = values.to_numpy().astype(kind)
    return found


def positions_of(wanted: NDArray[np.int64], present: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64[n]: where each of `wanted` is in `present`, -1 where it is not.

    Args:
        wanted: [n], in any order.
        present: [m], in any order; the first of equal entries is meant.
    """
    if not len(present):
        return np.full(len(wanted), -1)
    order = np.argsort(present, kind="stable")
    place = np.minimum(np.searchsorted(present, wanted, sorter=order), len(present) - 1)
    found = order[place]
    return np.where(present[found] == wanted, found, -1)


def values_of(table: pa.Table, column: str, latents: NDArray[np.int64]) -> NDArray[np.float64]:
    """float64[n]: a column's number for each latent; NaN for a latent without a row."""
    at = positions_of(latents, numbers(table, "latent"))
    if not table.num_rows:
        return np.full(len(latents), np.nan)
    return np.where(at < 0, np.nan, numbers(table, column).astype(np.float64)[at])


def listed(table: pa.Table, column: str, latents: NDArray[np.int64]) -> Lists:
    """A list column, for each latent; empty for a latent without a row."""
    return list_column(table, column).taken(positions_of(latents, numbers(table, "latent")))


def list_column(table: pa.Table, column: str) -> Lists:
    """A list column as it is stored, one list a row."""
    chunks = table.column(column).combine_chunks()
    if isinstance(chunks, pa.ChunkedArray):
        chunks = pa.concat_arrays(chunks.chunks) if chunks.num_chunks else chunks
    offsets = np.concatenate([[0], np.cumsum(pc.list_value_length(chunks).to_numpy())])
    items = pc.list_flatten(chunks).to_numpy(zero_copy_only=False)
    if items.dtype.kind in "iu":
        items = items.astype(np.int64)
    return Lists(items, offsets.astype(np.int64))


def ranked(table: pa.Table, column: str, latents: NDArray[np.int64]) -> Lists:
    """Rows (`latent`, `rank`, `column`), as one list for each latent, by rank."""
    row = positions_of(numbers(table, "latent"), latents)
    keep = row >= 0
    row = row[keep]
    order = np.lexsort((numbers(table, "rank")[keep], row))
    items = numbers(table, column)[keep][order]
    return _gathered(items, row[order], len(latents))
