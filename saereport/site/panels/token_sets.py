"""The sets of tokens that a latent raises or lowers as a whole."""

from __future__ import annotations

from saereport.run.lens import SIGNIFICANT
from saereport.site import numbers
from saereport.site.blocks import Block, Cell, base
from saereport.site.context import LatentView
from saereport.site.lens import set_name
from saereport.site.panels.registry import panel

SETS = base("token_sets", b="table", columns=["set", "score", "corrected p"])


@panel("token_sets", "Token sets that it raises or lowers", "token_set_scores")
def token_sets(latent: LatentView) -> list[Block]:
    """Its significant sets, the strongest first."""
    rows = latent.rows("token_set_scores")
    if not len(rows):
        return []
    found = list(rows.each("set", "score", "corrected"))
    kept = [row for row in found if row[2] <= SIGNIFICANT]
    if not kept:
        return [
            {
                "b": "text",
                "text": f"None of {numbers.count(len(found))} sets of tokens stands apart.",
            }
        ]
    kept.sort(key=lambda row: (-abs(row[1]), row[0]))
    cells: list[list[Cell]] = [
        [set_name(name), numbers.value(score), numbers.value(corrected)]
        for name, score, corrected in kept
    ]
    return [SETS(rows=cells)]
