"""Examples: where a latent fires most, and a random sample of where it fires at every strength."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saereport.measure.batch import SortedEvents, TrackedLatents
from saereport.measure.columns import Columns, State
from saereport.measure.setting import Setting
from saereport.measure.statistics import groups
from saereport.measure.statistics.candidates import (
    LARGEST,
    Candidates,
    Drawer,
    HostCandidates,
    by_size,
)
from saereport.measure.statistics.groups import Group
from saereport.measure.statistics.spacing import rank_in_runs, spaced
from saereport.util.ragged import Words

_SPARE = 6


class Examples:
    """Tables `examples` and `example_groups`; needs the `activity` statistic as a peer.

    Memory is bounded by the number of latents: at most `top` + (quarter octaves met) *
    (2 * examples a group + 6) candidates each, and the activations of those candidates' sequences,
    21 bytes each.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.rows = TrackedLatents(setting.latents, setting.d_sae, setting.device)
        self.reach = setting.before + setting.after
        most = max(
            setting.interval_examples if setting.intervals else 0,
            setting.quantile_examples if setting.quantile_edges else 0,
        )
        self.candidates = Candidates(
            self.rows.latents,
            setting.device,
            top=setting.top,
            reach=self.reach,
            size=2 * most + _SPARE if most else 0,
            seed=setting.seed,
        )
        self.context_size = 0

    def choose(self, prepared: SortedEvents) -> None:
        """Ask for the events around candidates."""
        self.candidates.choose(prepared)

    def update(self, prepared: SortedEvents) -> None:
        """Take in one batch of whole sequences."""
        self.context_size = max(self.context_size, prepared.batch.context)
        self.candidates.update(prepared)

    def sequences(self) -> NDArray[np.int64]:
        """The sequences that some candidate lies in, ascending: keep their tokens."""
        return self.candidates.sequences()

    def merge(self, other: Examples) -> None:
        """Take in another part of the text."""
        self.context_size = max(self.context_size, other.context_size)
        self.candidates.merge(other.candidates)

    def result(self, latents: NDArray[Any], peers: Mapping[str, Any]) -> dict[str, Columns]:
        """The two tables for some of the tracked latents.

        Examples of a group are drawn in the order of their random priorities, skipping those whose
        window overlaps one already drawn for the same group, and are then ranked by activation.
        Groups of a latent that was never active have no row.
        """
        rows = self.rows.chosen(latents)
        candidates = self.candidates.on_host()
        setting = self.setting
        intervals = quantiles = []
        if setting.intervals:
            intervals = groups.intervals(peers["activity"], rows, setting.intervals)
        if setting.quantile_edges:
            quantiles = groups.quantiles(peers["activity"], rows, setting.quantile_edges)
        names = sorted([g.name for g in (*intervals, *quantiles)] + ["top"])
        draw = candidates.drawer(rows)
        parts = [self._drawn(draw, g, setting.interval_examples) for g in intervals]
        parts += [self._drawn(draw, g, setting.quantile_examples) for g in quantiles]
        parts.append(candidates.of(LARGEST, rows))
        found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        labels = [*(g.name for g in intervals), *(g.name for g in quantiles), "top"]
        sizes = [len(part["row"]) for part in parts]
        group = np.repeat(np.array([names.index(label) for label in labels]), sizes)
        key = found["row"].astype(np.int64) * len(names) + group
        order = by_size(found, key)
        found = {name: values[order] for name, values in found.items()}
        return {
            "examples": self._table(
                candidates, found, Words(group[order], tuple(names)), rank_in_runs(key[order])
            ),
            "example_groups": self._group_table(
                [*intervals, *quantiles], rows, peers["activity"].n_active(rows)
            ),
        }

    def _drawn(self, draw: Drawer, group: Group, n: int) -> State:
        events, place = draw.within(group.lower, group.upper)
        where = draw.columns["sequence"][events], draw.columns["position"][events]
        events = events[spaced(place, *where, self.reach, n)]
        return {name: values[events] for name, values in draw.columns.items()}

    def _table(
        self, candidates: HostCandidates, found: State, group: Words, rank: NDArray[Any]
    ) -> Columns:
        positions, values = candidates.lists(found["row"], found["sequence"])
        peak = found["position"]
        stop = np.minimum(peak + self.setting.after + 1, self.context_size)
        return {
            "latent": self.rows.latents[found["row"]].astype(np.int32),
            "group": group,
            "rank": rank.astype(np.int32),
            "sequence": found["sequence"].astype(np.int64),
            "position": peak,
            "document": found["document"],
            "activation": found["value"],
            "start": np.maximum(peak - self.setting.before, 0).astype(np.int32),
            "stop": stop.astype(np.int32),
            "active_positions": positions,
            "active_values": values,
        }

    def _group_table(
        self, all_groups: list[Group], rows: NDArray[Any], total: NDArray[np.int64]
    ) -> Columns:
        ordered = sorted(all_groups, key=lambda g: g.name)
        n = (
            np.array([g.n_active for g in ordered], dtype=np.int64)
            .reshape(len(ordered), len(rows))
            .T
        )
        alive = np.flatnonzero(total > 0) if ordered else np.zeros(0, dtype=np.int64)
        lower = (
            np.array([g.lower for g in ordered], dtype=np.float32)
            .reshape(len(ordered), len(rows))
            .T
        )
        upper = (
            np.array([g.upper for g in ordered], dtype=np.float32)
            .reshape(len(ordered), len(rows))
            .T
        )
        return {
            "latent": np.repeat(self.rows.latents[rows[alive]], len(ordered)).astype(np.int32),
            "group": Words.tiled([g.name for g in ordered], len(alive)),
            "lower": lower[alive].reshape(-1),
            "upper": upper[alive].reshape(-1),
            "n_active": n[alive].reshape(-1),
            "share": (n[alive] / np.maximum(total[alive], 1)[:, None]).reshape(-1),
        }

    def state(self) -> State:
        """Candidates and their sequences' activations as arrays."""
        context_size = np.array(self.context_size, dtype=np.int64)
        return {"context_size": context_size, **self.candidates.state()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become the accumulator whose `state` this is."""
        self.context_size = int(state["context_size"])
        self.candidates.restore(state)
