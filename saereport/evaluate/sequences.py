"""Sequences that a model is judged on, and how many of them go through it at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.sources.devices import is_out_of_memory
from saereport.sources.text.packing import Packed

LOGIT_BYTES: Final = 128 * 2**20
"""Bytes of float32 logits of one batch, if that has more than one sequence."""

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Sequences:
    """Sequences to evaluate on.

    Attributes:
        tokens: Token ids, int64 `[n, pos]`, on the model's device.
        counted: Tokens whose activations are replaced and measured, bool `[n, pos]`, there too.
        first: Number of the first of them in the whole text.
    """

    tokens: Tensor
    counted: Tensor
    first: int = 0

    def __len__(self) -> int:
        return len(self.tokens)

    def part(self, start: int, stop: int) -> Sequences:
        """Some of the sequences."""
        return Sequences(self.tokens[start:stop], self.counted[start:stop], self.first + start)

    def predicting(self) -> Tensor:
        """Which counted tokens are followed by another one, bool `[n, pos]`."""
        both = torch.zeros_like(self.counted)
        both[:, :-1] = self.counted[:, :-1] & self.counted[:, 1:]
        return both


def first_counted(packed: Iterable[Packed], n: int) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """The sequences that hold the first `n` counted tokens of a text.

    Returns:
        Token ids `[sequences, pos]`, and which tokens are among the `n`, or among the fewer that
        the text has.
    """
    tokens, within = [], []
    for part in packed:
        for row, counted in zip(part.tokens, part.counted, strict=True):
            tokens.append(row)
            within.append(counted & (np.cumsum(counted) <= n))
            n -= int(within[-1].sum())
            if n == 0:
                return np.stack(tokens), np.stack(within)
    return np.stack(tokens), np.stack(within)


def sequences_at_a_time(context_size: int, d_vocab: int) -> int:
    """Sequences in a batch, unless memory runs out.

    It depends on the model and the context alone: equal settings give equal sums.
    """
    return max(1, LOGIT_BYTES // (4 * context_size * d_vocab))


def counts_of(chosen: Tensor) -> list[int]:
    """How many tokens of each sequence are chosen, of bool `[n, pos]`."""
    return [int(n) for n in chosen.sum(dim=1)]


class SequenceBatches:
    """How many sequences go through the model at a time; halves when memory runs out."""

    def __init__(self, size: int) -> None:
        self.size = size

    def over(self, text: Sequences, compute: Callable[[Sequences], T]) -> Iterator[T]:
        """What `compute` gives for each batch; its error where one sequence is too much."""
        start = 0
        while start < len(text):
            part = text.part(start, min(start + self.size, len(text)))
            found: T | None = None
            try:
                found = compute(part)
            except Exception as error:
                if not is_out_of_memory(error) or len(part) == 1:
                    raise
            if found is not None:
                yield found
                start += len(part)
                continue
            # Only outside the except block is nothing holding the failed attempt's tensors.
            self.size = len(part) // 2
            if part.tokens.device.type == "cuda":
                torch.cuda.empty_cache()
