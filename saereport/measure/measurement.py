"""All statistics of one SAE together: one update for a batch, one merge, one state, one result."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saereport.measure.batch import Chooser, Events, SortedEvents, TrackedLatents
from saereport.measure.columns import Columns, State
from saereport.measure.registry import STATISTICS
from saereport.measure.setting import Setting


class Measurement:
    """The accumulators of one SAE over one text, or over one part of it.

    Args:
        setting: What to measure; `setting.latents` are the tracked latents.
        statistics: Names from the registry; all of them by default. What one of them `needs` is
            measured too, but gives no table.
        all_latents: Whether the batches hold the events of every latent of the SAE. If not, the
            statistics that need them are left out.

    Raises:
        KeyError: A name is not in the registry.
    """

    def __init__(
        self,
        setting: Setting,
        statistics: Collection[str] | None = None,
        *,
        all_latents: bool = True,
    ) -> None:
        asked = set(STATISTICS if statistics is None else statistics)
        names = asked.union(*(STATISTICS[name].needs for name in sorted(asked)))
        self.setting = setting
        self.rows = TrackedLatents(setting.latents, setting.d_sae, setting.device)
        self.accumulators: dict[str, Any] = {
            name: statistic.accumulator(setting)
            for name, statistic in STATISTICS.items()
            if name in names and (all_latents or not statistic.needs_all_latents)
        }
        self.asked = tuple(name for name in self.accumulators if name in asked)

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables that `result` gives."""
        return tuple(table for name in self.asked for table in STATISTICS[name].tables)

    def update(self, batch: Events) -> None:
        """Take in one batch of whole sequences."""
        prepared = SortedEvents(batch, self.rows)
        for accumulator in self.accumulators.values():
            if isinstance(accumulator, Chooser):
                accumulator.choose(prepared)
        prepared.settle()
        for accumulator in self.accumulators.values():
            accumulator.update(prepared)

    def merge(self, other: Measurement) -> None:
        """Take in another part of the text, measured with the same setting.

        `other` must not be used afterwards.
        """
        for name, accumulator in self.accumulators.items():
            accumulator.merge(other.accumulators[name])

    def n_active(self) -> NDArray[np.int64]:
        """Active tokens of each tracked latent so far, int64[len(setting.latents)]."""
        everyone = np.arange(len(self.rows))
        n: NDArray[np.int64] = self.accumulators["activity"].n_active(everyone)
        return n

    def sequences(self) -> NDArray[np.int64]:
        """Sequences that examples may refer to: what a `SequenceStore` has to keep. Ascending."""
        if "examples" not in self.accumulators:
            return np.zeros(0, dtype=np.int64)
        found: NDArray[np.int64] = self.accumulators["examples"].sequences()
        return found

    def result(self, latents: NDArray[Any]) -> dict[str, Columns]:
        """All tables, for some of the tracked latents (sorted indices into the dictionary)."""
        tables: dict[str, Columns] = {}
        for name in self.asked:
            found = self.accumulators[name].result(np.asarray(latents), self.accumulators)
            tables.update(found)
        return tables

    def summary(self) -> dict[str, Any]:
        """Numbers about the SAE as a whole, fit for JSON (see `SaeActivity.summary`)."""
        if "sae_activity" in self.accumulators:
            whole: dict[str, Any] = self.accumulators["sae_activity"].summary()
            return whole
        return {"counted_tokens": int(self.accumulators["activity"].counted)}

    def state(self) -> State:
        """A checkpoint: plain arrays by `statistic.array`."""
        return {
            f"{name}.{key}": array
            for name, accumulator in self.accumulators.items()
            for key, array in accumulator.state().items()
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become the measurement whose `state` this is; call on a new one of the same setting.

        Raises:
            ValueError: The state is of other statistics or of another setting's size.
        """
        names = {key.split(".", 1)[0] for key in state}
        if names != set(self.accumulators):
            raise ValueError("the checkpoint holds other statistics than are asked for")
        for name, accumulator in self.accumulators.items():
            prefix = name + "."
            part = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            accumulator.restore(part)
