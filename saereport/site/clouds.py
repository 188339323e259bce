"""Scatter plots of many latents that know of each other: one block, its numbers packed.

Every latent is a point in each plot. A number is written as its place on the axis, in so many
steps that no screen shows the difference: two characters each (`packing`), so that 25,000 latents
with four numbers take 200 kB. `scripts/blocks/cloud.js` reads it back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from saereport.site import numbers
from saereport.site.blocks import Block
from saereport.site.jsonwriter import Exact
from saereport.site.packing import N_SHORT, pack, packed

STEPS: Final = N_SHORT - 2
"""Steps of an axis, from 1 to `STEPS` + 1; 0 is for latents without a number there."""
QUANTILES: Final = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_NAMES: Final = ("least", "5 %", "25 %", "median", "75 %", "95 %", "most")


@dataclass(frozen=True, eq=False)
class Axis:
    """One number of every latent.

    Attributes:
        name: What it is.
        values: NaN where a latent has none, float64[n].
        log: Whether its axis is logarithmic; then only numbers above 0 are drawn.
    """

    name: str
    values: NDArray[np.float64]
    log: bool = False


def axis_record(axis: Axis) -> dict[str, Any]:
    """An axis as the browser has it: its ends, and every latent's place between them."""
    values = axis.values
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = np.log10(values) if axis.log else values
    known = np.isfinite(drawn)
    low, high = (float(end(drawn[known])) for end in (np.min, np.max)) if known.any() else (0, 0)
    places = np.zeros(len(values), dtype=np.int32)
    span = high - low
    places[known] = 1
    if span > 0:
        places[known] += np.rint((drawn[known] - low) / span * STEPS).astype(np.int32)
    (text,) = pack(places, np.array([len(places)], dtype=np.int64))
    return {
        "name": axis.name,
        "log": axis.log,
        "low": Exact(low),
        "high": Exact(high),
        "values": text,
    }


def cloud(
    slug: str,
    latents: NDArray[np.int64],
    axes: Sequence[Axis],
    plots: Sequence[tuple[int, int]],
    **fields: Any,
) -> Block:
    """A block of scatter plots.

    Args:
        slug: The SAE.
        latents: Its latents, ascending, [n].
        axes: Their numbers.
        plots: Of each plot the axes, by their places: x and y.
        fields: `summary`; `groups` of `name`, `role` and `rows`; `shown` rows with `labels`;
            `notes` by row; see `groups_of` and `shown_of`.
    """
    whole = len(latents) > 0 and int(latents[-1]) == len(latents) - 1
    return {
        "b": "cloud",
        "sae": slug,
        "n": len(latents),
        "latents": [] if whole else latents.tolist(),
        "axes": [axis_record(axis) for axis in axes],
        "plots": [list(pair) for pair in plots],
        "quantiles": [_quantiles(axis) for axis in axes],
        **fields,
    }


def groups_of(kinds: Mapping[str, NDArray[np.bool_]], roles: Sequence[str]) -> list[dict[str, Any]]:
    """The field `groups`: of each kind its rows, and the role of its colour."""
    return [
        {"name": name, "role": role, "rows": packed(np.flatnonzero(rows).tolist())}
        for (name, rows), role in zip(kinds.items(), roles, strict=True)
    ]


def _quantiles(axis: Axis) -> list[str]:
    """A row of the table that stands for the drawing."""
    known = axis.values[np.isfinite(axis.values)]
    if not len(known):
        return [axis.name, *("–" for _ in QUANTILES)]
    return [axis.name, *(numbers.value(float(q)) for q in np.quantile(known, QUANTILES))]


def quantile_names() -> tuple[str, ...]:
    """The columns of that table."""
    return ("of each latent", *_NAMES)
