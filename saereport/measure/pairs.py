"""A table of pairs of latents: tokens on which both were active, and sums of their products."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from saereport.measure.batch import Rows, State

_PRODUCT_CELLS = 1 << 24
_PAIRS = 1 << 20


class PairTable:
    """Counts int64 and products float64 of [tracked latents, all latents].

    Args:
        rows: The tracked latents.
        dense_bytes: The table is held as two dense arrays when they fit into this many bytes, else
            as sparse matrices: 24 bytes for every pair that was ever active together.
    """

    def __init__(self, rows: Rows, dense_bytes: int) -> None:
        self.rows = rows
        shape = (len(rows), rows.d_sae)
        self.is_dense = shape[0] * shape[1] * 16 <= dense_bytes
        self._step = max(1, _PRODUCT_CELLS // max(rows.d_sae, 1))
        if self.is_dense:
            self._both = np.zeros(shape, dtype=np.int64)
            self._products = np.zeros(shape, dtype=np.float64)
        else:
            self._parts = [
                (_empty(stop - start, rows.d_sae, np.int64), _empty(stop - start, rows.d_sae))
                for start, stop in self._spans()
            ]

    def _spans(self) -> list[tuple[int, int]]:
        n = len(self.rows)
        return [(at, min(at + self._step, n)) for at in range(0, n, self._step)]

    def add(self, token: NDArray[Any], latent: NDArray[Any], value: NDArray[Any]) -> None:
        """Multiply out the events of some tokens.

        Args:
            token: Any number for each event's token, ascending, [m].
            latent: Index into the dictionary, ascending within a token, [m].
            value: Activation, [m].
        """
        if not len(token):
            return
        new = np.concatenate([[True], token[1:] != token[:-1]])
        if self.is_dense and self.rows.everything:
            self._add_triangle(np.append(np.flatnonzero(new), len(token)), latent, value)
            return
        number = np.cumsum(new) - 1
        weights = value.astype(np.float64)
        ones = np.ones(len(value), dtype=np.int32)
        row = self.rows.of(latent)
        tracked = np.flatnonzero(row >= 0)
        left_shape = (int(number[-1]) + 1, len(self.rows))
        right_shape = (left_shape[0], self.rows.d_sae)
        start = np.append(np.flatnonzero(new), len(token))
        right = [
            sparse.csr_array((data, latent.astype(np.int32), start), shape=right_shape)
            for data in (ones, weights)
        ]
        where = (number[tracked], row[tracked])
        left = [
            sparse.coo_array((data[tracked], where), shape=left_shape).T.tocsr()
            for data in (ones, weights)
        ]
        for i, (first, stop) in enumerate(self._spans()):
            both, products = (a[first:stop] @ b for a, b in zip(left, right, strict=True))
            if self.is_dense:
                _add_dense(self._both[first:stop], both)
                _add_dense(self._products[first:stop], products)
            else:
                old = self._parts[i]
                self._parts[i] = (old[0] + both.astype(np.int64), old[1] + products)

    def _add_triangle(
        self, start: NDArray[np.int64], latent: NDArray[Any], value: NDArray[Any]
    ) -> None:
        """Write out every pair (earlier, later) of one token's events: half of a matrix product.

        Args:
            start: Where each token's events begin, and the end.
            latent: As in `add`.
            value: As in `add`.
        """
        stop = np.repeat(start[1:], np.diff(start))
        after = stop - np.arange(1, len(stop) + 1)
        total = np.cumsum(after)
        both, products = self._both.reshape(-1), self._products.reshape(-1)
        weights = value.astype(np.float64)
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
            self._parts = [
                (a[0] + b[0], a[1] + b[1]) for a, b in zip(self._parts, other._parts, strict=True)
            ]

    def dense(self, rows: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Counts and products of some rows with all other latents, copies, [len(rows), d_sae].

        What is given for a latent with itself has no meaning.
        """
        if self.is_dense and self.rows.everything:
            # Only pairs (smaller, larger) are filled, so the table plus its mirror image is whole.
            return (
                self._both[rows] + self._both[:, rows].T,
                self._products[rows] + self._products[:, rows].T,
            )
        if self.is_dense:
            return self._both[rows], self._products[rows]
        both = np.zeros((len(rows), self.rows.d_sae), dtype=np.int64)
        products = np.zeros((len(rows), self.rows.d_sae))
        for i, (first, stop) in enumerate(self._spans()):
            here = np.flatnonzero((rows >= first) & (rows < stop))
            if len(here):
                both[here] = self._parts[i][0][rows[here] - first].toarray()
                products[here] = self._parts[i][1][rows[here] - first].toarray()
        return both, products

    def state(self) -> State:
        """The pairs that were active together: flat index, count, product."""
        if self.is_dense:
            where = np.flatnonzero(self._both)
            both = self._both.reshape(-1)[where]
            return {"where": where, "both": both, "products": self._products.reshape(-1)[where]}
        found: list[tuple[NDArray[Any], ...]] = []
        for (first, _), (both_part, products_part) in zip(self._spans(), self._parts, strict=True):
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
        for first, stop in self._spans():
            a, b = np.searchsorted(row, [first, stop])
            start = np.searchsorted(row[a:b], np.arange(first, stop + 1))
            shape = (stop - first, self.rows.d_sae)
            both, products = (
                sparse.csr_array((state[name][a:b].copy(), column[a:b], start), shape=shape)
                for name in ("both", "products")
            )
            parts.append((both, products))
        self._parts = parts


def _empty(rows: int, columns: int, kind: Any = np.float64) -> Any:
    return sparse.csr_array((rows, columns), dtype=kind)


def _add_dense(table: NDArray[Any], part: Any) -> None:
    """Add a sparse matrix to a dense array in place."""
    if part.nnz * 8 > table.size:
        table += part.toarray()
        return
    row = np.repeat(np.arange(part.shape[0]), np.diff(part.indptr))
    table[row, part.indices] += part.data
