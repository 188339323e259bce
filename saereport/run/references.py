"""Which tokens and which sequences of the text a table's rows name: what a run must describe."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from saereport.run.kinds import Latent, Sequence, Token
from saereport.run.table import Column, Table


class References:
    """The tokens and the sequences that some rows name, gathered table by table.

    Attributes:
        tokens: Ids of tokens.
        sequences: Numbers of sequences.
    """

    def __init__(self) -> None:
        self.tokens: set[int] = set()
        self.sequences: set[int] = set()

    def note(self, table: Table, rows: pa.Table) -> None:
        """Take note of some rows of a table."""
        for column in table.columns:
            if isinstance(column.holds, Token):
                self.tokens |= _distinct(column, rows.column(column.name))
            elif isinstance(column.holds, Latent) and column.holds.token_when:
                when = column.holds.token_when
                words = pa.array(when.words, pa.string())
                with_tokens = rows.filter(pc.is_in(rows.column(when.column), words))
                self.tokens |= _distinct(column, with_tokens.column(column.name))
            elif isinstance(column.holds, Sequence) and not table.home(column):
                self.sequences |= _distinct(column, rows.column(column.name))


def _distinct(column: Column, values: pa.ChunkedArray) -> set[int]:
    """The numbers in a column; -1 stands for none."""
    flat = pc.list_flatten(values) if column.is_list else values
    return {number for number in pc.unique(flat).to_pylist() if number >= 0}
