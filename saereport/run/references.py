"""Which tokens and which sequences of the text a table's rows name: what a run must describe."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from saereport.run.kinds import Latent, Sequence, Token
from saereport.run.table import Column, Table

Numbers = NDArray[np.int64]


class References:
    """The tokens and the sequences that some rows name, gathered table by table.

    Attributes:
        tokens: Ids of tokens, rising, int64[n].
        sequences: Numbers of sequences, rising, int64[n].
    """

    def __init__(self) -> None:
        self.tokens = np.zeros(0, dtype=np.int64)
        self.sequences = np.zeros(0, dtype=np.int64)

    def note(self, table: Table, rows: pa.Table) -> None:
        """Take note of some rows of a table."""
        for column in table.columns:
            if isinstance(column.holds, Token):
                self.tokens = _with(self.tokens, column, rows.column(column.name))
            elif isinstance(column.holds, Latent) and column.holds.token_when:
                when = column.holds.token_when
                words = pa.array(when.words, pa.string())
                with_tokens = rows.filter(pc.is_in(rows.column(when.column), words))
                self.tokens = _with(self.tokens, column, with_tokens.column(column.name))
            elif isinstance(column.holds, Sequence) and not table.home(column):
                self.sequences = _with(self.sequences, column, rows.column(column.name))


def _with(known: Numbers, column: Column, values: pa.ChunkedArray) -> Numbers:
    """The numbers that are known and those of a column; -1 stands for none."""
    flat = pc.list_flatten(values) if column.is_list else values
    found = pc.unique(flat).to_numpy(zero_copy_only=False).astype(np.int64, copy=False)
    return np.union1d(known, found[found >= 0])
