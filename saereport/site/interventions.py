"""Latents ablated and clamped: on the page of a prompt, and on that of a latent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from saereport.run import Run
from saereport.run.interventions import EVERYWHERE
from saereport.site import numbers
from saereport.site.blocks import Cell

TABLE: Final = "prompt_interventions"

Row = Mapping[str, Any]


def one_latent(rows: Iterable[Row]) -> tuple[dict[float, Row], dict[int, Row]]:
    """Rows of one latent on one prompt: by multiple, and ablated alone by position."""
    whole, alone = {}, {}
    for row in rows:
        if row["position"] == EVERYWHERE:
            whole[row["multiple"]] = row
        else:
            alone[row["position"]] = row
    return whole, alone


def by_latent(rows: Iterable[Row]) -> dict[tuple[str, int], list[Row]]:
    """Rows of one prompt by SAE and latent."""
    found: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in rows:
        found[row["sae"], row["latent"]].append(row)
    return dict(found)


@lru_cache(maxsize=2)
def on_prompts(run: Run) -> dict[tuple[str, int], dict[int, list[Row]]]:
    """Every latent that was set, with its rows by prompt.

    Args:
        run: The run; the table is read once for all pages that one process makes of it.
    """
    found: dict[tuple[str, int], dict[int, list[Row]]] = {}
    rows = run.table(TABLE).to_pylist() if run.has(TABLE) else []
    for row in rows:
        prompts = found.setdefault((row["sae"], row["latent"]), {})
        prompts.setdefault(row["prompt"], []).append(row)
    return found


def strength(row: Row) -> float:
    """How much is at stake for a latent: the change of the difference, as a size."""
    return abs(float(row["difference_change"]))


def largest(whole: Mapping[float, Row]) -> float:
    """The largest change that any setting of a latent makes."""
    return max(map(strength, whole.values()), default=0.0)


def setting(multiple: float) -> str:
    """What a latent is set to, as a heading."""
    return "ablated" if multiple == 0 else f"at ×{numbers.value(multiple)}"


def multiples(wholes: Iterable[Mapping[float, Row]]) -> list[float]:
    """Every multiple that there is: ablation first, then ascending."""
    return sorted({one for whole in wholes for one in whole}, key=lambda one: (one != 0, one))


def change(row: Row | None) -> Cell:
    """The change of the difference, and the answer's probability afterwards."""
    if row is None:
        return "–"
    return {"text": signed(row["difference_change"]), "gloss": numbers.percent(row["probability"])}


def signed(value: float) -> str:
    """A change of a logit, with its sign and two decimals."""
    text = f"{value:+.2f}"
    return ("0.00" if text in ("+0.00", "-0.00") else text).replace("-", numbers.MINUS)


def heat(rows: Sequence[Mapping[Any, Row]], columns: Sequence[Any]) -> list[list[float | None]]:
    """Changes of the difference as cells of a heatmap; null where nothing was set."""
    return [[row[c]["difference_change"] if c in row else None for c in columns] for row in rows]
