"""Columns of lists and of words as a few arrays, however many rows they have.

A Python list of a hundred thousand small arrays takes seconds to build and to write. Both classes
here are sequences like such a list, so that whoever reads a row at a time need not know.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False)
class Ragged(Sequence[NDArray[Any]]):
    """Lists of numbers of any lengths, one after the other.

    Attributes:
        values: The entries of all lists, [total].
        offsets: Where each list begins, and where the last ends: int64[n + 1], from 0 to total.

    Raises:
        ValueError: `offsets` does not rise from 0 to the number of values.
    """

    values: NDArray[Any]
    offsets: NDArray[np.int64]

    def __post_init__(self) -> None:
        offsets = np.ascontiguousarray(self.offsets, dtype=np.int64)
        object.__setattr__(self, "offsets", offsets)
        ends = len(offsets) > 0 and offsets[0] == 0 and offsets[-1] == len(self.values)
        if not ends or (offsets[1:] < offsets[:-1]).any():
            raise ValueError("offsets of lists must rise from 0 to the number of values")

    @classmethod
    def of(cls, lists: Sequence[ArrayLike], dtype: Any = None) -> Ragged:
        """From a sequence of lists or arrays; of none, or empty ones, with `dtype` or float64."""
        if isinstance(lists, Ragged):
            return lists
        arrays = [np.asarray(one, dtype) for one in lists]
        filled = [array for array in arrays if len(array)]
        values = np.concatenate(filled) if filled else np.zeros(0, dtype)
        return cls.of_lengths(values, np.array([len(array) for array in arrays], dtype=np.int64))

    @classmethod
    def of_lengths(cls, values: NDArray[Any], lengths: NDArray[Any]) -> Ragged:
        """From all entries and how many of them each list has, int[n]."""
        offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        return cls(values, offsets)

    @classmethod
    def of_rows(cls, rows: NDArray[Any]) -> Ragged:
        """From lists of one length, [n, length]."""
        n, length = rows.shape
        return cls(rows.reshape(-1), np.arange(n + 1, dtype=np.int64) * length)

    @classmethod
    def concatenate(cls, parts: Sequence[Ragged]) -> Ragged:
        """The lists of several, one after the other.

        Raises:
            ValueError: There is no part.
        """
        values = np.concatenate([part.values for part in parts])
        return cls.of_lengths(values, np.concatenate([part.lengths for part in parts]))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How many entries each list has, int64[n]."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, at: int) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, at: slice | NDArray[Any]) -> Ragged: ...
    def __getitem__(self, at: Any) -> Any:
        """One list, or with a slice, indices or a mask of rows several."""
        if isinstance(at, slice):
            start, stop, step = at.indices(len(self))
            if step != 1:
                return self.take(np.arange(start, stop, step))
            ends = self.offsets[start : max(start, stop) + 1]
            return Ragged(self.values[ends[0] : ends[-1]], ends - ends[0])
        if isinstance(at, np.ndarray):
            return self.take(np.flatnonzero(at) if at.dtype == np.bool_ else at)
        row = range(len(self))[at]
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        ends = self.offsets.tolist()
        return (self.values[a:b] for a, b in pairwise(ends))

    def take(self, rows: NDArray[Any]) -> Ragged:
        """Some of the lists, in the order of `rows`, int[m]."""
        lengths = self.lengths[rows]
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        from_to = np.repeat(self.offsets[:-1][rows] - offsets[:-1], lengths)
        return Ragged(self.values[from_to + np.arange(offsets[-1])], offsets)


@dataclass(frozen=True, eq=False)
class Words(Sequence[str]):
    """A column of few distinct words.

    Attributes:
        codes: Of each row, which word stands there: int[n], below the number of words.
        words: The words.
    """

    codes: NDArray[Any]
    words: tuple[str, ...]

    @classmethod
    def tiled(cls, words: Sequence[str], times: int) -> Words:
        """All words one after the other, that many times over."""
        return cls(np.tile(np.arange(len(words), dtype=np.int32), times), tuple(words))

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice | NDArray[Any]) -> Words: ...
    def __getitem__(self, at: Any) -> Any:
        """One word, or with a slice, indices or a mask of rows several."""
        if isinstance(at, slice | np.ndarray):
            return Words(self.codes[at], self.words)
        return self.words[self.codes[at]]

    def __iter__(self) -> Iterator[str]:
        words = self.words
        return (words[code] for code in self.codes.tolist())
