"""Which pairs of latents changed, in what, and in which order a reader is to see them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from saereport.diff.latents import MetricColumn, Ranked, reveals_text
from saereport.diff.metrics import METRICS
from saereport.diff.model import Items, LatentChange, Pairs, Value

DENSE = 0.1
"""Density above which a latent is called dense."""

TURNED = 4.0
"""Importance of becoming dead, alive, dense or sparse."""


def latent_changes(
    pairs: Pairs,
    columns: Mapping[str, MetricColumn],
    labels: tuple[list[str], list[str]],
    blind: NDArray[np.bool_],
) -> tuple[LatentChange, ...]:
    """The pairs that changed, most important first; equal ones by their number.

    Args:
        pairs: All compared pairs.
        columns: The metrics that were compared.
        labels: Visible label of each pair before and after; empty where there is none.
        blind: bool[n], pairs of which a side is blinded: their numbers are told, but neither
            their labels nor the lists that would give them away.
    """
    changed = np.zeros(len(pairs.before), bool)
    for name, sizes in pairs.sizes.items():
        changed |= sizes > pairs.tolerances[name]
    weights = importances(pairs)
    where = np.flatnonzero(changed)
    order = where[np.lexsort((pairs.before[where], -weights[where]))]
    return tuple(
        LatentChange(
            before=int(pairs.before[row]),
            after=int(pairs.after[row]),
            similarity=float(pairs.similarity[row]),
            values=_values(pairs, int(row)),
            items=_items(pairs, columns, int(row), blind=bool(blind[row])),
            label="" if blind[row] else labels[1][row] or labels[0][row],
            importance=float(weights[row]),
        )
        for row in order
    )


def importances(pairs: Pairs) -> NDArray[np.float64]:
    """float64[n]: what changes are sorted by, as `metrics` says; 0 for what did not change."""
    total = np.zeros(len(pairs.before))
    for name, sizes in pairs.sizes.items():
        metric = METRICS[name]
        changed = sizes > pairs.tolerances[name]
        total += np.where(changed, metric.weight * np.minimum(sizes / metric.full, 1), 0)
        if name == "density":
            befores, afters = pairs.befores[name], pairs.afters[name]
            turned = (befores == 0) != (afters == 0)
            turned |= (befores > DENSE) != (afters > DENSE)
            total += np.where(changed & turned, TURNED, 0)
    return np.round(total, 6)


def _values(pairs: Pairs, row: int) -> tuple[Value, ...]:
    values = []
    for name, sizes in pairs.sizes.items():
        if np.isnan(sizes[row]):
            continue
        sided = name in pairs.befores
        values.append(
            Value(
                metric=name,
                before=float(pairs.befores[name][row]) if sided else None,
                after=float(pairs.afters[name][row]) if sided else None,
                size=float(sizes[row]),
                tolerance=float(pairs.tolerances[name][row]),
            )
        )
    return tuple(values)


def _items(
    pairs: Pairs, columns: Mapping[str, MetricColumn], row: int, *, blind: bool
) -> tuple[Items, ...]:
    return tuple(
        Items(name, _shown(column.lists, 0, row), _shown(column.lists, 1, row))
        for name, column in columns.items()
        if column.lists is not None
        and pairs.sizes[name][row] > pairs.tolerances[name][row]
        and not (blind and reveals_text(name))
    )


def _shown(lists: Ranked, side: int, row: int) -> tuple[str, ...]:
    held = (lists.before, lists.after)[side]
    return tuple(lists.shown(int(entry)) for entry in held.of(row))
