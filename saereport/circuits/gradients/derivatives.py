"""Derivatives of many outputs with respect to many inputs, by automatic differentiation.

An input moves an activation in a fixed direction at one position; an output reads a later
activation along a fixed direction at one position. So the derivative of an output with respect to
an input is `read . (d later / d earlier) . write`, and the matrix in the middle is never formed:
either all outputs' reads are pulled back through the model (reverse mode), or all inputs' writes
are pushed through it (forward mode), many at a time.

Two things make that cheaper than the plain Jacobian. Models are causal, so outputs at position p
are computed on the tokens up to p only. And where there are far fewer inputs than outputs,
forward mode costs less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import psutil
import torch
from torch import Tensor

from saereport.sources.devices import is_out_of_memory
from saereport.sources.models import LanguageModel
from saereport.util.errors import SaereportError

Advance = Callable[[int], object]
"""Is told how many derivatives, of inputs times outputs in all, have just been finished."""

Through = Callable[[Tensor], Tensor]
"""The model between two places, on a prefix of the prompt.

Takes the earlier activation `[length, width]`, gives the later one at the last positions of the
prefix, `[rows, width]`."""

FORWARD_COST = 1.0
"""What a derivative in forward mode costs beside one in reverse mode over as many tokens.

Measured between 0.9 and 1.5 on CPUs."""

FEWEST = 12
"""Outputs that are worth a pass of their own; with fewer, neighbouring positions share one."""

MOST = 64
"""Rows of a batch beyond which larger batches were not faster."""


@dataclass(frozen=True, eq=False)
class Probes:
    """Directions at positions of an activation: what inputs write, or what outputs read.

    Attributes:
        positions: Ascending.
        vectors: `[n, width]`.
    """

    positions: Sequence[int]
    vectors: Tensor

    def __len__(self) -> int:
        return len(self.positions)

    def before(self, length: int) -> Probes:
        """Those at the first `length` positions."""
        n = sum(position < length for position in self.positions)
        return Probes(self.positions[:n], self.vectors[:n])

    def part(self, start: int, stop: int) -> Probes:
        """Some that follow one another."""
        return Probes(self.positions[start:stop], self.vectors[start:stop])

    def spread(self, rows: range) -> Tensor:
        """Each as an activation that is zero elsewhere, `[n, len(rows), width]`."""
        whole = self.vectors.new_zeros(len(self), len(rows), self.vectors.shape[1])
        places = [position - rows.start for position in self.positions]
        at = torch.tensor(places, device=whole.device, dtype=torch.int64)
        return whole.index_put_((torch.arange(len(self), device=whole.device), at), self.vectors)

    def dot(self, x: Tensor, rows: range) -> Tensor:
        """Products with activations `x` `[batch, len(rows), width]`, as `[batch, n]`."""
        products = [self.vectors.new_zeros(len(x), 0)]
        start = 0
        while start < len(self):
            position = self.positions[start]
            stop = start
            while stop < len(self) and self.positions[stop] == position:
                stop += 1
            seen = x[:, position - rows.start].to(self.vectors.dtype)
            products.append(seen @ self.vectors[start:stop].T)
            start = stop
        return torch.cat(products, dim=1)


@dataclass(frozen=True)
class Budget:
    """How many derivatives are carried through the model at a time.

    Attributes:
        memory: Bytes that a batch may take.
        per_token: Bytes that one row of a batch takes for each token.
        per_pair: Bytes that it takes for each pair of tokens (attention).
        per_row: Bytes that it takes whatever the length (the last position's logits).
    """

    memory: int
    per_token: int
    per_pair: int
    per_row: int = 0

    def rows(self, length: int) -> int:
        """Rows of a batch over a prefix of this many tokens, at least one."""
        row = self.per_row + length * (self.per_token + length * self.per_pair)
        return max(1, min(MOST, self.memory // row))


def budget_for(model: LanguageModel, memory: int, *, logits: int = 0, places: int = 1) -> Budget:
    """What derivatives through a model take: the widest layer's activations, several times over.

    Args:
        model: The language model.
        memory: Bytes to keep within.
        logits: Width of the logits where the derivatives go through them.
        places: How many hook points the inputs write to.
    """
    bytes_each = torch.finfo(model.dtype).bits // 8
    d_mlp = int(getattr(model.model.cfg, "d_mlp", None) or 4 * model.d_model)
    width = 6 * d_mlp + (12 + 3 * (places - 1)) * model.d_model
    return Budget(
        memory, bytes_each * width + bytes_each * 3 * logits, 6 * bytes_each * model.n_heads
    )


def auto_memory(device: torch.device) -> int:
    """Bytes that batched derivatives may take on a device: up to a quarter of what is free.

    It is a power of two and at most 2 GiB, so that it seldom differs from run to run.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
    elif device.type == "mps":
        free = torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    else:
        free = psutil.virtual_memory().available
    return 1 << min(31, max(24, (max(free, 4) // 4).bit_length() - 1))


def in_chunks(
    n: int, size: int, work: Callable[[int, int], Tensor], device: torch.device
) -> Iterator[tuple[int, int, Tensor]]:
    """Do work on 0 to n in parts, of which fewer are done at a time when memory runs out.

    Args:
        n: How much there is to do.
        size: How much to do at a time, at first.
        work: Does the part from a start to a stop.
        device: Where memory may run out.

    Yields:
        Start, stop and result of each part.

    Raises:
        SaereportError: Memory does not even hold a part of one.
    """
    start = 0
    while start < n:
        stop = min(start + size, n)
        result: Tensor | None = None
        try:
            result = work(start, stop)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if stop - start == 1:
                raise SaereportError(
                    "Memory does not even hold one derivative through the model.",
                    "Use a shorter prompt, or a device with more memory.",
                ) from error
        if result is not None:
            yield start, stop, result
            start = stop
            continue
        # Only here, outside the except block, has the failed attempt let go of its tensors.
        size = max(1, (stop - start) // 2)
        if device.type == "cuda":
            torch.cuda.empty_cache()


def jacobian(
    through: Through,
    at: Tensor,
    inputs: Probes,
    outputs: Probes,
    budget: Budget,
    *,
    advance: Advance | None = None,
) -> Tensor:
    """Derivatives of all outputs with respect to all inputs, by whichever mode costs less.

    Args:
        through: The model from the earlier to the later place.
        at: The earlier activation at which derivatives are taken, `[pos, width]`.
        inputs: What each input writes into it.
        outputs: What each output reads of the later activation.
        budget: How much is done at a time.
        advance: Is told of progress.

    Returns:
        `[len(outputs), len(inputs)]`, on the device of `at`.

    Raises:
        SaereportError: Nothing that is put in comes through, or memory does not suffice.
    """
    length = outputs.positions[-1] + 1
    # In reverse mode an output costs the prefix that it sees; in forward mode an input costs the
    # prompt up to the last output.
    reverse_cost = sum(stop * (b - a) for stop, a, b in prefixes(outputs.positions))
    forward_cost = FORWARD_COST * len(inputs.before(length)) * length
    if forward_cost < reverse_cost:
        try:
            return by_forward_mode(through, at, inputs, outputs, budget, advance=advance)
        except RuntimeError as error:
            # Some models compute with what torch has no forward mode for (BLOOM's own GELU, the
            # grouped matrices of experts).
            if is_out_of_memory(error):
                raise
    return by_reverse_mode(through, at, inputs, outputs, budget, advance=advance)


def prefixes(positions: Sequence[int]) -> list[tuple[int, int, int]]:
    """Which outputs are computed together on which prefix of the prompt.

    Args:
        positions: The outputs' positions, ascending.

    Returns:
        Length of the prefix, and the first and one past the last of its outputs.
    """
    groups: list[tuple[int, int, int]] = []
    # The model is causal, so a group needs the prompt up to its last position only; a group of few
    # is not worth a pass of its own.
    stop = len(positions)
    while stop > 0:
        start = stop
        while start > 0 and (stop - start < FEWEST or positions[start - 1] == positions[start]):
            start -= 1
        groups.append((positions[stop - 1] + 1, start, stop))
        stop = start
    return groups[::-1]


def by_reverse_mode(
    through: Through,
    at: Tensor,
    inputs: Probes,
    outputs: Probes,
    budget: Budget,
    *,
    advance: Advance | None = None,
) -> Tensor:
    """`jacobian` by batched vector-Jacobian products."""
    values = at.new_zeros(len(outputs), len(inputs))
    for length, first, last in prefixes(outputs.positions):
        leaf = at[:length].detach().clone().requires_grad_()
        later = _connected(through, leaf)
        rows = range(length - len(later), length)
        seen, group = inputs.before(length), outputs.part(first, last)

        def pulled(
            start: int,
            stop: int,
            leaf: Tensor = leaf,
            later: Tensor = later,
            rows: range = rows,
            seen: Probes = seen,
            group: Probes = group,
        ) -> Tensor:
            reads = group.part(start, stop).spread(rows).to(later.dtype)
            return seen.dot(_pulled_back(later, leaf, reads), range(len(leaf)))

        size = budget.rows(length)
        for start, stop, part in in_chunks(len(group), size, pulled, at.device):
            values[first + start : first + stop, : len(seen)] = part
            if advance is not None:
                advance((stop - start) * len(inputs))
    return values


def _pulled_back(later: Tensor, leaf: Tensor, reads: Tensor) -> Tensor:
    """Vector-Jacobian products of reads `[n, rows, width]`, in one batch if the model allows."""
    try:
        (back,) = torch.autograd.grad(later, leaf, reads, retain_graph=True, is_grads_batched=True)
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        one_by_one = [torch.autograd.grad(later, leaf, read, retain_graph=True) for read in reads]
        return torch.stack([back for (back,) in one_by_one])
    result: Tensor = back
    return result


def by_forward_mode(
    through: Through,
    at: Tensor,
    inputs: Probes,
    outputs: Probes,
    budget: Budget,
    *,
    advance: Advance | None = None,
) -> Tensor:
    """`jacobian` by batched Jacobian-vector products."""
    length = outputs.positions[-1] + 1
    values = at.new_zeros(len(outputs), len(inputs))
    leaf = at[:length].detach()
    # Where nothing leads on, forward mode gives zeros without a word.
    _connected(through, leaf.clone().requires_grad_())
    seen = inputs.before(length)

    def push(tangent: Tensor) -> Tensor:
        pushed: Tensor = torch.func.jvp(through, (leaf,), (tangent,))[1]
        return pushed

    def pushed(start: int, stop: int) -> Tensor:
        writes = seen.part(start, stop).spread(range(length)).to(leaf.dtype)
        later = torch.func.vmap(push)(writes)
        return outputs.dot(later, range(length - later.shape[1], length))

    with torch.no_grad():
        for start, stop, part in in_chunks(len(seen), budget.rows(length), pushed, at.device):
            values[:, start:stop] = part.T
            if advance is not None:
                advance((stop - start) * len(outputs))
    if advance is not None and len(seen) < len(inputs):
        advance((len(inputs) - len(seen)) * len(outputs))
    return values


def _connected(through: Through, leaf: Tensor) -> Tensor:
    """The later activation with its graph, if it has one.

    Raises:
        SaereportError: It does not depend on the earlier one; a derivative would be all zeros.
    """
    with torch.enable_grad():
        later = through(leaf)
    if not later.requires_grad:
        raise SaereportError(
            "In this model nothing leads from the earlier of the two hook points to the later one.",
            "Sublayers that compute side by side do not read one another: choose another pair.",
        )
    return later
