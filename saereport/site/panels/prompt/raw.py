"""Tables about prompts that no other panel shows, as they are stored; see `saereport.site.raw`."""

from __future__ import annotations

from saereport.site import raw
from saereport.site.blocks import Block
from saereport.site.circuits.prompts_data import table_rows
from saereport.site.circuits.view import PromptView
from saereport.site.panels.registry import prompt_panel


@prompt_panel("raw", "Other tables")
def other_tables(view: PromptView) -> list[Block]:
    """One table after the other."""
    report, number = view.names.report, view.data.number
    blocks = []
    for table in raw.unshown(report, "prompt"):
        rows = [row for row in table_rows(report.run, table.name) if row["prompt"] == number]
        if rows:
            blocks.append(raw.block(table, rows, report, without="prompt"))
    return blocks
