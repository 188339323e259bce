"""The directions that are asked for one by one, told without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from saereport.config.directions import MOST_DIRECTIONS, DirectionConfig, require_distinct
from saereport.sources.vectors import vectors_of


@dataclass(frozen=True)
class Asked:
    """One direction that is asked for: each vector of a file is one.

    Attributes:
        config: What it is.
        name: What it is called.
        vector: The vector's name in its file; empty of others.
        width: The vector's width, for a file.
    """

    config: DirectionConfig
    name: str
    vector: str = ""
    width: int = 0


def asked_directions(directions: Sequence[DirectionConfig]) -> list[Asked]:
    """The directions one by one; a file that holds several vectors has as many.

    Raises:
        SaereportError: A file cannot be read.
        UsageError: Two have one name, or there are too many.
    """
    found: list[Asked] = []
    for one in directions:
        if one.file is None:
            found.append(Asked(one, one.name))
            continue
        held = vectors_of(one.file.expanduser(), one.vector)
        alone = len(held) == 1
        found += [
            Asked(one, one.name if alone else f"{one.name}.{name}", name, width)
            for name, width in islice(held.items(), MOST_DIRECTIONS + 1)
        ]
    require_distinct([one.name for one in found])
    return found
