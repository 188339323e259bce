"""What is left of a table where nothing may be revealed of some latents.

It is taken out before the table is written, so that it is in no file: hiding it in the pages alone
would not keep a curious reader blind. What has to go, a table says itself (`Table.reveals_text`,
`Column.redacted`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from saereport.run.kinds import Latent
from saereport.run.table import Table


def redacted(
    table: Table, rows: pa.Table, latents: Mapping[str, Collection[int]], slug: str | None
) -> pa.Table:
    """The rows without what would show the text that activates some latents.

    Args:
        table: What they are rows of.
        rows: Some of its rows, with the columns of `needed_for_redaction` at least.
        latents: For each SAE, the latents of which nothing may be revealed.
        slug: The SAE that the table is about; None for a table of the run.

    Returns:
        Rows of a table that reveals text are left out; in others stands what their columns say in
        place of what leads to it.
    """
    held = rows.column_names
    masked = [c for c in table.columns if c.redacted is not None and c.name in held]
    if not any(latents.values()) or not (table.reveals_text or masked):
        return rows
    at = _of(table, rows, latents, slug)
    if table.reveals_text:
        return rows.filter(pc.invert(at))
    for column in masked:
        instead = pa.scalar(column.redacted).cast(column.type)
        new = pc.if_else(at, instead, rows.column(column.name))
        rows = rows.set_column(held.index(column.name), rows.schema.field(column.name), new)
    return rows


def needed_for_redaction(table: Table) -> tuple[str, ...]:
    """The columns that say which rows are about hidden latents; none where nothing is redacted."""
    if not table.reveals_text and all(column.redacted is None for column in table.columns):
        return ()
    holds = table.by_name["latent"].holds
    return ("latent", holds.of) if isinstance(holds, Latent) and holds.of else ("latent",)


def _of(
    table: Table, rows: pa.Table, latents: Mapping[str, Collection[int]], slug: str | None
) -> pa.ChunkedArray:
    """bool[n]: the rows that are about one of the latents."""
    column = table.by_name["latent"]
    assert isinstance(column.holds, Latent)
    found = pa.chunked_array([pa.repeat(False, rows.num_rows)])
    for name, own in latents.items():
        inside = pc.is_in(rows.column("latent"), pa.array(sorted(own), column.type))
        if column.holds.of:
            inside = pc.and_(inside, pc.equal(rows.column(column.holds.of), name))
        elif name != slug:
            continue
        found = pc.or_(found, inside)
    return found
