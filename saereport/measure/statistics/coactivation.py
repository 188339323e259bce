"""Which latents of the SAE fire together: correlation and overlap with all others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saereport.measure.batch import Columns, SortedEvents, State, TrackedLatents
from saereport.measure.setting import Setting
from saereport.measure.statistics.histograms import Sums
from saereport.measure.statistics.pairs import Factors, PairTable, TokenEvents
from saereport.measure.statistics.spacing import rank_in_runs

_BLOCK_TOKENS = 1 << 15
_MOST_WAITING = 1 << 22
_MOST_HELD = 1 << 26
_CHUNK = 256
_BUCKETS = 64
_SAME = 1e-10


class Coactivation:
    """Table `coactivation`: every tracked latent against all latents of the SAE.

    A table of all pairs is as large as the square of the number of latents. Where it fits into
    `setting.coactivation_bytes` it is kept, and each block of the text (32,768 tokens, fixed by the
    sequences' numbers, whatever the batches) is multiplied out when it is complete. Where it does
    not fit, the events themselves are held, 8 bytes each, and multiplied out a few rows at a time
    when the result is asked for; only if there are more than 67 million are those so far multiplied
    out into a sparse table. Either way memory does not grow with the text for ever, and a text that
    is read from front to back gives the same bits with any batches and any checkpoints. A text that
    is read in parts and merged gives the same counts, and products that agree to rounding.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.rows = TrackedLatents(setting.latents, setting.d_sae)
        self.counted = 0
        self.sums = Sums(setting.d_sae)
        self.n_active = np.zeros(setting.d_sae, dtype=np.int64)
        self.pairs = PairTable(self.rows, setting.coactivation_bytes)
        self._held: list[TokenEvents] = []
        self._n_held = 0
        # Blocks under way: number -> sequences seen, and (token, latent, value) of their events.
        self._seen: dict[int, int] = {}
        self._events: dict[int, list[tuple[NDArray[Any], ...]]] = {}
        self._n_waiting = 0

    def update(self, prepared: SortedEvents) -> None:
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
                self._complete(block)
        self._limit_waiting()

    def _wait(self, block: int, sequences: int, *events: NDArray[Any]) -> None:
        self._seen[block] = self._seen.get(block, 0) + sequences
        self._events.setdefault(block, []).append(events)
        self._n_waiting += len(events[0])

    def _limit_waiting(self) -> None:
        """Blocks that never become complete, because parts are read elsewhere, must not pile up."""
        while self._n_waiting > _MOST_WAITING and len(self._events) > 1:
            self._complete(min(self._events))

    def _joined(self, block: int) -> tuple[NDArray[Any], ...]:
        token, latent, value = (
            np.concatenate(column) for column in zip(*self._events[block], strict=True)
        )
        if len(token) and (np.diff(token) < 0).any():
            order = np.lexsort((latent, token))
            token, latent, value = token[order], latent[order], value[order]
        return token, latent, value

    def _complete(self, block: int) -> None:
        joined = self._joined(block)
        self._n_waiting -= len(joined[0])
        del self._events[block], self._seen[block]
        self._hold(TokenEvents.of(*joined))

    def _hold(self, events: TokenEvents) -> None:
        if self.pairs.is_dense:
            self.pairs.add(events)
            return
        self._held.append(events)
        self._n_held += len(events.latent)
        if self._n_held > _MOST_HELD:
            self.pairs.add(TokenEvents.join(self._held))
            self._held, self._n_held = [], 0

    def merge(self, other: Coactivation) -> None:
        """Take in another part of the text."""
        self.counted += other.counted
        self.n_active += other.n_active
        self.sums.merge(other.sums)
        self.pairs.merge(other.pairs)
        for events in other._held:
            self._hold(events)
        for block in sorted(other._events):
            self._wait(block, other._seen[block], *other._joined(block))
        self._limit_waiting()

    def result(self, latents: NDArray[Any], peers: Mapping[str, Any]) -> dict[str, Columns]:
        """The most co-active latents of some of the tracked ones, by `jaccard` and `pearson`.

        Only latents that were active together on at least `setting.coactive_floor` tokens are
        listed: of fewer, either figure says more about chance than about the latents. Ties go to
        the smaller index; correlations that differ by less than `_SAME` are ties, since rounding
        depends on the way in which the products were added. Where one of the two is constant over
        the whole text there is no correlation: it is given as 0 and not listed by it.
        """
        for block in sorted(self._events):
            self._complete(block)
        factors = Factors(self.rows, TokenEvents.join(self._held)) if self._held else None
        rows = self.rows.chosen(latents)
        total, squares = self.sums.totals(np.arange(self.rows.d_sae))
        spread = np.sqrt(np.maximum(self.counted * squares - total * total, 0))
        parts = [
            self._listed(rows[at : at + _CHUNK], factors, total, spread)
            for at in range(0, max(len(rows), 1), _CHUNK)
        ]
        table = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        table["order"] = np.array(["jaccard", "pearson"])[table["order"]].tolist()
        return {"coactivation": table}

    def _listed(
        self,
        rows: NDArray[np.int32],
        factors: Factors | None,
        total: NDArray[np.float64],
        spread: NDArray[np.float64],
    ) -> Columns:
        latents = self.rows.latents[rows]
        row, other, both, products = self.pairs.of(rows, factors)
        often = both >= self.setting.coactive_floor
        row, other, both, products = row[often], other[often], both[often], products[often]
        latent = latents[row]
        different = latent != other
        either = self.n_active[latent] + self.n_active[other] - both
        jaccard = np.where(different, both / np.maximum(either, 1), -np.inf)
        scale = spread[latent] * spread[other]
        defined = different & (scale > 0)
        covariance = self.counted * products - total[latent] * total[other]
        pearson = np.clip(covariance / np.where(defined, scale, 1.0), -1.0, 1.0)
        ranked = np.where(defined, pearson, -np.inf)
        start = np.searchsorted(row, np.arange(len(rows) + 1))
        n = self.setting.coactive
        lists = [_best(v, start, row, other, n, s) for v, s in ((jaccard, 0.0), (ranked, _SAME))]
        order = np.repeat([0, 1], [len(lists[0][0]), len(lists[1][0])])
        pair, rank = (np.concatenate(column) for column in zip(*lists, strict=True))
        final = np.lexsort((rank, order, row[pair]))
        pair = pair[final]
        return {
            "latent": latent[pair].astype(np.int32),
            "order": order[final],
            "rank": rank[final].astype(np.int32),
            "other": other[pair].astype(np.int32),
            "n_both": both[pair],
            "pearson": np.where(defined[pair], pearson[pair], 0.0),
            "jaccard": jaccard[pair],
        }

    def state(self) -> State:
        """Pairs, sums, and the events that are held or wait, as arrays."""
        blocks = np.array(sorted(self._events), dtype=np.int64)
        joined = [self._joined(int(block)) for block in blocks]
        kinds = (np.int64, np.int32, np.float32)
        waiting = [
            np.concatenate([np.zeros(0, dtype=kind), *(part[i] for part in joined)])
            for i, kind in enumerate(kinds)
        ]
        held = TokenEvents.join(self._held)
        parts = {"sums": self.sums.state(), "pairs": self.pairs.state()}
        flat = {f"{part}.{name}": a for part, arrays in parts.items() for name, a in arrays.items()}
        return {
            "counted": np.array(self.counted, dtype=np.int64),
            "n_active": self.n_active,
            "held_lengths": held.lengths,
            "held_latent": held.latent,
            "held_value": held.value,
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
        held = [state[f"held_{name}"].copy() for name in ("lengths", "latent", "value")]
        self._held = [TokenEvents(*held)] if len(held[0]) else []
        self._n_held = len(held[1])
        self._seen, self._events, self._n_waiting = {}, {}, 0
        stops = np.cumsum(state["lengths"])
        columns = [state[name].copy() for name in ("token", "event_latent", "value")]
        for i, block in enumerate(state["blocks"]):
            span = slice(int(stops[i] - state["lengths"][i]), int(stops[i]))
            self._wait(int(block), int(state["seen"][i]), *(column[span] for column in columns))


def _best(
    values: NDArray[np.float64],
    start: NDArray[np.int64],
    row: NDArray[np.int64],
    column: NDArray[np.int64],
    n: int,
    same: float = 0.0,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The n largest finite values of each row, ties to the smaller column.

    Args:
        values: Value of each entry, rows one after the other.
        start: Where each row begins, and the end.
        row: Row of each entry.
        column: Column of each entry.
        n: How many.
        same: Neighbours in the order of values that are this near to one another are ties.

    Returns:
        Indices of the entries, and their rank in their row.

    Rows are cut into buckets; the n-th largest of the buckets' maxima is a floor under the n-th
    largest entry, and only entries above it need sorting.
    """
    floor = np.full(len(start) - 1, -np.inf)
    lengths = np.diff(start)
    long = np.flatnonzero(lengths >= _BUCKETS)
    if len(long) and 0 < n <= _BUCKETS:
        inside = lengths[long, None] * np.arange(_BUCKETS + 1) // _BUCKETS
        cuts = start[long, None] + inside
        # Between two long rows there may be short ones: reduce up to each row's own end only.
        maxima = np.maximum.reduceat(np.append(values, -np.inf), cuts.reshape(-1))
        maxima = maxima.reshape(len(long), _BUCKETS + 1)[:, :-1]
        floor[long] = np.partition(maxima, _BUCKETS - n, axis=1)[:, _BUCKETS - n]
    chosen = np.flatnonzero((values >= floor[row] - same) & np.isfinite(values))
    chosen = chosen[np.lexsort((column[chosen], -values[chosen], row[chosen]))]
    if same and len(chosen):
        apart = (values[chosen][:-1] - values[chosen][1:] > same) | np.diff(row[chosen]).astype(
            bool
        )
        step = np.concatenate([[0], np.cumsum(apart)])
        chosen = chosen[np.lexsort((column[chosen], step))]
    rank = rank_in_runs(row[chosen])
    kept = rank < n
    return chosen[kept], rank[kept]
