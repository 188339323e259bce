"""What the model says of the answer that was asked for: as it is, and with each SAE spliced in."""

from __future__ import annotations

from saereport.site import numbers
from saereport.site.blocks import Block
from saereport.site.circuits.view import PromptView
from saereport.site.panels.registry import prompt_panel


@prompt_panel("answer", "Answer", "prompt_answers", wide=False)
def answer(view: PromptView) -> list[Block]:
    """The answer's rank, probability and logit, each way."""
    rows = {row["splice"]: row for row in view.rows("prompt_answers")}
    if not rows:
        return []
    asked = view.data.head["answer"]
    return [
        {
            "b": "table",
            **({"title": {"text": "", "token": view.names.token(asked)}} if asked >= 0 else {}),
            "columns": ["with the reconstruction of", "rank", "probability", "logit"],
            "rows": [
                [
                    view.names.sae(splice) or "true model",
                    numbers.count(rows[splice]["rank"]),
                    numbers.percent(rows[splice]["probability"]),
                    numbers.value(rows[splice]["logit"]),
                ]
                for splice in view.names.splices(rows)
            ],
        }
    ]
