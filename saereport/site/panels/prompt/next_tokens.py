"""The most likely next tokens: of the model as it is, and with each SAE spliced in."""

from __future__ import annotations

from saereport.site import numbers
from saereport.site.blocks import Block
from saereport.site.circuits.view import PromptView
from saereport.site.panels.registry import prompt_panel


@prompt_panel("next-tokens", "Next tokens", "prompt_next", wide=False)
def next_tokens(view: PromptView) -> list[Block]:
    """A column for the true model and for each SAE spliced in."""
    rows = view.rows("prompt_next")
    if not rows:
        return []
    splices = view.names.splices({row["splice"] for row in rows})
    by_place = {(row["splice"], row["rank"]): row for row in rows}
    ranks = sorted({row["rank"] for row in rows})

    def cell(splice: str, rank: int) -> str:
        row = by_place.get((splice, rank))
        if row is None:
            return ""
        return f"{view.names.token(row['token'])}  {numbers.percent(row['probability'])}"

    return [
        {
            "b": "table",
            "columns": ["rank", *(view.names.sae(splice) or "true model" for splice in splices)],
            "rows": [
                [str(rank + 1 - ranks[0]), *(cell(splice, rank) for splice in splices)]
                for rank in ranks
            ],
        }
    ]
