"""Which latents a report shows: the small language of `--latents`.

A selection is parsed without knowing the SAE, and resolved when the SAE's width (and, for `live`
and `top:N`, its activity on the text) is known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from saereport.errors import SaereportError, UsageError

FORMS = "a list such as '0-9,14057', 'all', 'live', 'random:50' or 'top:50'"


@dataclass(frozen=True)
class Selection:
    """Parsed words of `--latents`.

    Attributes:
        words: As the user wrote them, without spaces.
        kind: `listed` and `all` and `random` need the SAE's width alone; `live` and `top` need
            its activity.
        ranges: Inclusive ranges, for `listed`.
        count: How many, for `random` and `top`.
    """

    words: str
    kind: Literal["listed", "all", "random", "live", "top"]
    ranges: tuple[tuple[int, int], ...] = ()
    count: int = 0

    @property
    def needs_activity(self) -> bool:
        """Whether the choice can only be made after the text was read."""
        return self.kind in ("live", "top")


def parse_selection(words: str) -> Selection:
    """Parse the value of `--latents`.

    Raises:
        UsageError: It is none of the known forms, or a range runs backwards.
    """
    text = re.sub(r"\s+", "", words)
    if text in ("all", "live"):
        return Selection(text, "all" if text == "all" else "live")
    if match := re.fullmatch(r"(random|top):(\d{1,9})", text):
        count = int(match[2])
        if count == 0:
            raise UsageError(f"'{words}' chooses no latents.", "Ask for at least one.")
        return Selection(text, "random" if match[1] == "random" else "top", count=count)
    ranges = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", part)
        if match is None:
            raise UsageError(f"'{words}' does not choose latents.", f"Write {FORMS}.")
        low, high = int(match[1]), int(match[2] or match[1])
        if high < low:
            raise UsageError(f"The range '{part}' runs backwards.", f"Write '{high}-{low}'.")
        ranges.append((low, high))
    return Selection(text, "listed", ranges=tuple(ranges))


def tracked_latents(selection: Selection, d_sae: int, seed: int) -> np.ndarray:
    """The latents to collect, sorted: the chosen ones, or all where activity decides later.

    Args:
        selection: What the user asked for.
        d_sae: The SAE's width.
        seed: Seed of `random:N`.

    Raises:
        SaereportError: A latent is not in the SAE.
    """
    if selection.kind == "listed":
        highest = max(high for _, high in selection.ranges)
        if highest >= d_sae:
            raise SaereportError(
                f"Latent {highest} is out of range: the SAE has {d_sae:,} latents, "
                f"0 to {d_sae - 1}."
            )
        parts = [np.arange(low, high + 1) for low, high in selection.ranges]
        return np.unique(np.concatenate(parts)).astype(np.int64)
    if selection.kind == "random" and selection.count < d_sae:
        chosen = np.random.default_rng(seed).choice(d_sae, size=selection.count, replace=False)
        return np.sort(chosen).astype(np.int64)
    return np.arange(d_sae, dtype=np.int64)


def shown_latents(selection: Selection, tracked: np.ndarray, n_active: np.ndarray) -> np.ndarray:
    """The latents to show, sorted, once their activity is known.

    Args:
        selection: What the user asked for.
        tracked: Latents that were collected, sorted.
        n_active: For each of them, on how many tokens it was active.
    """
    if selection.kind == "live":
        return tracked[n_active > 0]
    if selection.kind == "top":
        order = np.lexsort((tracked, -n_active))[: selection.count]
        return np.sort(tracked[order[n_active[order] > 0]])
    return tracked
