"""Which latents of the SAE fire together: correlation and overlap with all others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saereport.measure.batch import Columns, Prepared, Rows, State
from saereport.measure.histograms import Sums
from saereport.measure.pairs import PairTable
from saereport.measure.setting import Setting
from saereport.measure.spacing import rank_in_runs

_BLOCK_TOKENS = 1 << 15
_MOST_WAITING = 1 << 23
_CHUNK = 256


class Coactivation:
    """Table `coactivation`: every tracked latent against all latents of the SAE.

    Events wait until a block of the text is complete (32,768 tokens, fixed by the sequences'
    numbers, whatever the batches); then the block's events are multiplied out and added to a table
    of pairs. Hence a text that is read from front to back gives the same bits with any batches and
    any checkpoints; a text read in parts and merged gives the same counts, and products that agree
    to rounding.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.rows = Rows(setting.latents, setting.d_sae)
        self.counted = 0
        self.sums = Sums(setting.d_sae)
        self.n_active = np.zeros(setting.d_sae, dtype=np.int64)
        self.pairs = PairTable(self.rows, setting.coactivation_bytes)
        # Blocks under way: number -> [sequences seen, (token, latent, value) of their events]
        self._seen: dict[int, int] = {}
        self._events: dict[int, list[tuple[NDArray[Any], ...]]] = {}
        self._n_waiting = 0

    def update(self, prepared: Prepared) -> None:
        """Take in one batch."""
        batch = prepared.batch
        n, context = batch.tokens.shape
        self.counted += batch.n_counted
        self.n_active += np.bincount(batch.latent, minlength=len(self.n_active))
        if len(batch.latent):
            self.sums.add(batch.latent, batch.value.view(np.int32))
        size = max(1, _BLOCK_TOKENS // context)
        token = batch.sequence.astype(np.int64) * context + batch.position
        first, last = batch.first // size, (batch.first + n - 1) // size
        for block in range(first, last + 1):
            start, stop = max(block * size, batch.first), min((block + 1) * size, batch.first + n)
            a, b = np.searchsorted(batch.sequence, [start, stop])
            self._wait(block, stop - start, token[a:b], batch.latent[a:b], batch.value[a:b])
            if self._seen[block] >= size:
                self._multiply(block)
        while self._n_waiting > _MOST_WAITING:
            self._multiply(min(self._events))

    def _wait(self, block: int, sequences: int, *events: NDArray[Any]) -> None:
        self._seen[block] = self._seen.get(block, 0) + sequences
        self._events.setdefault(block, []).append(events)
        self._n_waiting += len(events[0])

    def _joined(self, block: int) -> tuple[NDArray[Any], ...]:
        token, latent, value = (
            np.concatenate(column) for column in zip(*self._events[block], strict=True)
        )
        if len(token) and (np.diff(token) < 0).any():
            order = np.lexsort((latent, token))
            token, latent, value = token[order], latent[order], value[order]
        return token, latent, value

    def _multiply(self, block: int) -> None:
        token, latent, value = self._joined(block)
        self._n_waiting -= len(token)
        del self._events[block], self._seen[block]
        self.pairs.add(token, latent, value)

    def merge(self, other: Coactivation) -> None:
        """Take in another part of the text."""
        self.counted += other.counted
        self.n_active += other.n_active
        self.sums.merge(other.sums)
        self.pairs.merge(other.pairs)
        for block in sorted(other._events):
            self._wait(block, other._seen[block], *other._joined(block))
        while self._n_waiting > _MOST_WAITING:
            self._multiply(min(self._events))

    def result(self, latents: NDArray[Any], peers: Mapping[str, Any]) -> dict[str, Columns]:
        """The most co-active latents of some of the tracked ones, by `jaccard` and `pearson`.

        Only latents that were active together at least once are listed; ties go to the smaller
        index. Where one of the two is constant over the whole text there is no correlation: it is
        given as 0 and not listed by it.
        """
        for block in sorted(self._events):
            self._multiply(block)
        rows = self.rows.chosen(latents)
        everyone = np.arange(self.rows.d_sae)
        total, squares = self.sums.totals(everyone)
        variance = self.counted * squares - total * total
        parts = [
            self._listed(rows[at : at + _CHUNK], total, variance)
            for at in range(0, max(len(rows), 1), _CHUNK)
        ]
        table = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        table["order"] = np.array(["jaccard", "pearson"])[table["order"]].tolist()
        return {"coactivation": table}

    def _listed(
        self, rows: NDArray[np.int32], total: NDArray[Any], variance: NDArray[Any]
    ) -> Columns:
        both, products = self.pairs.dense(rows)
        latents = self.rows.latents[rows]
        both[np.arange(len(rows)), latents] = 0
        together = both > 0
        either = self.n_active[latents][:, None] + self.n_active - both
        jaccard = np.where(together, both / np.maximum(either, 1), -np.inf)
        covariance = self.counted * products - total[latents][:, None] * total
        spread = np.sqrt(np.maximum(variance[latents], 0))[:, None] * np.sqrt(
            np.maximum(variance, 0)
        )
        defined = together & (spread > 0)
        pearson = np.clip(covariance / np.where(defined, spread, 1.0), -1.0, 1.0)
        pearson = np.where(defined, pearson, -np.inf)
        lists = [_best(values, self.setting.coactive) for values in (jaccard, pearson)]
        order = np.repeat([0, 1], [len(lists[0][0]), len(lists[1][0])])
        row, other, rank = (np.concatenate(column) for column in zip(*lists, strict=True))
        final = np.lexsort((rank, order, row))
        row, other = row[final], other[final]
        correlation = pearson[row, other]
        return {
            "latent": latents[row].astype(np.int32),
            "order": order[final],
            "rank": rank[final].astype(np.int32),
            "other": other.astype(np.int32),
            "n_both": both[row, other],
            "pearson": np.where(np.isfinite(correlation), correlation, 0.0),
            "jaccard": jaccard[row, other],
        }

    def state(self) -> State:
        """Pairs, sums and the events of blocks under way, as arrays."""
        blocks = np.array(sorted(self._events), dtype=np.int64)
        joined = [self._joined(int(block)) for block in blocks]
        kinds = (np.int64, np.int32, np.float32)
        waiting = [
            np.concatenate([np.zeros(0, dtype=kind), *(part[i] for part in joined)])
            for i, kind in enumerate(kinds)
        ]
        parts = {"sums": self.sums.state(), "pairs": self.pairs.state()}
        flat = {f"{part}.{name}": a for part, arrays in parts.items() for name, a in arrays.items()}
        return {
            "counted": np.array(self.counted, dtype=np.int64),
            "n_active": self.n_active,
            "blocks": blocks,
            "seen": np.array([self._seen[int(block)] for block in blocks], dtype=np.int64),
            "lengths": np.array([len(part[0]) for part in joined], dtype=np.int64),
            "token": waiting[0],
            "event_latent": waiting[1],
            "value": waiting[2],
            **flat,
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become the accumulator whose `state` this is."""
        self.counted = int(state["counted"])
        self.n_active = state["n_active"].copy()
        for part in ("sums", "pairs"):
            prefix = part + "."
            arrays = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            getattr(self, part).restore(arrays)
        self._seen, self._events, self._n_waiting = {}, {}, 0
        stops = np.cumsum(state["lengths"])
        columns = [state[name].copy() for name in ("token", "event_latent", "value")]
        for i, block in enumerate(state["blocks"]):
            span = slice(int(stops[i] - state["lengths"][i]), int(stops[i]))
            self._wait(int(block), int(state["seen"][i]), *(column[span] for column in columns))


def _best(
    values: NDArray[np.float64], n: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Row, column and rank of each row's n largest finite values, ties to the smaller column."""
    width = values.shape[1]
    n = min(n, width)
    floor = np.partition(values, width - n, axis=1)[:, width - n, None] if n else np.inf
    row, column = np.nonzero((values >= floor) & np.isfinite(values))
    order = np.lexsort((column, -values[row, column], row))
    row, column = row[order], column[order]
    rank = rank_in_runs(row)
    kept = rank < n
    return row[kept], column[kept], rank[kept]
