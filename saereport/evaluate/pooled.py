"""Activations of texts, one row a text: one pass of the model for all SAEs of a report.

What is pooled are the counted tokens of a text. Latents that are active on none of them are not
kept, so that thousands of texts fit for dictionaries of any width.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from saereport.sources.devices import is_out_of_memory
from saereport.sources.models import LanguageModel
from saereport.sources.saes.normalizing import written_after
from saereport.sources.saes.sae import Sae
from saereport.util.progress import Progress

Pooling = Literal["mean", "max"]

TOKENS_TOGETHER = 4096
"""Tokens that go through the model at a time, unless one text has more."""
VALUES_TOGETHER = 2**24
"""Latent activations that are held at a time, unless one token has more."""


@dataclass(frozen=True)
class TextTokens:
    """A text as token ids, and which of them count; at least one does."""

    tokens: tuple[int, ...]
    counted: tuple[bool, ...]


@dataclass(frozen=True, eq=False)
class PooledLatents:
    """The latents of an SAE on some texts.

    Attributes:
        mean: Mean over a text's counted tokens, float32 `[texts, d_sae]`.
        max: The activation of largest magnitude there, float32 `[texts, d_sae]`.
        at: Where that stands in the text, int32, entry by entry of `max.data`.
    """

    mean: csr_array
    max: csr_array
    at: NDArray[np.int32]

    def of(self, pooling: Pooling) -> csr_array:
        """The latents pooled one way or the other."""
        return self.mean if pooling == "mean" else self.max

    def peak(self, text: int, latent: int) -> int:
        """Where in a text a latent that is active on it is strongest."""
        first, last = self.max.indptr[text], self.max.indptr[text + 1]
        place = np.flatnonzero(self.max.indices[first:last] == latent)
        return int(self.at[first + place[0]])


@dataclass(frozen=True, eq=False)
class Pooled:
    """What one pass gives.

    Attributes:
        activations: Mean over a text's counted tokens, float32 `[texts, width]`, by hook point.
        latents: Latents by SAE.
    """

    activations: Mapping[str, NDArray[np.float32]]
    latents: Mapping[str, PooledLatents]


@dataclass(eq=False)
class _Rows:
    """The texts of one SAE so far."""

    indices: list[NDArray[np.int32]] = field(default_factory=list)
    mean: list[NDArray[np.float32]] = field(default_factory=list)
    max: list[NDArray[np.float32]] = field(default_factory=list)
    at: list[NDArray[np.int32]] = field(default_factory=list)

    def whole(self, order: NDArray[np.int64], d_sae: int) -> PooledLatents:
        """All of them; row i of what came is that of text `order[i]`."""
        back = np.argsort(order)
        sizes = np.array([len(self.indices[i]) for i in back], np.int64)
        indptr = np.concatenate([[0], np.cumsum(sizes)])
        indices = np.concatenate([self.indices[i] for i in back])
        shape = (len(order), d_sae)
        parts = (np.concatenate([of[i] for i in back]) for of in (self.mean, self.max))
        mean, largest = (csr_array((part, indices, indptr), shape=shape) for part in parts)
        return PooledLatents(mean, largest, np.concatenate([self.at[i] for i in back]))


def pooled(
    model: LanguageModel,
    saes: Sequence[Sae],
    texts: Sequence[TextTokens],
    progress: Progress,
    *,
    also: Collection[str] = (),
    as_written: bool = False,
) -> Pooled:
    """Pool activations of texts, in their order.

    Args:
        model: The language model.
        saes: SAEs that fit it; each is read where it reads.
        texts: The texts, none longer than the model's context.
        progress: Where to say what is going on.
        also: Hook points whose activations are pooled besides.
        as_written: Give activations of latents in units of what a decoder row adds: times the
            scale that an SAE which normalises what it reads puts back. Else as encoded.
    """
    names = sorted({sae.hook_in.name for sae in saes} | set(also))
    lengths = np.array([len(one.tokens) for one in texts])
    order = np.argsort(lengths, kind="stable")
    sums: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
    rows = {sae.slug: _Rows() for sae in saes}
    start, most = 0, TOKENS_TOGETHER
    with progress.bar("Pooling activations", int(lengths.sum()), "tok") as bar, torch.no_grad():
        while start < len(texts):
            batch = [texts[i] for i in _next(order, lengths, start, most)]
            acts: dict[str, Tensor] | None = None
            try:
                acts = model.run(_padded(batch), names)
            except Exception as error:
                if not is_out_of_memory(error) or len(batch) == 1:
                    raise
            # Only outside the except block is nothing holding the failed attempt's tensors.
            if acts is None:
                most = len(batch[-1].tokens) * (len(batch) // 2)
                continue
            for place, text in enumerate(batch):
                counted = torch.tensor(text.counted, device=model.device)
                mine = {name: a[place, : len(text.tokens)] for name, a in acts.items()}
                for name in names:
                    mean = mine[name][counted].float().mean(dim=0)
                    sums[name].append(mean.cpu().numpy())
                for sae in saes:
                    a = mine[sae.hook_in.name]
                    _add(rows[sae.slug], sae, a, counted, as_written=as_written)
            bar.advance(sum(len(one.tokens) for one in batch))
            start += len(batch)
    back = np.argsort(order)
    return Pooled(
        {name: np.stack(found)[back] for name, found in sums.items()},
        {sae.slug: rows[sae.slug].whole(order, sae.d_sae) for sae in saes},
    )


def _next(
    order: NDArray[np.int64], lengths: NDArray[np.int64], start: int, most: int
) -> NDArray[np.int64]:
    """The texts that go through the model next: as long as all fit, padded to the longest."""
    longest = lengths[order[start:]]
    fitting = np.flatnonzero(longest * np.arange(1, len(longest) + 1) <= most)
    return order[start : start + max(1, len(fitting))]


def _padded(batch: Sequence[TextTokens]) -> Tensor:
    """Token ids `[n, pos]`; what follows a text's end changes nothing of it."""
    width = max(len(one.tokens) for one in batch)
    return torch.tensor(
        [[*one.tokens, *one.tokens[-1:] * (width - len(one.tokens))] for one in batch]
    )


def _add(rows: _Rows, sae: Sae, a: Tensor, counted: Tensor, *, as_written: bool) -> None:
    """The latents of one text of activations `a` `[pos, d_in]`."""
    total = torch.zeros(sae.d_sae, dtype=torch.float32, device=a.device)
    largest, where = torch.zeros_like(total), torch.zeros_like(total, dtype=torch.int64)
    places = torch.where(counted)[0]
    whole = sae.encoder.of_sequences
    step = len(places) if whole else max(1, VALUES_TOGETHER // sae.d_sae)
    for first in range(0, len(places), step):
        here = places[first : first + step]
        f = (sae.encode(a[None])[0][here] if whole else sae.encode(a[here])).float()
        if as_written and sae.normalizes is not None and not sae.is_transcoder:
            ones = torch.ones(len(here), 1, device=a.device)
            f = f * written_after(sae.normalizes, a[here].float(), ones)
        total += f.sum(dim=0)
        peak = f.abs().argmax(dim=0)
        value = f.gather(0, peak[None])[0]
        # What is no number stays, so that it is seen.
        above = (value.abs() > largest.abs()) | value.isnan()
        largest = torch.where(above, value, largest)
        where = torch.where(above, here[peak], where)
    active = torch.where(largest != 0)[0]
    rows.indices.append(active.cpu().numpy().astype(np.int32))
    rows.mean.append((total[active] / len(places)).cpu().numpy())
    rows.max.append(largest[active].cpu().numpy())
    rows.at.append(where[active].cpu().numpy().astype(np.int32))
