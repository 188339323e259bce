"""Which tokens a latent fires on.

The pairs (latent, token of the vocabulary) grow with the text. A latent that fires on more tokens
than it has room for is counted on a part of the text: on every 2nd, 4th, 8th, … token, chosen by
the tokens' places alone (`exact.levels_of`), so that all its figures are exact ones of that part,
and which part it is does not depend on batches or merging. (Gibbons, "Distinct sampling for highly
accurate answers to distinct values queries", 2001, samples by levels in this way.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.measure.batch import SortedEvents, TrackedLatents, differs
from saereport.measure.columns import Columns, State
from saereport.measure.crossing import indices, to_device, to_host
from saereport.measure.exact import LEVELS, significand
from saereport.measure.setting import Setting
from saereport.measure.sorting import segment_sums
from saereport.measure.statistics.floats import scale
from saereport.measure.statistics.spacing import rank_in_runs
from saereport.measure.waiting import Waiting
from saereport.util.ragged import Words

_WAITING = 1 << 22
_CHUNK = 512
_FIELDS = {"key": torch.int64, "count": torch.int32, "sum": torch.int64}
_SHIFT = 10  # bits of a key below (row, token): five of the level, five of the exponent
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

    Keeps a count and a sum for every (latent, token, level) that occurred: 20 bytes each, one or
    two entries for each. An entry is also keyed by the activation's exponent divided by 8, so that
    its sum is one of integers: exact below 2^31 events. A latent with more than
    `setting.token_entries` entries gives up those of the lowest levels: its floor rises to the
    lowest level from which on its entries fit, which is a function of the events alone.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.rows = TrackedLatents(setting.latents, setting.d_sae, setting.device)
        size = (LEVELS, setting.d_vocab)
        self._occurred = torch.zeros(size, dtype=torch.int64, device=setting.device)
        self._floor = torch.zeros(len(self.rows), dtype=torch.int8, device=setting.device)
        self.entries = Waiting(_FIELDS, setting.device, _WAITING)

    def choose(self, prepared: SortedEvents) -> None:
        """Ask for the events on tokens of a level that the latent still counts."""
        floor = self._floor.index_select(0, prepared.row)
        prepared.want("tokens", prepared.level >= floor)

    def update(self, prepared: SortedEvents) -> None:
        """Take in one batch."""
        batch, vocabulary = prepared.batch, self._occurred.shape[1]
        token = batch.tokens.reshape(-1).to(torch.int64)
        counts = batch.counted.reshape(-1).to(torch.int64)
        place = batch.level.to(torch.int64) * vocabulary + token
        self._occurred.view(-1).scatter_add_(0, place, counts)
        events = prepared.picked("tokens")
        if not len(events):
            return
        flat = prepared.flat.index_select(0, events)
        exponent, integer = significand(prepared.bits.index_select(0, events))
        row = prepared.row.index_select(0, events).to(torch.int64)
        pair = row * vocabulary + token.index_select(0, flat)
        level = batch.level.index_select(0, flat)
        self.entries.add(
            {
                "key": (pair << _SHIFT) | (level.to(torch.int64) << 5) | (exponent >> 3),
                "count": torch.ones_like(flat),
                "sum": integer << (exponent & 7),
            }
        )
        if self.entries.due:
            self.compact()

    def compact(self, *, floors_rose: bool = False) -> None:
        """Add up entries of one key, and let the floors rise where there are too many."""
        if self.entries.anything or floors_rose:
            per_row = self._occurred.shape[1] << _SHIFT
            self.entries.rework("key", len(self.rows), self._added_up, per_row)

    def _added_up(self, columns: Mapping[str, Tensor], first: int, stop: int) -> dict[str, Tensor]:
        """The entries of some rows, one for each key, that are not below the rows' floors."""
        found = _added_up(columns)
        key = found["key"]
        level = (key >> 5) & (LEVELS - 1)
        row = (key >> _SHIFT) // self._occurred.shape[1] - first
        n = torch.zeros((stop - first) * LEVELS, dtype=torch.int64, device=key.device)
        n.scatter_add_(0, row * LEVELS + level, torch.ones_like(key))
        at_least = n.view(-1, LEVELS).flip(1).cumsum(1)
        risen = (at_least > self.setting.token_entries).sum(1).to(torch.int8)
        floor = self._floor[first:stop]
        floor.copy_(torch.maximum(floor, risen.clamp_max(LEVELS - 1)))
        kept = indices(level >= floor.index_select(0, row))
        return {name: column.index_select(0, kept) for name, column in found.items()}

    def merge(self, other: TokenStatistics) -> None:
        """Add another part of the text."""
        other.compact()
        self._occurred += other._occurred
        self._floor = torch.maximum(self._floor, other._floor)
        self.entries.add(other.entries.kept)
        self.compact(floors_rose=True)

    def result(self, latents: NDArray[Any], peers: Mapping[str, Any]) -> dict[str, Columns]:
        """The best tokens of some of the tracked latents.

        By `share` (ties by token id) and by `lift_low`, the lower end of the 95 % interval of the
        lift (ties by `n_active`, largest first, then token id). A latent that was never active has
        no rows. `sampled` is the share of the text's tokens on which a latent was counted; all
        other figures are of these tokens.
        """
        self.compact()
        rows = self.rows.chosen(latents)
        state = self.state()
        occurred = np.cumsum(state["occurred"][::-1], axis=0)[::-1]
        parts = [
            self._listed(rows[at : at + _CHUNK], state, occurred)
            for at in range(0, max(len(rows), 1), _CHUNK)
        ]
        merged = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return {"token_statistics": {**merged, "order": Words(merged["order"], ("lift", "share"))}}

    def _listed(self, rows: NDArray[np.int32], state: State, occurred: NDArray[Any]) -> Columns:
        pairs = self._pairs(rows, state)
        row, token, active, total = (pairs[n] for n in ("row", "token", "n_active", "total"))
        row_active = np.bincount(row, weights=active, minlength=len(self.rows))
        row_total = np.bincount(row, weights=total, minlength=len(self.rows))
        floor = state["floor"].astype(np.int64)[row]
        n_token = occurred[floor, token]
        at_level = occurred.sum(axis=1)
        counted = np.maximum(at_level[floor], 1)
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
            "sampled": counted[chosen] / max(int(at_level[0]), 1),
        }

    def _pairs(self, rows: NDArray[np.int32], state: State) -> dict[str, NDArray[Any]]:
        """Count and total activation of every (row, token) of some rows, in that order."""
        vocabulary = self._occurred.shape[1]
        width = vocabulary << _SHIFT
        first = np.searchsorted(state["key"], rows.astype(np.int64) * width)
        last = np.searchsorted(state["key"], (rows.astype(np.int64) + 1) * width)
        lengths = last - first
        offset = np.cumsum(lengths) - lengths
        at = np.arange(int(lengths.sum())) + np.repeat(first - offset, lengths)
        keys = state["key"][at]
        pair = keys >> _SHIFT
        start = np.flatnonzero(np.concatenate([[True], pair[1:] != pair[:-1]])) if len(pair) else at
        count = state["count"][at].astype(np.int64)
        active = np.add.reduceat(count, start) if len(pair) else count
        # The sums of one unit first, as integers: their total must not depend on the levels.
        unit = (pair << 5) | (keys & 31)
        order = np.argsort(unit, kind="stable")
        unit, sums = unit[order], state["sum"][at][order]
        total = np.zeros(0)
        if len(pair):
            of_unit = np.flatnonzero(np.concatenate([[True], unit[1:] != unit[:-1]]))
            scaled = np.add.reduceat(sums, of_unit) * scale((unit[of_unit] & 31) << 3)
            pair_of = unit[of_unit] >> 5
            new = np.flatnonzero(np.concatenate([[True], pair_of[1:] != pair_of[:-1]]))
            total = np.add.reduceat(scaled, new)
        row, token = np.divmod(pair[start], vocabulary)
        return {"row": row, "token": token, "n_active": active, "total": total}

    def state(self) -> State:
        """Entries, floors and token counts as arrays."""
        self.compact()
        return {
            "occurred": to_host(self._occurred),
            "floor": to_host(self._floor),
            **self.entries.state(),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become the accumulator whose `state` this is."""
        device = self._floor.device
        self._occurred = to_device(state["occurred"], device)
        self._floor = to_device(state["floor"], device)
        self.entries.restore(state)


def _added_up(columns: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """One entry for each key; counts and sums added.

    Args:
        columns: `key` (ascending), `count`, `sum`.
    """
    key = columns["key"]
    new = torch.ones(len(key), dtype=torch.bool, device=key.device)
    new[1:] = differs(key)
    start = indices(new)
    found = {"key": key.index_select(0, start)}
    for name in ("count", "sum"):
        found[name] = segment_sums(columns[name], start).to(columns[name].dtype)
    return found
