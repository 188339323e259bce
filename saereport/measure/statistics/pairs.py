"""A table of pairs of latents: tokens on which both were active, and sums of their products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from saereport.measure.batch import State, TrackedLatents

_PAIRS = 1 << 20
_PRODUCT_CELLS = 1 << 24


@dataclass(frozen=True, eq=False)
class TokenEvents:
    """The events of some tokens, without saying which tokens these were.

    Attributes:
        lengths: Number of events of each token that has any, int32[t].
        latent: Index into the dictionary, ascending within a token, int32[m].
        value: Activation, float32[m].
    """

    lengths: NDArray[np.int32]
    latent: NDArray[np.int32]
    value: NDArray[np.float32]

    @classmethod
    def of(cls, token: NDArray[Any], latent: NDArray[Any], value: NDArray[Any]) -> TokenEvents:
        """From events in order of (token, latent); `token` is any number for each one's token."""
        new = np.flatnonzero(token[1:] != token[:-1]) + 1
        start = np.concatenate([np.zeros(min(len(token), 1), dtype=np.int64), new, [len(token)]])
        return cls(np.diff(start).astype(np.int32), latent, value)

    @classmethod
    def join(cls, parts: Sequence[TokenEvents]) -> TokenEvents:
        """All events of several sets of tokens."""
        return cls(
            np.concatenate([np.zeros(0, dtype=np.int32), *(part.lengths for part in parts)]),
            np.concatenate([np.zeros(0, dtype=np.int32), *(part.latent for part in parts)]),
            np.concatenate([np.zeros(0, dtype=np.float32), *(part.value for part in parts)]),
        )

    @property
    def start(self) -> NDArray[np.int64]:
        """Where each token's events begin, and the end."""
        return np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])


class Factors:
    """The two factors of the pair table of some events: [rows, tokens] and [tokens, d_sae]."""

    def __init__(self, rows: TrackedLatents, events: TokenEvents) -> None:
        weights = events.value.astype(np.float64)
        ones = np.ones(len(weights), dtype=np.int32)
        shape = (len(events.lengths), rows.d_sae)
        self._right = [
            sparse.csr_array((data, events.latent, events.start), shape=shape)
            for data in (ones, weights)
        ]
        row = rows.of(events.latent)
        kept = np.flatnonzero(row >= 0)
        token = np.repeat(np.arange(len(events.lengths)), events.lengths)
        self._left = [
            sparse.coo_array((data[kept], (row[kept], token[kept])), (len(rows), shape[0])).tocsr()
            for data in (ones, weights)
        ]

    def product(self, rows: NDArray[Any] | slice) -> tuple[Any, Any]:
        """Counts and products of some rows, as sparse matrices [len(rows), d_sae]."""
        both, products = (a[rows] @ b for a, b in zip(self._left, self._right, strict=True))
        return both, products


class PairTable:
    """Counts int64 and products float64 of [tracked latents, all latents].

    Args:
        rows: The tracked latents.
        dense_bytes: The table is held as two dense arrays when they fit into this many bytes, else
            as sparse matrices: 24 bytes for every pair that was ever active together.
    """

    def __init__(self, rows: TrackedLatents, dense_bytes: int) -> None:
        self.rows = rows
        shape = (len(rows), rows.d_sae)
        self.is_dense = shape[0] * shape[1] * 16 <= dense_bytes
        self._step = max(1, _PRODUCT_CELLS // max(rows.d_sae, 1))
        self._parts: list[tuple[Any, Any]] = []
        if self.is_dense:
            self._both = np.zeros(shape, dtype=np.int64)
            self._products = np.zeros(shape, dtype=np.float64)

    def _spans(self) -> list[tuple[int, int]]:
        n = len(self.rows)
        return [(at, min(at + self._step, n)) for at in range(0, n, self._step)]

    def add(self, events: TokenEvents) -> None:
        """Multiply out the events of some tokens and add them."""
        if not len(events.latent):
            return
        if self.is_dense and self.rows.everything:
            self._add_triangle(events)
            return
        factors = Factors(self.rows, events)
        new = [factors.product(slice(*span)) for span in self._spans()]
        if self.is_dense:
            for (first, stop), (both, products) in zip(self._spans(), new, strict=True):
                _add_dense(self._both[first:stop], both)
                _add_dense(self._products[first:stop], products)
        else:
            self._add_parts([(both.astype(np.int64), products) for both, products in new])

    def _add_parts(self, new: list[tuple[Any, Any]]) -> None:
        old = self._parts
        self._parts = (
            [(a[0] + b[0], a[1] + b[1]) for a, b in zip(old, new, strict=True)]
            if old and new
            else old or new
        )

    def _add_triangle(self, events: TokenEvents) -> None:
        """Write out every pair (earlier, later) of one token's events: half of a matrix product."""
        latent, weights = events.latent, events.value.astype(np.float64)
        stop = np.repeat(events.start[1:], events.lengths)
        after = stop - np.arange(1, len(stop) + 1)
        total = np.cumsum(after)
        both, products = self._both.reshape(-1), self._products.reshape(-1)
        cut = 0
        while cut < len(after):
            done = int(total[cut - 1]) if cut else 0
            end = max(int(np.searchsorted(total, done + _PAIRS, side="right")), cut + 1)
            n = after[cut:end]
            first = np.repeat(np.arange(cut, end), n)
            second = np.arange(len(first)) + np.repeat(
                np.arange(cut, end) + 1 - (total[cut:end] - n - done), n
            )
            pair = latent[first].astype(np.int64) * self.rows.d_sae + latent[second]
            np.add.at(both, pair, 1)
            np.add.at(products, pair, weights[first] * weights[second])
            cut = end

    def merge(self, other: PairTable) -> None:
        """Add another table of the same rows."""
        if self.is_dense:
            self._both += other._both
            self._products += other._products
        else:
            self._add_parts(other._parts)

    def of(
        self, rows: NDArray[Any], factors: Factors | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """The pairs of some rows that were active together.

        Args:
            rows: Rows to look at, ascending.
            factors: Events that were not added but are to be counted in.

        Returns:
            Place in `rows` (ascending) and latent of each pair, and its count and product. What is
            given for a latent with itself has no meaning.
        """
        if self.is_dense:
            both, products = self._both[rows], self._products[rows]
            if self.rows.everything:
                # Only pairs (smaller, larger) are filled: the table and its mirror image are whole.
                both = both + self._both[:, rows].T
                products = products + self._products[:, rows].T
            row, column = np.nonzero(both)
            return row, column, both[row, column], products[row, column]
        found = [] if factors is None else [factors.product(rows)]
        found += self._stored(rows)
        if not found:
            none = np.zeros(0, dtype=np.int64)
            return none, none, none, none.astype(np.float64)
        counts, sums = found[0] if len(found) == 1 else (found[0][i] + found[1][i] for i in (0, 1))
        if not np.array_equal(counts.indices, sums.indices):
            counts.sort_indices()
            sums.sort_indices()
        row = np.repeat(np.arange(len(rows)), np.diff(counts.indptr))
        return row, counts.indices.astype(np.int64), counts.data.astype(np.int64), sums.data

    def _stored(self, rows: NDArray[Any]) -> list[tuple[Any, Any]]:
        """What the sparse parts hold for some rows, as at most one pair of matrices."""
        found = []
        for (first, stop), part in zip(self._spans(), self._parts, strict=bool(self._parts)):
            here = rows[(rows >= first) & (rows < stop)] - first
            if len(here):
                found.append((part[0][here], part[1][here]))
        if len(found) < 2:
            return found
        return [tuple(sparse.vstack([part[i] for part in found], format="csr") for i in (0, 1))]

    def state(self) -> State:
        """The pairs that were active together: flat index, count, product."""
        if self.is_dense:
            where = np.flatnonzero(self._both)
            both = self._both.reshape(-1)[where]
            return {"where": where, "both": both, "products": self._products.reshape(-1)[where]}
        found: list[tuple[NDArray[Any], ...]] = [
            (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0))
        ]
        for (first, _), (both_part, products_part) in zip(
            self._spans(), self._parts, strict=bool(self._parts)
        ):
            both_part.sort_indices()
            products_part.sort_indices()
            row = np.repeat(np.arange(both_part.shape[0]), np.diff(both_part.indptr)) + first
            where = row.astype(np.int64) * self.rows.d_sae + both_part.indices
            found.append((where, both_part.data, products_part.data))
        columns = [np.concatenate(column) for column in zip(*found, strict=True)]
        return dict(zip(("where", "both", "products"), columns, strict=True))

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become the table whose `state` this is."""
        if self.is_dense:
            for table, name in ((self._both, "both"), (self._products, "products")):
                table[...] = 0
                table.reshape(-1)[state["where"]] = state[name]
            return
        row, column = np.divmod(state["where"], self.rows.d_sae)
        parts = []
        for first, stop in self._spans() if len(row) else ():
            a, b = np.searchsorted(row, [first, stop])
            start = np.searchsorted(row[a:b], np.arange(first, stop + 1))
            shape = (stop - first, self.rows.d_sae)
            both, products = (
                sparse.csr_array((state[name][a:b].copy(), column[a:b], start), shape=shape)
                for name in ("both", "products")
            )
            parts.append((both, products))
        self._parts = parts


def _add_dense(table: NDArray[Any], part: Any) -> None:
    """Add a sparse matrix to a dense array in place."""
    if part.nnz * 8 > table.size:
        table += part.toarray()
        return
    row = np.repeat(np.arange(part.shape[0]), np.diff(part.indptr))
    table[row, part.indices] += part.data
