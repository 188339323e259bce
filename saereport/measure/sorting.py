"""Orders of events by several keys, on any device.

On the CPU numpy's sort of plain 64-bit integers is several times as fast as one that carries an
index along; so keys and index are packed into one integer where there is room, and what the packed
key cannot tell apart is put in order afterwards.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from saereport.measure.exact import ordered

_SIGNED, _UNSIGNED = 63, 64


def lexicographic(*keys: Tensor) -> Tensor:
    """The order by several keys, the most significant first; equal ones as they stand."""
    order: Tensor | None = None
    for key in reversed(keys):
        sorted_by = key if order is None else key.index_select(0, order)
        _, step = torch.sort(sorted_by, stable=True)
        order = step if order is None else order.index_select(0, step)
    assert order is not None
    return order


def order_by(group: Tensor, n_groups: int, key: Tensor | None = None, bits: int = 64) -> Tensor:
    """The order by group, then by a key; equal ones as they stand. int64[k].

    Args:
        group: Numbers from 0 and below `n_groups`, any integer type.
        n_groups: How many there are.
        key: Unsigned integers of so many bits, as int64 or int32; none to order by group alone.
        bits: How many bits the keys have.
    """
    on_cpu = group.device.type == "cpu"
    n = len(group)
    index_bits = n.bit_length() if on_cpu else 0
    room = (_UNSIGNED if on_cpu else _SIGNED) - index_bits - max(n_groups - 1, 0).bit_length()
    if room < 0:
        return lexicographic(group) if key is None else lexicographic(group, ordered_key(key, bits))
    packed = group.to(torch.int64, copy=True)
    kept = 0
    if key is not None:
        kept = min(bits, room)
        packed <<= kept
        packed |= (key.to(torch.int64) >> (bits - kept)) & ((1 << kept) - 1)
    if on_cpu:
        packed <<= index_bits
        packed |= torch.arange(n)
        packed.numpy().view(np.uint64).sort()
        order = packed & ((1 << index_bits) - 1)
        packed >>= index_bits
        packed &= (1 << (_UNSIGNED - index_bits)) - 1 if index_bits else -1
    else:
        packed, order = torch.sort(packed, stable=True)
    if key is not None and kept < bits:
        _settle_ties(order, packed, key, bits)
    return order


def sort_integers(values: Tensor) -> Tensor:
    """Integers in ascending order."""
    if values.device.type == "cpu":
        return torch.from_numpy(np.sort(values.numpy()))
    return torch.sort(values)[0]


def segment_sums(values: Tensor, start: Tensor) -> Tensor:
    """Sums of integers over consecutive ranges, int64: exact.

    Args:
        values: Integers, [k].
        start: Where each range begins, ascending from 0; each ends where the next begins.
    """
    if values.device.type == "cpu":
        if not len(start):
            return torch.zeros(0, dtype=torch.int64)
        return torch.from_numpy(np.add.reduceat(values.numpy(), start.numpy(), dtype=np.int64))
    # Integers wrap, so the difference of two running sums is exact whatever their size.
    running = torch.nn.functional.pad(torch.cumsum(values, 0, dtype=torch.int64), (1, 0))
    ends = torch.cat([start, start.new_full((1,), len(values))])
    return torch.diff(running.index_select(0, ends))


def ordered_key(key: Tensor, bits: int) -> Tensor:
    """An unsigned key as a signed one of the same order."""
    return ordered(key) if bits == 64 else key


def _settle_ties(order: Tensor, packed: Tensor, key: Tensor, bits: int) -> None:
    """Put in order, in place, what the packed keys could not tell apart."""
    tied = torch.zeros(len(packed), dtype=torch.bool, device=packed.device)
    same = packed[1:] == packed[:-1]
    tied[1:] |= same
    tied[:-1] |= same
    at = torch.nonzero(tied).squeeze(1)
    if not len(at):
        return
    those = order.index_select(0, at)
    exact = lexicographic(
        packed.index_select(0, at), ordered_key(key.index_select(0, those), bits), those
    )
    order[at] = those.index_select(0, exact)
