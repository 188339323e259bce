"""The largest and smallest entries of each row of a score table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.measure.weights.context import WeightContext


def largest(scores: Tensor, k: int, *, smallest: bool = False) -> tuple[Tensor, Tensor]:
    """The k largest entries of each row, best first, ties to the smaller index.

    `torch.topk` alone does not say which of several equal entries it takes, and vocabularies hold
    tokens with equal embeddings.

    Args:
        scores: [n, width] on any device.
        k: At most `width` are given.
        smallest: Give the smallest entries instead, smallest first.

    Returns:
        Indices int64[n, k] and values, on the CPU.
    """
    k = min(k, scores.shape[1])
    if not k or not len(scores):
        shape = (len(scores), k)
        return torch.zeros(shape, dtype=torch.int64), torch.zeros(shape)
    values, index = torch.topk(scores, min(k + 1, scores.shape[1]), dim=1, largest=not smallest)
    values, index = values.cpu(), index.cpu()
    # Where the first entry left out equals the last one taken, the choice between them was chance.
    tied = values[:, k - 1] == values[:, k] if values.shape[1] > k else torch.zeros(0)
    values, index = values[:, :k].clone(), index[:, :k].clone()
    for row in tied.nonzero().squeeze(-1).tolist():
        order = torch.sort(scores[row], descending=not smallest, stable=True).indices[:k]
        index[row], values[row] = order.cpu(), scores[row, order].cpu()
    by_index = torch.argsort(index, dim=1)
    index, values = index.gather(1, by_index), values.gather(1, by_index)
    order = torch.sort(values, dim=1, descending=not smallest, stable=True).indices
    return index.gather(1, order), values.gather(1, order)


def extremes(scores: Tensor, k: int, names: str = "tokens") -> dict[str, NDArray[Any]]:
    """The columns `top_*` and `bottom_*`: k largest and k smallest of each row, [n, k] each.

    Args:
        scores: [n, width], float32.
        k: Entries at each end.
        names: What an index means: `tokens` or `latents`.
    """
    top, top_values = largest(scores, k)
    bottom, bottom_values = largest(scores, k, smallest=True)
    return {
        f"top_{names}": top.numpy().astype(np.int32),
        "top_values": top_values.numpy().astype(np.float32),
        f"bottom_{names}": bottom.numpy().astype(np.int32),
        "bottom_values": bottom_values.numpy().astype(np.float32),
    }


def listed(parts: list[dict[str, NDArray[Any]]], order: NDArray[Any] | None = None) -> Any:
    """Join the parts' [n, k] columns and turn them into lists of rows, in an order of the rows."""
    columns: dict[str, list[NDArray[Any]]] = {}
    for name in parts[0] if parts else ():
        joined = np.concatenate([part[name] for part in parts])
        columns[name] = list(joined if order is None else joined[order])
    return columns


def with_more(
    found: dict[str, NDArray[Any]] | None, more: dict[str, NDArray[Any]], first: int, k: int
) -> dict[str, NDArray[Any]]:
    """The extremes of rows that go on: of the columns so far and of those that follow them.

    Args:
        found: The extremes of the columns before `first`; None where there are none.
        more: Those of the columns from `first` on, numbered from 0.
        first: How many columns came before.
        k: Entries at each end.

    Returns:
        The columns of `extremes`; of equal entries the earlier column comes first.
    """
    if found is None:
        return more
    joined: dict[str, NDArray[Any]] = {}
    for end, sign in (("top", -1), ("bottom", 1)):
        (index,) = (name for name in found if name.startswith(end) and not name.endswith("values"))
        values = np.concatenate([found[f"{end}_values"], more[f"{end}_values"]], axis=1)
        columns = np.concatenate([found[index], more[index] + np.int32(first)], axis=1)
        order = np.argsort(sign * values, axis=1, kind="stable")[:, :k]
        joined[index] = np.take_along_axis(columns, order, axis=1)
        joined[f"{end}_values"] = np.take_along_axis(values, order, axis=1)
    return joined


def extremes_in_chunks(
    context: WeightContext, directions: Tensor, pieces: Iterable[Tensor], names: str = "tokens"
) -> dict[str, Any]:
    """The extremes of `directions @ rows.T`, with as many latents at a time as memory allows.

    Args:
        context: What to compute for.
        directions: One row for each of the context's latents, [n, d].
        pieces: What they are multiplied with, `rows` [width, d] in consecutive pieces.
        names: What a row of `rows` is: one of the `tokens` or `latents`.
    """
    k, first = context.listed, 0
    found: dict[str, NDArray[Any]] | None = None
    for piece in pieces:
        parts = [extremes(directions[s] @ piece.T, k, names) for s in context.spans(len(piece))]
        found = with_more(found, joined(parts, piece, k, names), first, k)
        first += len(piece)
    return dict(listed([] if found is None else [found]))


def joined(
    parts: Sequence[dict[str, NDArray[Any]]], piece: Tensor, k: int, names: str = "tokens"
) -> dict[str, NDArray[Any]]:
    """The extremes of some latents after another as those of all; of none, with no row.

    Args:
        parts: As `extremes` gives them, for the columns of one piece.
        piece: The piece, [width, d].
        k: Entries at each end.
        names: What a column is.
    """
    parts = parts or [extremes(torch.zeros((0, len(piece))), k, names)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
