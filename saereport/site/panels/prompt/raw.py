"""Tables about prompts that no other panel shows, as they are stored; see `saereport.site.raw`."""

from __future__ import annotations

import pyarrow.compute as pc

from saereport.site import raw
from saereport.site.blocks import Block
from saereport.site.circuits.view import PromptView
from saereport.site.panels.registry import prompt_panel


@prompt_panel("raw", "Other tables")
def other_tables(view: PromptView) -> list[Block]:
    """One table after the other."""
    report, number = view.names.report, view.data.number
    blocks = []
    for table in raw.unshown(report, "prompt"):
        rows, prompt = report.run.table(table.name), table.prompt.name
        rows = rows.filter(pc.equal(rows.column(prompt), number))
        if rows.num_rows:
            blocks.append(raw.stored(table, rows, report, without=prompt))
    return blocks
