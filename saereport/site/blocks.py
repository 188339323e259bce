"""The kinds of thing that a panel can show, as plain data.

A block is a dict. What all latents share (kind, titles, axes, notes) is a *base*, declared once and
stored once in the report; a latent's own block names its base and adds its numbers:

    RAISED = base("logits.raised", b="tokens", title="Raises most", columns=["logit"])
    RAISED(rows=[[262, 1.93], [287, 1.88]])

`merged` (and `merge` in `scripts/blocks/merge.js`) put the two together. Kinds, by the field `b`:

| b | fields |
|---|---|
| `tokens` | `title`, `columns`, `rows` of `[token id, value, ...]` |
| `latents` | `title`, `columns`, `rows` of `[latent, 1 if shown, value, ...]`, `sae` if another |
| `facts` | `title`, `names`, `values`, `notes`; fewer values than names leave the rest out |
| `figure` | `title`, `summary` (`{name}` is filled from `v`), `views`: Plotly `data`, `layout` |
| `examples` | `groups` of examples, see `panels/examples.py` |
| `attribution` | `layer`, `note`, `examples`, see `panels/attribution.py` |
| `influences` | `title`, `saes`, `examples`, see `panels/influences.py` |
| `text` | `text` |
| `columns` | `blocks`, side by side where there is room |

A view of a heatmap has whole numbers, multiples of its `unit`, over columns named by its `prefix`;
its `note` is filled from its `v` and shown below. In a figure with `alike` the first view is under
each of the others; `choice` says what one chooses between the views.

A figure's traces carry `meta` with the role of their colour, so that a theme can set it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Block = dict[str, Any]

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


def plotly_text(text: str) -> str:
    """Text for a Plotly string, in which `&`, `<` and `>` would be markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
