"""A small sample of each latent's active tokens, fit to be compared with any other latent's.

The sample is a bottom-k sketch: of all tokens on which a latent is active, those of the lowest
pseudo-random priority. The priority is of the token alone, so two latents of whatever SAEs, seeds
or reports pick from one and the same shuffled text, and what their sketches share estimates what
they share on all of it (Cohen and Kaplan, "Summarizing data using bottom-k sketches", 2007).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saereport.measure.batch import Columns, SortedEvents, State, TrackedLatents
from saereport.measure.setting import Setting
from saereport.measure.statistics.candidates import NEVER, Candidates
from saereport.measure.statistics.spacing import rank_in_runs, sort_by
from saereport.util.priority import SKETCHED, place_priorities


class Lowest(Candidates):
    """The k events of each row on the tokens of lowest priority, sorted by row, then priority."""

    def __init__(self, rows: int, k: int) -> None:
        super().__init__()
        self.k = k
        self._threshold = np.full(rows, NEVER)

    def offer(self, prepared: SortedEvents) -> None:
        """Consider a batch."""
        n, context = prepared.batch.tokens.shape
        sequence = np.arange(prepared.batch.first, prepared.batch.first + n)
        priority = place_priorities(sequence[:, None], np.arange(context)[None]).reshape(-1)
        chosen = priority[prepared.flat] <= self._threshold[prepared.row]
        self._take(prepared, np.flatnonzero(chosen))

    def _sort_out(self, columns: State) -> None:
        priority = place_priorities(columns["sequence"], columns["position"])
        order = sort_by(columns["row"].astype(np.int64), priority)
        rank = rank_in_runs(columns["row"][order])
        order, rank = order[rank < self.k], rank[rank < self.k]
        self.columns = {name: values[order] for name, values in columns.items()}
        last = order[rank == self.k - 1]
        self._threshold[columns["row"][last]] = priority[last]


class Sketch:
    """Table `active_sketch`. Exact, whatever the batches; memory is bounded by k a latent."""

    def __init__(self, setting: Setting) -> None:
        self.rows = TrackedLatents(setting.latents, setting.d_sae)
        self.lowest = Lowest(len(self.rows), SKETCHED)
        self.context_size = 0

    def update(self, prepared: SortedEvents) -> None:
        """Take in one batch of whole sequences."""
        self.context_size = max(self.context_size, prepared.batch.tokens.shape[1])
        self.lowest.offer(prepared)

    def merge(self, other: Sketch) -> None:
        """Take in another part of the text."""
        self.context_size = max(self.context_size, other.context_size)
        self.lowest.merge(other.lowest)

    def result(self, latents: NDArray[Any], peers: Mapping[str, Any]) -> dict[str, Columns]:
        """Table `active_sketch`: a row for each of the latents, empty where it was never active."""
        self.lowest.compact()
        columns = self.lowest.columns
        token = columns["sequence"].astype(np.int64) * self.context_size + columns["position"]
        rows = self.rows.chosen(latents)
        start = np.searchsorted(columns["row"], rows, side="left").tolist()
        stop = np.searchsorted(columns["row"], rows, side="right").tolist()
        return {
            "active_sketch": {
                "latent": np.asarray(latents, dtype=np.int32),
                "tokens": [token[a:b] for a, b in zip(start, stop, strict=True)],
                "values": [columns["value"][a:b] for a, b in zip(start, stop, strict=True)],
            }
        }

    def state(self) -> State:
        """The tokens kept, as arrays."""
        return {
            "context_size": np.array(self.context_size, dtype=np.int64),
            **self.lowest.state(),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become the accumulator whose `state` this is."""
        self.context_size = int(state["context_size"])
        self.lowest.restore(state)
