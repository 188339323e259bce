"""Activations that cannot be measured: what is no number, and what is too large to be summed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

LARGEST_ACTIVATION = 1e25
"""Activations above are treated as infinite ones: whatever is made of smaller ones (moments, edges
of bins, products with weights) stays below what a run may hold."""

Places = NDArray[np.int64]
"""Sequence, position and latent of each, int64[m, 3]."""

NONE: Places = np.zeros((0, 3), dtype=np.int64)


class Broken:
    """Which latents gave such activations, how often, and where first.

    One of them at the beginning of the text is an error. One that turns up later costs the latent,
    not the hours: it is taken out of the events, and the latent out of what is shown.
    """

    def __init__(self) -> None:
        self._found: dict[int, tuple[int, int, int]] = {}

    def take(self, places: Places) -> None:
        """Note some; those of earlier sequences come first."""
        for sequence, position, latent in places.tolist():
            count, *first = self._found.get(latent, (0, sequence, position))
            self._found[latent] = (count + 1, first[0], first[1])

    def merge(self, other: Broken) -> None:
        """Take in what was noted of another part of the text."""
        for latent, (count, *first) in other._found.items():
            own = self._found.get(latent)
            if own is None:
                self._found[latent] = (count, first[0], first[1])
            else:
                sequence, position = min(own[1:], tuple(first))
                self._found[latent] = (own[0] + count, sequence, position)

    @property
    def latents(self) -> NDArray[np.int64]:
        """The latents, ascending."""
        return np.array(sorted(self._found), dtype=np.int64)

    def reason(self) -> str:
        """What happened, as a sentence; empty where nothing did."""
        if not self._found:
            return ""
        latent, (count, sequence, position) = min(self._found.items(), key=lambda item: item[1][1:])
        times = f"{count:,} times, first" if count > 1 else "once"
        rest = f", and {len(self._found) - 1:,} more latents" if len(self._found) > 1 else ""
        return (
            f"Latent {latent} gave activations that are no numbers or beyond "
            f"{LARGEST_ACTIVATION:g} ({times} in sequence {sequence}, position {position}){rest}. "
            "These activations are counted nowhere, and the latents are not shown."
        )

    def state(self) -> dict[str, NDArray[np.int64]]:
        """A checkpoint."""
        rows = [(latent, *self._found[latent]) for latent in sorted(self._found)]
        return {"rows": np.array(rows, dtype=np.int64).reshape(-1, 4)}

    def restore(self, state: Mapping[str, NDArray[np.int64]]) -> None:
        """Become what `state` was made from."""
        self._found = {row[0]: (row[1], row[2], row[3]) for row in state["rows"].tolist()}
