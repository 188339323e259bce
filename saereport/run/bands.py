"""Ranges of latents out of a table, one behind the other, each part of the file read once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from saereport.run.validation import opened_table


class Bands:
    """A table whose rows rise by latent; holds the row groups that were needed last.

    Args:
        path: Its file, which was checked.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with opened_table(path) as source, pq.ParquetFile(source) as file:
            about = file.metadata
            sizes = [about.row_group(k).num_rows for k in range(about.num_row_groups)]
            self._latents = file.read(columns=["latent"]).column(0).to_numpy()
            self._none = file.schema_arrow.empty_table()
        self._starts = np.cumsum([0, *sizes])
        self._held: dict[int, pa.Table] = {}

    def rows(self, low: int, high: int) -> pa.Table:
        """The rows of the latents from `low` up to, not including, `high`.

        Raises:
            OSError, pa.ArrowException: The file cannot be read.
        """
        first, stop = np.searchsorted(self._latents, [low, high]).tolist()
        if first == stop:
            return self._none
        ends = np.searchsorted(self._starts, [first, stop - 1], side="right").tolist()
        groups = range(ends[0] - 1, ends[1])
        if missing := [k for k in groups if k not in self._held]:
            self._held = {k: held for k, held in self._held.items() if k in groups}
            with opened_table(self._path) as source, pq.ParquetFile(source) as file:
                for k in missing:
                    self._held[k] = file.read_row_group(k)
        whole = pa.concat_tables([self._held[k] for k in groups])
        return whole.slice(first - int(self._starts[groups[0]]), stop - first)
