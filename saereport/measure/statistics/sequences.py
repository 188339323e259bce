"""The tokens of the sequences that some example refers to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saereport.measure.columns import Columns, State

_WAITING = 1 << 22


class SequenceStore:
    """Keeps sequences while an example of any SAE of the run refers to them.

    Every sequence is added when it is read; `keep` drops those that nobody refers to any more.
    Call it when `full` says so: memory is then bounded by the examples, not by the text.
    """

    def __init__(self) -> None:
        self._numbers = np.zeros(0, dtype=np.int64)
        self._tokens = np.zeros((0, 0), dtype=np.int32)
        self._documents = np.zeros((0, 0), dtype=np.int32)
        self._counted = np.zeros((0, 0), dtype=np.bool_)
        self._waiting: list[tuple[NDArray[Any], ...]] = []
        self._n_waiting = 0

    @property
    def full(self) -> bool:
        """Whether more is waiting (4 million tokens, or as much as is kept) than need be."""
        return self._n_waiting > max(_WAITING, self._tokens.size)

    def add(
        self,
        first: int,
        tokens: NDArray[np.int32],
        counted: NDArray[np.bool_],
        documents: NDArray[np.int32],
    ) -> None:
        """Remember the sequences `first`, `first + 1`, ...; arrays of shape [n, ctx]."""
        numbers = np.arange(first, first + len(tokens), dtype=np.int64)
        self._wait(numbers, tokens, documents, counted)

    def _wait(self, *part: NDArray[Any]) -> None:
        if part[1].size:
            self._waiting.append(part)
            self._n_waiting += part[1].size

    def keep(self, sequences: NDArray[Any]) -> None:
        """Drop every sequence but these (ascending, unique)."""
        parts = [(self._numbers, self._tokens, self._documents, self._counted), *self._waiting]
        parts = [part for part in parts if len(part[0])]
        self._waiting, self._n_waiting = [], 0
        if not parts:
            return
        numbers = np.concatenate([part[0] for part in parts])
        index = _found(numbers, np.asarray(sequences, dtype=np.int64))
        self._numbers = numbers[index]
        self._tokens, self._documents, self._counted = (
            np.concatenate([part[i] for part in parts])[index] for i in (1, 2, 3)
        )

    def merge(self, other: SequenceStore) -> None:
        """Take in the sequences of another part of the text."""
        self._wait(other._numbers, other._tokens, other._documents, other._counted)
        for part in other._waiting:
            self._wait(*part)

    def result(self, sequences: NDArray[Any]) -> Columns:
        """Table `sequences` for these (ascending, unique), which must all have been kept."""
        self.keep(np.union1d(self._all(), sequences))
        at = np.searchsorted(self._numbers, sequences)
        if len(sequences) and not (
            at.max() < len(self._numbers) and np.array_equal(self._numbers[at], sequences)
        ):
            raise ValueError("a sequence was asked for that was not kept")
        return {
            "sequence": np.asarray(sequences, dtype=np.int64),
            "tokens": list(self._tokens[at]),
            "documents": list(self._documents[at]),
            "counted": list(self._counted[at]),
        }

    def _all(self) -> NDArray[np.int64]:
        return np.unique(np.concatenate([self._numbers, *(part[0] for part in self._waiting)]))

    def state(self) -> State:
        """The sequences as arrays."""
        self.keep(self._all())
        return {
            "numbers": self._numbers,
            "tokens": self._tokens,
            "documents": self._documents,
            "counted": self._counted,
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become the store whose `state` this is."""
        self._numbers, self._tokens = state["numbers"].copy(), state["tokens"].copy()
        self._documents, self._counted = state["documents"].copy(), state["counted"].copy()
        self._waiting, self._n_waiting = [], 0


def _found(known: NDArray[np.int64], keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where to find each of `keys` (ascending, unique) that is among `known`, in their order."""
    if not len(keys) or not len(known):
        return np.zeros(0, dtype=np.int64)
    order = np.argsort(known)
    at = np.minimum(np.searchsorted(known[order], keys), len(known) - 1)
    found: NDArray[np.int64] = order[at][known[order[at]] == keys]
    return found
