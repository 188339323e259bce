"""Which latents of the SAE fire together: correlation and overlap with all others.

A table of all pairs would be as large as the square of the number of latents, and multiplying out
every token costs the square of L0. Instead every tracked latent is looked at on a sample of its own
active tokens, with the complete set of latents active on each of them: on all of its tokens while
they are few, then on every 2nd, 4th, 8th, … token of the text (`exact.levels_of`), so that latents
share the tokens of their samples. The share of its tokens on which another latent is active is
exact while all are kept; beyond, it is an unbiased estimate with a known standard error. Which
tokens are in a sample depends on the text alone, not on batches or merging.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.measure.batch import (
    SortedEvents,
    TrackedLatents,
    differs,
    flat_state,
    part_state,
)
from saereport.measure.columns import Columns, State
from saereport.measure.crossing import indices, to_device, to_host
from saereport.measure.exact import LEVELS, Powers
from saereport.measure.setting import Setting
from saereport.measure.sorting import order_by, segment_sums
from saereport.measure.statistics.histograms import Sums
from saereport.measure.statistics.spacing import rank_in_runs
from saereport.measure.waiting import Waiting
from saereport.util.ragged import Words

_WAITING = 1 << 21
_PAIRS_ON_CPU, _PAIRS = 1 << 18, 1 << 22
_BUCKETS = 64
_SAME = 1e-10
_NEW = 1 << 6  # marks the first event of a token, beside the level, which is below 32
_FIELDS = {"latent": torch.int32, "value": torch.float32, "level": torch.int8}
# Products and their squares are summed as integers of so many bits, whatever the order.
_PRODUCT_BITS, _SQUARE_BITS = 47, 23


class Coactivation:
    """Table `coactivation`: every tracked latent against all latents of the SAE.

    Kept are the events of the tokens in some latent's sample, 9 bytes each: at most
    `setting.coactive_sample` tokens a tracked latent with L0 events each, whatever the text. Needs
    the `activity` and `sae_activity` statistics as peers.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.rows = TrackedLatents(setting.latents, setting.d_sae, setting.device)
        # Where every latent is tracked, `activity` has these sums.
        self.sums = None if self.rows.everything else Sums(setting.d_sae, setting.device)
        size = (len(self.rows), LEVELS)
        self._n = torch.zeros(size, dtype=torch.int64, device=setting.device)
        self.events = Waiting(_FIELDS, setting.device, _WAITING)

    def _at_least(self) -> Tensor:
        """Active tokens of each row by level and above, int64[rows, LEVELS]."""
        return self._n.flip(1).cumsum(1).flip(1)

    def _floors(self) -> Tensor:
        """The level from which on each row's tokens are looked at, int8[rows]."""
        too_many = self._at_least() > self.setting.coactive_sample
        return too_many.sum(1).clamp_max(LEVELS - 1).to(torch.int8)

    def choose(self, prepared: SortedEvents) -> None:
        """Ask for the events of tokens that are in some latent's sample."""
        batch = prepared.batch
        place = prepared.wide_row * LEVELS + prepared.level
        self._n.view(-1).scatter_add_(0, place, torch.ones_like(place))
        looked_at = prepared.level >= self._floors().index_select(0, prepared.row)
        token = torch.zeros(batch.tokens.numel(), dtype=torch.int32, device=batch.device)
        token.scatter_add_(0, prepared.flat.to(torch.int64), looked_at.to(torch.int32))
        prepared.want("coactivation", token.index_select(0, batch.flat) > 0)

    def update(self, prepared: SortedEvents) -> None:
        """Take in one batch."""
        batch = prepared.batch
        if self.sums is not None and len(batch.value):
            bits = batch.value.view(torch.int32)
            self.sums.add(batch.latent.to(torch.int64), bits, batch.bits)
        events = prepared.picked("coactivation")
        if not len(events):
            return
        flat = batch.flat.index_select(0, events)
        level = batch.level.index_select(0, flat)
        level.narrow(0, 0, 1).bitwise_or_(_NEW)
        level.narrow(0, 1, len(level) - 1).bitwise_or_(differs(flat).to(torch.int8) * _NEW)
        self.events.add(
            {
                "latent": batch.latent.index_select(0, events),
                "value": batch.value.index_select(0, events),
                "level": level,
            }
        )
        if self.events.due:
            self.compact()

    def compact(self, *, floors_rose: bool = False) -> None:
        """Drop the tokens that have left every sample."""
        if not (self.events.anything or floors_rose):
            return
        self.events.thin(lambda columns: (columns["level"] & _NEW) > 0, self._on_sampled_tokens)

    def _on_sampled_tokens(self, columns: Mapping[str, Tensor]) -> Tensor:
        """The events of tokens of which some event is in a sample, of some whole tokens."""
        sampled = self._sampled(columns)
        token = _tokens(columns["level"])
        kept = torch.zeros(len(token), dtype=torch.bool, device=token.device)
        kept[token.index_select(0, indices(sampled))] = True
        return indices(kept.index_select(0, token))

    def _sampled(self, columns: Mapping[str, Tensor]) -> Tensor:
        """Which events are of a tracked latent, on a token of its sample."""
        row = self.rows.of(columns["latent"])
        floor = self._floors().index_select(0, row.clamp_min(0))
        return (row >= 0) & ((columns["level"] & (_NEW - 1)) >= floor)

    def merge(self, other: Coactivation) -> None:
        """Take in another part of the text."""
        other.compact()
        if self.sums is not None and other.sums is not None:
            self.sums.merge(other.sums)
        self._n += other._n
        self.events.add(other.events.kept)
        self.compact(floors_rose=True)

    def result(self, latents: NDArray[Any], peers: Mapping[str, Any]) -> dict[str, Columns]:
        """The most co-active latents of some of the tracked ones, by `jaccard` and `pearson`.

        Only latents that were active together on at least `setting.coactive_floor` of the tokens
        looked at are listed: of fewer, either figure says more about chance than about the latents.
        Ties go to the smaller index; correlations that differ by less than `_SAME` are ties. Where
        one of the two is constant over the whole text there is no correlation: it is given as 0 and
        not listed by it.
        """
        rows = self.rows.chosen(latents)
        n_active, counted = peers["sae_activity"].n_active, peers["activity"].counted
        sums = peers["activity"].sums if self.sums is None else self.sums
        total, squares = sums.totals(np.arange(self.rows.d_sae))
        text = _Text(counted, n_active, total, squares)
        samples = self._samples(rows)
        parts = [self._listed(pairs, text) for pairs in samples.pairs(self.rows.d_sae)]
        table = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return {"coactivation": {**table, "order": Words(table["order"], ("jaccard", "pearson"))}}

    def _samples(self, rows: NDArray[np.int32]) -> _Samples:
        self.compact(floors_rose=True)
        columns = self.events.kept
        sampled = indices(self._sampled(columns))
        row = self.rows.of(columns["latent"]).index_select(0, sampled)
        _, order = torch.sort(row, stable=True)
        new = torch.nonzero((columns["level"] & _NEW) > 0).squeeze(1)
        length = torch.diff(new, append=new.new_full((1,), len(columns["level"])))
        token = _tokens(columns["level"])
        events = sampled.index_select(0, order)
        n = torch.zeros(len(self.rows), dtype=torch.int64, device=row.device)
        n.scatter_add_(0, row.to(torch.int64), torch.ones_like(row, dtype=torch.int64))
        return _Samples(
            latents=self.rows.latents,
            rows=rows,
            n_looked=to_host(n),
            events=events,
            token=token.index_select(0, events),
            new=new,
            length=length,
            latent=columns["latent"],
            value=columns["value"],
        )

    def _listed(self, pairs: _Pairs, text: _Text) -> Columns:
        often = pairs.both >= self.setting.coactive_floor
        pairs = pairs.where(often & (pairs.latent != pairs.other))
        measured = text.measure(pairs)
        ranked = np.where(measured.defined, measured.pearson, -np.inf)
        start = np.searchsorted(pairs.row, np.arange(pairs.n_rows + 1))
        n = self.setting.coactive
        lists = [
            _best(values, start, pairs.row, pairs.other, n, same)
            for values, same in ((measured.jaccard, 0.0), (ranked, _SAME))
        ]
        order = np.repeat([0, 1], [len(lists[0][0]), len(lists[1][0])])
        pair, rank = (np.concatenate(column) for column in zip(*lists, strict=True))
        final = np.lexsort((rank, order, pairs.row[pair]))
        pair = pair[final]
        return {
            "latent": pairs.latent[pair].astype(np.int32),
            "order": order[final],
            "rank": rank[final].astype(np.int32),
            "other": pairs.other[pair].astype(np.int32),
            "n_both": pairs.both[pair],
            "n_looked": pairs.looked[pair],
            "pearson": measured.pearson[pair],
            "pearson_error": measured.pearson_error[pair],
            "jaccard": measured.jaccard[pair],
            "jaccard_error": measured.jaccard_error[pair],
        }

    def state(self) -> State:
        """Counts by level, sums, and the events that are kept, as arrays."""
        self.compact()
        parts = {"events": self.events.state()}
        if self.sums is not None:
            parts["sums"] = self.sums.state()
        return {"n": to_host(self._n), **flat_state(parts)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become the accumulator whose `state` this is."""
        self._n = to_device(state["n"], self._n.device)
        self.events.restore(part_state(state, "events"))
        if self.sums is not None:
            self.sums.restore(part_state(state, "sums"))


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Pairs of latents that were active together on tokens that were looked at.

    Attributes:
        n_rows: How many reported latents this is about.
        row: Which of them, from 0, ascending.
        latent, other: The two latents.
        both: Tokens of the sample on which both are active.
        looked: Tokens of the sample.
        product, square: Sums over these of the product of the activations, and of its square.
    """

    n_rows: int
    row: NDArray[np.int64]
    latent: NDArray[np.int64]
    other: NDArray[np.int64]
    both: NDArray[np.int64]
    looked: NDArray[np.int64]
    product: NDArray[np.float64]
    square: NDArray[np.float64]

    def where(self, chosen: NDArray[np.bool_]) -> _Pairs:
        """Some of the pairs."""
        names = ("row", "latent", "other", "both", "looked", "product", "square")
        return _Pairs(self.n_rows, *(getattr(self, name)[chosen] for name in names))


@dataclass(frozen=True, eq=False)
class _Measured:
    """What is said of pairs; `defined` where there is a correlation."""

    jaccard: NDArray[np.float64]
    jaccard_error: NDArray[np.float64]
    pearson: NDArray[np.float64]
    pearson_error: NDArray[np.float64]
    defined: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Text:
    """What is known of each latent over the whole text: float64 or int64[d_sae].

    Attributes:
        counted: Counted tokens.
        n_active: Active tokens.
        total, squares: Sums of the activations and of their squares.
    """

    counted: int
    n_active: NDArray[np.int64]
    total: NDArray[np.float64]
    squares: NDArray[np.float64]

    def measure(self, pairs: _Pairs) -> _Measured:
        """Overlap and correlation, with standard errors that are 0 where every token was kept.

        With p the share of a latent's looked-at tokens on which the other is active too, n times p
        estimates their common tokens; its error is that of a share in a sample of `looked` tokens
        without replacement out of the n. The correlation has the mean product in place of p.
        """
        n, other = self.n_active[pairs.latent], self.n_active[pairs.other]
        looked = pairs.looked
        share = pairs.both / looked
        both = n * pairs.both / looked
        either = n + other - both
        jaccard = both / np.maximum(either, 1)
        # Of a sample that is the whole there is no error: the correction is 0.
        left_out = np.maximum(1 - looked / np.maximum(n, 1), 0)
        correction = np.sqrt(left_out / np.maximum(looked - 1, 1))
        share_error = np.sqrt(share * (1 - share)) * correction
        jaccard_error = n * (n + other) / np.maximum(either, 1.0) ** 2 * share_error
        spread = np.sqrt(np.maximum(self.counted * self.squares - self.total**2, 0))
        scale = spread[pairs.latent] * spread[pairs.other]
        defined = scale > 0
        scale = np.where(defined, scale, 1.0)
        mean = pairs.product / looked
        variance = np.maximum(pairs.square / looked - mean**2, 0)
        expected = self.total[pairs.latent] * self.total[pairs.other]
        pearson = (self.counted * (n * mean) - expected) / scale
        pearson_error = self.counted * n * np.sqrt(variance) * correction / scale
        return _Measured(
            jaccard=jaccard,
            jaccard_error=jaccard_error,
            pearson=np.where(defined, np.clip(pearson, -1.0, 1.0), 0.0),
            pearson_error=np.where(defined, np.minimum(pearson_error, 2.0), 0.0),
            defined=defined,
        )


@dataclass(frozen=True, eq=False)
class _Samples:
    """The samples of all rows: which events they are, and the events of their tokens.

    Attributes:
        latents: Latent of each row.
        rows: Rows to report, ascending.
        n_looked: Tokens of each row's sample.
        events: The samples' own events, row after row, as indices into `latent` and `value`.
        token: The token of each of them.
        new, length: Where each token's events begin, and how many they are.
        latent, value: All events, token after token.
    """

    latents: NDArray[np.int64]
    rows: NDArray[np.int32]
    n_looked: NDArray[np.int64]
    events: Tensor
    token: Tensor
    new: Tensor
    length: Tensor
    latent: Tensor
    value: Tensor

    def pairs(self, d_sae: int) -> Iterator[_Pairs]:
        """The pairs of all reported rows, some millions of common tokens at a time."""
        start = np.concatenate([[0], np.cumsum(self.n_looked)])
        cost = torch.cumsum(self.length.index_select(0, self.token), 0)
        running = np.concatenate([[0], to_host(cost)])
        exponent = self._exponents(d_sae)
        most = _PAIRS_ON_CPU if self.value.device.type == "cpu" else _PAIRS
        at = 0
        while at < max(len(self.rows), 1):
            stop, spent = at, 0
            while stop < len(self.rows) and (stop == at or spent <= most):
                row = self.rows[stop]
                spent += int(running[start[row + 1]] - running[start[row]])
                stop += 1
            yield self._pairs(self.rows[at:stop], start, exponent)
            at = max(stop, at + 1)

    def _exponents(self, d_sae: int) -> Tensor:
        """The smallest power of two above all kept activations of each latent, int64[d_sae].

        Of integers for the sums of products, so that they come out the same in every order.
        """
        largest = torch.zeros(d_sae, dtype=torch.float32, device=self.value.device)
        largest.scatter_reduce_(0, self.latent.to(torch.int64), self.value, "amax")
        return torch.frexp(largest)[1].to(torch.int64)

    def _pairs(self, rows: NDArray[np.int32], start: NDArray[np.int64], exponent: Tensor) -> _Pairs:
        device, d_sae = self.value.device, len(exponent)
        spans = [np.arange(start[row], start[row + 1]) for row in rows]
        index = to_device(np.concatenate([np.zeros(0, dtype=np.int64), *spans]), device)
        lengths = np.array([len(span) for span in spans], dtype=np.int64)
        number = to_device(np.repeat(np.arange(len(rows)), lengths), device)
        token = self.token.index_select(0, index)
        length = self.length.index_select(0, token)
        # Each event of the sample beside every event of its token.
        times = torch.repeat_interleave(length)
        first = self.new.index_select(0, token) - (torch.cumsum(length, 0) - length)
        beside = torch.arange(len(times), device=device) + first.index_select(0, times)
        own = self.events.index_select(0, index).index_select(0, times)
        other = self.latent.index_select(0, beside).to(torch.int64)
        key = number.index_select(0, times) * d_sae + other
        order = order_by(key, len(rows) * d_sae)
        key = key.index_select(0, order)
        own, beside = own.index_select(0, order), beside.index_select(0, order)
        product = self.value.index_select(0, own).to(torch.float64) * self.value.index_select(
            0, beside
        )
        latent = self.latent.index_select(0, own).to(torch.int64)
        shift = exponent.index_select(0, latent) + exponent.index_select(0, key % d_sae)
        unit = product * Powers(device).of(_PRODUCT_BITS - shift)
        new = torch.ones(len(key), dtype=torch.bool, device=device)
        new[1:] = key[1:] != key[:-1]
        begin = torch.nonzero(new).squeeze(1)
        end = torch.cat([begin[1:], begin.new_full((1,), len(key))])[: len(begin)]
        square = (unit * 2.0 ** (_SQUARE_BITS - _PRODUCT_BITS)) ** 2
        sums = [segment_sums(x.round().to(torch.int64), begin) for x in (unit, square)]
        found = key.index_select(0, begin)
        scale = shift.index_select(0, begin).to(torch.float64)
        row, other_latent, power = (to_host(x) for x in (found // d_sae, found % d_sae, scale))
        power = power.astype(np.int64)
        mine = rows[row]
        return _Pairs(
            n_rows=len(rows),
            row=row,
            latent=self.latents[mine],
            other=other_latent,
            both=to_host(end - begin),
            looked=self.n_looked[mine],
            product=np.ldexp(to_host(sums[0]).astype(np.float64), power - _PRODUCT_BITS),
            square=np.ldexp(to_host(sums[1]).astype(np.float64), 2 * (power - _SQUARE_BITS)),
        )


def _tokens(level: Tensor) -> Tensor:
    """The number of each event's token, counted from 0; int32, which halves what is moved."""
    return torch.cumsum((level & _NEW) > 0, 0, dtype=torch.int32) - 1


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
