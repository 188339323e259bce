"""Rows of any registered table, made from what its columns say of themselves.

Numbers are random and hang together only as far as the columns say so: what every run promises,
and no more. A table that needs more to be worth looking at has a generator of its own in
`tests.synthetic` and its sisters.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from saereport.run import TABLES, Column, Run, RunWriter, Table, open_run
from saereport.run import kinds as k
from tests.synthetic import Shape, described

Rows = dict[str, list[Any]]
SHAPE = Shape(n_saes=3, d_sae=40, n_chosen=5, context=12, n_sequences=6, n_vocabulary=300)
N_PROMPTS = 2
WORDS = ("one", "two", "three")


@dataclass
class Maker:
    """Makes rows for a run of a shape.

    Attributes:
        shape: Sizes of the run.
        chosen: For each SAE, the latents that the run shows, ascending.
        rng: Where the numbers come from.
    """

    shape: Shape
    chosen: Mapping[str, Sequence[int]]
    rng: Any = field(default_factory=lambda: np.random.default_rng(0))

    def rows(self, table: Table, slug: str | None) -> Rows:
        """Some rows of a table, sorted by its key.

        Args:
            table: The table.
            slug: The SAE that it is about; None for a table of the run.
        """
        keys = [table.by_name[name] for name in table.key]
        told = list(itertools.product(*(self._domain(table, column, slug) for column in keys)))
        rows: Rows = {c.name: [row[i] for row in told] for i, c in enumerate(keys)}
        rest = [column for column in table.columns if column.name not in rows]
        # First what others refer to, then lists whose length follows from numbers.
        order = (
            lambda c: isinstance(c.holds, k.TextRef | k.SaeName | k.OneOf),
            lambda c: not c.is_list,
            lambda c: not c.same_length_as,
            lambda c: True,
        )
        for wanted in order:
            for column in [c for c in rest if c.name not in rows and wanted(c)]:
                rows[column.name] = [
                    self._value(table, column, slug, rows, i) for i in range(len(told))
                ]
            self._enclose(table, rows)
        return {name: rows[name] for name in table.names}

    def _domain(self, table: Table, column: Column, slug: str | None) -> list[Any]:
        """Values of a key column, ascending."""
        holds = column.holds
        if isinstance(holds, k.Latent):
            # A table of the run names the SAE in another key column, whatever its latents.
            own = self.chosen.values() if slug is None else [self.chosen[slug]]
            return sorted(set.intersection(*map(set, own)))
        if isinstance(holds, k.SaeName):
            return ([""] if holds.or_model else []) + sorted(self.chosen)
        if isinstance(holds, k.OneOf):
            return sorted(holds.words)
        if isinstance(holds, k.Numbered):
            return sorted([*holds.words, *(f"{word}:0" for word in holds.numbered)])
        if isinstance(holds, k.Text):
            return sorted(WORDS)
        if isinstance(holds, k.TextRef):
            return list(range(self._texts(holds)))
        if isinstance(holds, k.Token):
            return list(range(self.shape.n_vocabulary))
        return [0, 1]

    def _texts(self, holds: k.TextRef) -> int:
        return N_PROMPTS if isinstance(holds, k.Prompt) else self.shape.n_sequences

    def _value(self, table: Table, column: Column, slug: str | None, rows: Rows, i: int) -> Any:
        if not column.is_list:
            return self._one(column, slug, rows, i)
        n = self._length(column, rows, i)
        if isinstance(column.holds, k.Position):
            return sorted(self.rng.choice(self.shape.context, n, replace=False).tolist())
        return [self._one(column, slug, rows, i) for _ in range(n)]

    def _one(self, column: Column, slug: str | None, rows: Rows, i: int) -> Any:
        holds, rng = column.holds, self.rng
        if isinstance(holds, k.Latent):
            when = holds.token_when
            if when and rows[when.column][i] in when.words:
                return int(rng.integers(self.shape.n_vocabulary))
            own = rows[holds.of][i] if holds.of else slug
            return int(rng.choice(self.chosen[own])) if own in self.chosen else -1
        if holds.form == "flag":
            return bool(rng.integers(2))
        if holds.form == "bytes":
            return f" {WORDS[i % 3]}".encode()
        if isinstance(holds, k.SaeName):
            return str(rng.choice(sorted(self.chosen)))
        if isinstance(holds, k.OneOf):
            return str(rng.choice(holds.words))
        if isinstance(holds, k.FileName):
            return f"a-prompt-{i}"
        if holds.form == "text":
            return WORDS[i % 3]
        if holds.form == "real":
            return float(rng.uniform(0, min(1, holds.bounds[1])))
        low, high = self._reach(holds)
        return int(rng.integers(low, high))

    def _reach(self, holds: k.Kind) -> tuple[int, int]:
        """The whole numbers of a kind that this run has, the upper end not included."""
        if isinstance(holds, k.TextRef):
            return 0, self._texts(holds)
        if isinstance(holds, k.Token):
            return 0, self.shape.n_vocabulary
        if isinstance(holds, k.Position | k.Stop):
            return 0, self.shape.context
        if isinstance(holds, k.Node):
            return 0, 2
        low, high = holds.bounds
        return int(max(low, -3)), int(min(high, 4))

    def _length(self, column: Column, rows: Rows, i: int) -> int:
        context = self.shape.context
        if column.same_length_as:
            return len(rows[column.same_length_as][i])
        if column.each:
            return {
                "token": context,
                "pair of tokens": context * (context + 1) // 2,
                "head": 9,
                "head and source": 9 * (rows.get("position", [0] * (i + 1))[i] + 1),
                "source": rows.get("position", [0] * (i + 1))[i]
                - rows.get("start", [0] * (i + 1))[i]
                + 1,
            }[column.each]
        if column.name == "tokens" and isinstance(column.holds, k.Token):
            return context
        return column.lengths[-1] if column.lengths else 3

    def _enclose(self, table: Table, rows: Rows) -> None:
        """Windows lie around their position, and what begins before it does."""
        if "position" in rows and "start" in rows:
            rows["start"] = [max(0, p - 2) for p in rows["position"]]
        if "position" in rows and "stop" in rows:
            rows["stop"] = [min(self.shape.context, p + 3) for p in rows["position"]]


def whole_run(
    target: Path,
    tables: Iterable[Table] | None = None,
    *,
    hidden: Mapping[str, Collection[int]] | None = None,
) -> Run:
    """A run that holds generated rows of every table, or of these."""
    info = described(SHAPE)
    chosen = {sae.slug: list(range(1, SHAPE.n_chosen + 1)) for sae in info.saes}
    maker = Maker(SHAPE, chosen)
    with RunWriter(target, hidden=hidden) as writer:
        for table in TABLES.values() if tables is None else tables:
            for slug in (None,) if table.scope == "run" else chosen:
                writer.write(table, maker.rows(table, slug), slug=slug)
        writer.finish(info)
    return open_run(target)


def as_rows(rows: Rows) -> list[dict[str, Any]]:
    """Columns as rows."""
    return [dict(zip(rows, values, strict=True)) for values in zip(*rows.values(), strict=True)]


def as_table(table: Table, rows: Rows) -> pa.Table:
    """Columns as an Arrow table with the schema of `table`."""
    return pa.table(rows, schema=table.schema)
