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
import torch
from numpy.typing import NDArray

from saereport.measure.batch import SortedEvents, TrackedLatents
from saereport.measure.columns import Columns, State
from saereport.measure.crossing import to_device, to_host
from saereport.measure.exact import NEVER, ordered, place_bits, rank_in_groups
from saereport.measure.setting import Setting
from saereport.measure.sorting import order_by
from saereport.measure.waiting import Waiting
from saereport.util.priority import SKETCHED
from saereport.util.ragged import Ragged

_WAITING = 1 << 18
_FIELDS = {
    "row": torch.int32,
    "sequence": torch.int32,
    "position": torch.int32,
    "value": torch.float32,
}


class Sketch:
    """Table `active_sketch`. Exact, whatever the batches; memory is bounded by k a latent."""

    def __init__(self, setting: Setting) -> None:
        self.rows = TrackedLatents(setting.latents, setting.d_sae, setting.device)
        self.k = SKETCHED
        self.lowest = Waiting(_FIELDS, setting.device, _WAITING)
        self._threshold = torch.full((len(self.rows),), NEVER, device=setting.device)
        self.context_size = 0

    def choose(self, prepared: SortedEvents) -> None:
        """Ask for the events on tokens of low priority."""
        priority = prepared.batch.priority.index_select(0, prepared.flat)
        prepared.want("sketch", priority <= self._threshold.index_select(0, prepared.row))

    def update(self, prepared: SortedEvents) -> None:
        """Take in one batch of whole sequences."""
        self.context_size = max(self.context_size, prepared.batch.context)
        events = prepared.picked("sketch")
        self.lowest.add({name: getattr(prepared, name).index_select(0, events) for name in _FIELDS})
        if self.lowest.due:
            self.compact()

    def compact(self) -> None:
        """Keep the k lowest of each row, by row and priority, and lower the thresholds."""
        if not self.lowest.anything:
            return
        columns = self.lowest.take_all()
        place = place_bits(columns["sequence"], columns["position"])
        order = order_by(columns["row"], len(self.rows), place)
        row = columns["row"].index_select(0, order).to(torch.int64)
        rank = rank_in_groups(row, len(self.rows))
        last = rank == self.k - 1
        self._threshold[row[last]] = ordered(place[order[last]])
        self.lowest.keep(columns, order[rank < self.k])

    def merge(self, other: Sketch) -> None:
        """Take in another part of the text."""
        other.compact()
        self.context_size = max(self.context_size, other.context_size)
        self.lowest.add(other.lowest.kept)
        self.compact()

    def result(self, latents: NDArray[Any], peers: Mapping[str, Any]) -> dict[str, Columns]:
        """Table `active_sketch`: a row for each of the latents, empty where it was never active."""
        columns = self._columns()
        token = columns["sequence"].astype(np.int64) * self.context_size + columns["position"]
        rows = self.rows.chosen(latents)
        start = np.searchsorted(columns["row"], np.arange(len(self.rows) + 1))
        tokens = Ragged(token, start)
        return {
            "active_sketch": {
                "latent": np.asarray(latents, dtype=np.int32),
                "tokens": tokens.take(rows),
                "values": Ragged(columns["value"], start).take(rows),
            }
        }

    def _columns(self) -> State:
        self.compact()
        return {name: to_host(column) for name, column in self.lowest.kept.items()}

    def state(self) -> State:
        """The tokens kept, as arrays."""
        return {"context_size": np.array(self.context_size, dtype=np.int64), **self._columns()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become the accumulator whose `state` this is."""
        self.context_size = int(state["context_size"])
        device = self._threshold.device
        self.lowest.restore({name: state[name][:0] for name in _FIELDS})
        self.lowest.add({name: to_device(state[name], device) for name in _FIELDS})
        self.compact()
