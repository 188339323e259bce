"""Token ids of two runs as one numbering, by the tokens' bytes.

Two runs may use different tokenisers, so ids say nothing across runs; the bytes do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saereport.diff.columns import numbers, positions_of
from saereport.run import Run
from saereport.util.visible import visible


@dataclass(frozen=True)
class SharedVocabulary:
    """The tokens that one run shows, in the numbering that both runs share.

    Attributes:
        tokens: int64[n], ids in the run's own vocabulary.
        common: int64[n], the number of each token's bytes.
        shared: Every common number as visible text, of both runs.
    """

    tokens: NDArray[np.int64]
    common: NDArray[np.int64]
    shared: tuple[str, ...]

    def to_common(self, tokens: NDArray[Any]) -> NDArray[np.int64]:
        """Ids as common numbers; an id whose bytes the run does not hold stands for itself."""
        ids = tokens.astype(np.int64)
        at = positions_of(ids, self.tokens)
        unknown = len(self.shared) + np.abs(ids)
        return np.where(at < 0, unknown, self.common[at] if len(self.common) else unknown)

    def shown(self, common: int) -> str:
        """A common number as visible text."""
        if common < len(self.shared):
            return self.shared[common]
        return f"token {common - len(self.shared)}"


def vocabularies(before: Run, after: Run) -> tuple[SharedVocabulary, SharedVocabulary]:
    """The vocabularies of two runs in one numbering."""
    known: dict[bytes, int] = {}
    sides = []
    for run in (before, after):
        if not run.has("vocabulary"):
            sides.append((np.empty(0, np.int64), np.empty(0, np.int64)))
            continue
        table = run.table("vocabulary", columns=["token", "bytes"])
        texts = table.column("bytes").to_pylist()
        common = np.array([known.setdefault(text, len(known)) for text in texts], np.int64)
        sides.append((numbers(table, "token"), common))
    # Once for each token and not for each list that holds it.
    shared = tuple(visible(text) for text in known)
    (one, first), (two, second) = sides
    return SharedVocabulary(one, first, shared), SharedVocabulary(two, second, shared)
