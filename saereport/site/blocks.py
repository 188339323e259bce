"""The kinds of thing that a panel can show, as plain data.

A block is a dict. What all latents share (kind, titles, axes, notes) is a *base*, declared once and
stored once in the report; a latent's own block names its base and adds its numbers:

    RAISED = base("logits.raised", b="tokens", title="Raises most", columns=["logit"])
    RAISED(rows=[[262, 1.93], [287, 1.88]])

`merged` (and `merge` in `scripts/blocks/merge.js`) put the two together. Kinds, by the field `b`:

| b | fields |
|---|---|
| `table` | `columns`, `rows` of cells, `at`: of each row the positions that it is about |
| `facts` | `names`, `values`, `notes`; fewer values than names leave the rest out |
| `tokens` | `columns`, `rows` of `[token id, value, ...]` |
| `latents` | `columns`, `rows` of `[latent, 1 if shown, value, ...]`, `sae` if another |
| `examples` | `groups` of examples, `quantiles`: their edges; see `panels/examples.py` |
| `bars` | `views`: Plotly `data`, `layout`, `columns`; `log` for a choice of the count's axis |
| `lines` | `labels` of the x axis, `y`, `series` of `name` (a cell), `key`, `values`; see below |
| `scatter` | `x`, `y` of axes; `series` of `name`, `role`, `points`; `roles` in words |
| `cloud` | `sae`, packed `axes` of many latents, `plots` of pairs of them; see `clouds.py` |
| `heatmap` | `views` of `rows`, `columns` (names) and `z`; or one of `cells`, see below |
| `text` | `text`; or `lines` of it |
| `grid` | `blocks`, side by side where there is room, or `stacked` |
| `attribution`, `influences` | of latents, see `panels/attribution.py`, `panels/influences.py` |

Every block may have a `title`, and drawn ones a `summary`, a sentence (`{name}` is filled from
`v`). `fold` puts a block behind a line that unfolds it: `title`, `lead` (cells), `note`, `open`.
A block that is drawn from much data may lie in a data script of its own, named by `load`.

A *cell* is a text, or a mapping with `text`, and where there is more to say `href` (from the
report's root), `token`, `position`, `gloss`; a name of a latent at its place, say. `drawn` is the
address where a drawing of the page shows it; what is `long` breaks into lines.

Lines may have `overlays` of other pages; `places`, numbers at which the values stand on an x axis
called `x`; `log`, the ticks of a logarithmic y axis; `levels` of `name` and `value`
across, and a `span` of the x axis with `name`, `from`, `to` that is shaded.

A dense heatmap has in each view `z`, numbers by row, null where there is none, as multiples of
`unit`; `outlined` cells `[column, row]`; `strip`, a value for each of its `words`; a `note`, filled
from its `v`; a block's `missing` says what a cell without a number is, `outline` what an outlined
one is. With `alike` the first view is under each of the others; `choice` says what one
chooses between them. A sparse one has `x`, `y` and `value` of each cell, the largest first, over
`columns` and `rows`, each a place among the `names` of its side and a position among `words`;
`column_values` and `row_values` have a `name` and `values`; `outlined` are pairs of
positions; `more` has `names` and `rows` of `[cell, value, ...]`;
`one_by_one` lets a reader sort the columns by any row, `across` leave out cells on one position.

A figure's traces carry `meta` with the role of their colour, so that a theme can set it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Block = dict[str, Any]
Cell = str | Mapping[str, Any]

BASES: dict[str, Block] = {}
"""Every base by name, in order of declaration."""


def base(name: str, **fields: Any) -> Callable[..., Block]:
    """Declare a base; returns the function that makes blocks from it.

    Raises:
        ValueError: The name is taken.
    """
    if name in BASES:
        raise ValueError(f"block base '{name}' is declared twice")
    BASES[name] = fields

    def make(**patch: Any) -> Block:
        return {"base": name, **patch}

    return make


def merged(block: Block) -> Block:
    """A block with its base filled in, the way the page sees it."""
    patch = {key: value for key, value in block.items() if key != "base"}
    result: Block = merge(BASES[block["base"]], patch) if "base" in block else patch
    if result.get("alike"):
        first, *others = result["views"]
        result["views"] = [first, *(merge(first, view) for view in others)]
    if "blocks" in result:
        result["blocks"] = [merged(inner) for inner in result["blocks"]]
    return result


def merge(under: Any, over: Any) -> Any:
    """`over` laid on `under`: mappings by key, lists of mappings by place, all else replaced."""
    if isinstance(under, Mapping) and isinstance(over, Mapping):
        keys = [*under, *(key for key in over if key not in under)]
        return {
            key: merge(under[key], over[key])
            if key in under and key in over
            else (over if key in over else under)[key]
            for key in keys
        }
    if _records(under) and _records(over):
        longest = max(len(under), len(over))
        return [
            merge(under[i], over[i])
            if i < len(under) and i < len(over)
            else (over if i < len(over) else under)[i]
            for i in range(longest)
        ]
    return over


def _records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) for v in value)
