"""Which tokens a latent fires on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saereport.measure.batch import Columns, SortedEvents, State, TrackedLatents
from saereport.measure.setting import Setting
from saereport.measure.statistics.floats import scale, significand
from saereport.measure.statistics.spacing import rank_in_runs

_WAITING = 1 << 20
_CHUNK = 512
_Z = 1.959963984540054  # the standard normal distribution's 97.5 % quantile


def wilson_lower(hits: NDArray[Any], trials: NDArray[Any]) -> NDArray[np.float64]:
    """The lower end of Wilson's 95 % interval of a share.

    Args:
        hits: Counts, at most `trials`.
        trials: Counts above zero.

    Returns:
        float64 of their shape, in [0, hits / trials].

    Source: Wilson (1927); Brown, Cai and DasGupta, "Interval Estimation for a Binomial Proportion"
    (2001), equation 4.
    """
    n = np.asarray(trials, dtype=np.float64)
    p = hits / n
    half = _Z * np.sqrt(p * (1 - p) / n + (_Z / (2 * n)) ** 2)
    low: NDArray[np.float64] = (p + _Z * _Z / (2 * n) - half) / (1 + _Z * _Z / n)
    return np.clip(low, 0.0, p)


class TokenStatistics:
    """Table `token_statistics`.

    Keeps a count and a sum for every (latent, token) that occurred: 24 bytes each, one or two
    entries a pair. An entry is also keyed by the activation's exponent divided by 8, so that its
    sum is one of integers: exact below 2^32 events.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.rows = TrackedLatents(setting.latents, setting.d_sae)
        self.occurred = np.zeros(setting.d_vocab, dtype=np.int64)
        self._keys = np.zeros(0, dtype=np.int64)
        self._counts = np.zeros(0, dtype=np.int64)
        self._sums = np.zeros(0, dtype=np.int64)
        self._waiting: list[tuple[NDArray[np.int64], ...]] = []
        self._n_waiting = 0

    def update(self, prepared: SortedEvents) -> None:
        """Take in one batch."""
        batch = prepared.batch
        counted = batch.tokens[batch.counted]
        self.occurred += np.bincount(counted, minlength=len(self.occurred))
        if not len(prepared.row):
            return
        token = batch.tokens.reshape(-1)[prepared.flat]
        exponent, integer = significand(prepared.bits)
        pair = prepared.row.astype(np.int64) * len(self.occurred) + token
        self._wait(pair << 5 | exponent >> 3, np.ones_like(pair), integer << (exponent & 7))

    def _wait(self, *part: NDArray[np.int64]) -> None:
        self._waiting.append(part)
        self._n_waiting += len(part[0])
        if self._n_waiting > max(_WAITING, len(self._keys)):
            self._compact()

    def _compact(self) -> None:
        if not self._waiting:
            return
        parts = [(self._keys, self._counts, self._sums), *self._waiting]
        self._waiting, self._n_waiting = [], 0
        keys, counts, sums = (np.concatenate(column) for column in zip(*parts, strict=True))
        if not len(keys):
            return
        order = np.argsort(keys)
        keys = keys[order]
        start = np.concatenate([[0], np.flatnonzero(keys[1:] != keys[:-1]) + 1])
        self._keys = keys[start]
        self._counts = np.add.reduceat(counts[order], start)
        self._sums = np.add.reduceat(sums[order], start)

    def merge(self, other: TokenStatistics) -> None:
        """Add another part of the text."""
        other._compact()
        self.occurred += other.occurred
        self._wait(other._keys, other._counts, other._sums)
        self._compact()

    def result(self, latents: NDArray[Any], peers: Mapping[str, Any]) -> dict[str, Columns]:
        """The best tokens of some of the tracked latents.

        By `share` (ties by token id) and by `lift_low`, the lower end of the 95 % interval of the
        lift (ties by `n_active`, largest first, then token id). A latent that was never active has
        no rows.
        """
        self._compact()
        rows = self.rows.chosen(latents)
        parts = [self._listed(rows[at : at + _CHUNK]) for at in range(0, len(rows), _CHUNK)]
        names = list(parts[0]) if parts else []
        merged = {name: np.concatenate([part[name] for part in parts]) for name in names}
        if not merged:
            merged = self._listed(rows)
        merged["order"] = np.array(["lift", "share"])[merged["order"]].tolist()
        return {"token_statistics": merged}

    def _listed(self, rows: NDArray[np.int32]) -> Columns:
        pairs = self._pairs(rows)
        row, token, active, total = (pairs[n] for n in ("row", "token", "n_active", "total"))
        row_active = np.bincount(row, weights=active, minlength=len(self.rows))
        row_total = np.bincount(row, weights=total, minlength=len(self.rows))
        n_token = self.occurred[token]
        counted = max(int(self.occurred.sum()), 1)
        share = total / row_total[row]
        density = row_active[row] / counted
        lift = (active / n_token) / density
        lift_low = wilson_lower(active, n_token) / density
        by_share = np.lexsort((token, -share, row))
        by_lift = np.lexsort((token, -active, -lift_low, row))
        ranks = [rank_in_runs(row[order]) for order in (by_lift, by_share)]
        kept = [rank < self.setting.tokens for rank in ranks]
        chosen = np.concatenate([by_lift[kept[0]], by_share[kept[1]]])
        rank = np.concatenate([ranks[0][kept[0]], ranks[1][kept[1]]])
        order = np.repeat([0, 1], [kept[0].sum(), kept[1].sum()])
        final = np.lexsort((rank, order, row[chosen]))
        chosen = chosen[final]
        return {
            "latent": self.rows.latents[row[chosen]].astype(np.int32),
            "order": order[final],
            "rank": rank[final].astype(np.int32),
            "token": token[chosen].astype(np.int32),
            "n_token": n_token[chosen],
            "n_active": active[chosen],
            "mean_active": total[chosen] / active[chosen],
            "share": share[chosen],
            "lift": lift[chosen],
            "lift_low": lift_low[chosen],
        }

    def _pairs(self, rows: NDArray[np.int32]) -> dict[str, NDArray[Any]]:
        """Count and total activation of every (row, token) of some rows, in that order."""
        width = len(self.occurred) << 5
        first = np.searchsorted(self._keys, rows.astype(np.int64) * width)
        last = np.searchsorted(self._keys, (rows.astype(np.int64) + 1) * width)
        lengths = last - first
        offset = np.cumsum(lengths) - lengths
        at = np.arange(int(lengths.sum())) + np.repeat(first - offset, lengths)
        keys = self._keys[at]
        pair = keys >> 5
        start = np.flatnonzero(np.concatenate([[True], pair[1:] != pair[:-1]])) if len(pair) else at
        total = self._sums[at] * scale((keys & 31) << 3)
        if len(pair):
            total = np.add.reduceat(total, start)
        row, token = np.divmod(pair[start], len(self.occurred))
        counts = self._counts[at]
        active = np.add.reduceat(counts, start) if len(pair) else counts
        return {"row": row, "token": token, "n_active": active, "total": total}

    def state(self) -> State:
        """Entries and token counts as arrays."""
        self._compact()
        return {
            "occurred": self.occurred,
            "keys": self._keys,
            "counts": self._counts,
            "sums": self._sums,
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become the accumulator whose `state` this is."""
        self.occurred = state["occurred"].copy()
        self._keys, self._counts = state["keys"].copy(), state["counts"].copy()
        self._sums = state["sums"].copy()
        self._waiting, self._n_waiting = [], 0
