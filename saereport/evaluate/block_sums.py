"""The sums that a block of sequences gives: activations and predictions out of one true run.

The model runs once as it is, and once for every way in which an activation is replaced. What the
true run holds at the hook points serves both: what an SAE makes of it is measured, and then stands
in its place. Only the mean of mean ablation must be known beforehand; it is that of the text's
beginning, which is read up to the hook points.

A block's sums depend on its sequences and on what is said of all of them beforehand, not on who
computes them: they are kept when it is done, and what is lost can be done again elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.evaluate.sequences import (
    SequenceBatches,
    Sequences,
    counts_of,
    sequences_at_a_time,
)
from saereport.evaluate.sums import (
    Activations,
    Fit,
    Floats,
    Joined,
    Largest,
    Losses,
    activations_of,
    by_sequence,
    largest_of,
    losses_of,
    stand_of,
)
from saereport.intervene.splicing import places
from saereport.sources.forward import forward
from saereport.sources.models import LanguageModel
from saereport.sources.saes.sae import Sae

CHUNK_BYTES: Final = 16 * 2**20
"""Bytes of float32 logits that are compared at a time."""

MEAN_TOKENS: Final = 8192
"""Counted tokens, the first ones, whose mean stands in for activations."""

MOST_BLOCKS: Final = 64
"""Into so many blocks a text is cut at most, none of which is less than a batch."""

TOGETHER: Final = 8
"""Parts of a text whose sums wait for being joined at most: each holds its tokens of largest norm.
"""

Arrays = dict[str, np.ndarray]
Variant = tuple[str, str]
"""`spliced` and an SAE's slug, `zero` or `mean` and a hook point, or `original` and nothing."""

ORIGINAL: Final[Variant] = ("original", "")

K = TypeVar("K")
J = TypeVar("J", bound=Joined)


@dataclass(frozen=True, eq=False)
class Block:
    """Some sequences, and what must be known of all: plain values, which any worker can be given.

    Attributes:
        slugs: The SAEs.
        tokens: Token ids, `[n, pos]`.
        counted: Tokens that count, bool `[n, pos]`.
        first: Number of the first sequence in the whole text.
        means: What stands in for activations, by hook point.
        n_unusual: Tokens of largest norm that are kept.
    """

    slugs: tuple[str, ...]
    tokens: NDArray[np.int32]
    counted: NDArray[np.bool_]
    first: int
    means: Mapping[str, Floats]
    n_unusual: int

    def part(self, start: int, stop: int) -> Block:
        """Some of its sequences."""
        return Block(
            self.slugs,
            self.tokens[start:stop],
            self.counted[start:stop],
            self.first + start,
            self.means,
            self.n_unusual,
        )

    @property
    def n_counted(self) -> int:
        """Tokens that count."""
        return int(self.counted.sum())

    def sequences(self, device: torch.device) -> Sequences:
        """Its sequences where the model is."""
        return Sequences(
            torch.from_numpy(self.tokens.astype(np.int64)).to(device),
            torch.from_numpy(self.counted).to(device),
            self.first,
        )


@dataclass(frozen=True, eq=False)
class Sums:
    """All sums of some sequences.

    Attributes:
        activations: By hook point where an SAE writes.
        largest: The tokens of largest norm there.
        fits: By SAE.
        errors: By SAE, the squared errors of the tokens of largest norm where it writes.
        losses: By variant of the model.
        written: Where each SAE writes.
    """

    activations: dict[str, Activations]
    largest: dict[str, Largest]
    fits: dict[str, Fit]
    errors: dict[str, Floats]
    losses: dict[Variant, Losses]
    written: dict[str, str]

    @classmethod
    def joined(cls, parts: Sequence[Self], k: int) -> Self:
        """Those of all parts, in the order of the text; of the largest tokens the `k` largest."""
        first = parts[0]
        largest, chosen = {}, {}
        for name in first.largest:
            together = Largest.joined([part.largest[name] for part in parts])
            chosen[name] = largest_of(together.square, k)
            largest[name] = together.only(chosen[name])
        errors = {
            slug: np.concatenate([part.errors[slug] for part in parts])[chosen[name]]
            for slug, name in first.written.items()
        }
        return cls(
            joined_by_key([part.activations for part in parts]),
            largest,
            joined_by_key([part.fits for part in parts]),
            errors,
            joined_by_key([part.losses for part in parts]),
            first.written,
        )

    def arrays(self) -> Arrays:
        """As arrays with names, as a checkpoint has them."""
        found: Arrays = {}
        for group, of in (("activations", Activations), ("largest", Largest), ("fits", Fit)):
            for key, value in getattr(self, group).items():
                found |= {f"{group}|{key}|{f.name}": getattr(value, f.name) for f in fields(of)}
        for (kind, key), losses in self.losses.items():
            found |= {f"{kind}|{key}|{f.name}": getattr(losses, f.name) for f in fields(Losses)}
        return found | {f"errors|{slug}": error for slug, error in self.errors.items()}

    @classmethod
    def of_arrays(cls, arrays: Arrays, written: Mapping[str, str]) -> Self:
        """Back again.

        Raises:
            KeyError: One is missing.
        """

        def made(of: type[J], group: str, key: str) -> J:
            return of(*(arrays[f"{group}|{key}|{f.name}"] for f in fields(of)))

        points = dict.fromkeys(written.values())
        variants = [ORIGINAL, *(("spliced", slug) for slug in written)]
        variants += [(kind, name) for name in points for kind in ("zero", "mean")]
        return cls(
            {name: made(Activations, "activations", name) for name in points},
            {name: made(Largest, "largest", name) for name in points},
            {slug: made(Fit, "fits", slug) for slug in written},
            {slug: arrays[f"errors|{slug}"] for slug in written},
            {variant: made(Losses, *variant) for variant in variants},
            dict(written),
        )


class Joining:
    """Sums of the parts of a text that are joined as they come, so that few are held.

    Args:
        k: Tokens of largest norm that are kept.
    """

    def __init__(self, k: int) -> None:
        self._k = k
        self._parts: list[Sums] = []
        self._early: dict[int, Sums] = {}
        self._n = 0

    def add(self, number: int, sums: Sums) -> None:
        """Those of a part of this number in the text, which may come before earlier ones."""
        self._early[number] = sums
        while self._n in self._early:
            self._parts.append(self._early.pop(self._n))
            self._n += 1
            if len(self._parts) == TOGETHER:
                self._parts = [Sums.joined(self._parts, self._k)]

    def joined(self) -> Sums:
        """Those of the whole text, of which every part has come."""
        return Sums.joined(self._parts, self._k)


def joined_by_key(parts: Sequence[Mapping[K, J]]) -> dict[K, J]:
    """For every key the arrays of all parts of the text."""
    return {key: type(one).joined([part[key] for part in parts]) for key, one in parts[0].items()}


def runs_of(saes: Sequence[Sae]) -> int:
    """How often each token goes through the whole model."""
    return 1 + len(saes) + 2 * len({sae.write_point.name for sae in saes})


def cut(n_sequences: int, batch: int) -> list[tuple[int, int]]:
    """The blocks of a text, each with its first sequence and the one after its last."""
    step = batch * max(1, -(-n_sequences // (batch * MOST_BLOCKS)))
    return [(k, min(k + step, n_sequences)) for k in range(0, n_sequences, step)]


def means_of(
    model: LanguageModel,
    saes: Sequence[Sae],
    tokens: NDArray[np.int32],
    counted: NDArray[np.bool_],
) -> dict[str, Floats]:
    """The mean activation where each SAE writes, over the first `MEAN_TOKENS` counted tokens.

    Args:
        model: The language model, which runs up to the deepest of these hook points.
        saes: The SAEs.
        tokens: Token ids of whole sequences, `[n, pos]`.
        counted: Tokens that count, `[n, pos]`.
    """
    names = sorted({sae.write_point.name for sae in saes})
    within = counted & (np.cumsum(counted).reshape(counted.shape) <= MEAN_TOKENS)
    some = within.any(axis=1)
    text = Sequences(
        torch.from_numpy(tokens[some].astype(np.int64)).to(model.device),
        torch.from_numpy(within[some]).to(model.device),
    )

    def sums(batch: Sequences) -> dict[str, Floats]:
        acts = forward(model, batch.tokens, reads=names).acts
        counts = counts_of(batch.counted)
        return {name: by_sequence(acts[name][batch.counted], counts) for name in names}

    batches = SequenceBatches(sequences_at_a_time(text.tokens.shape[1], model.d_vocab))
    parts = [*batches.over(text, sums)]
    n = int(within.sum())
    return {name: np.concatenate([part[name] for part in parts]).sum(axis=0) / n for name in names}


def block_sums(
    model: LanguageModel, saes: Sequence[Sae], block: Block, told: Callable[[int], None]
) -> Sums:
    """The sums of a block.

    Args:
        model: The language model.
        saes: The SAEs that the block names, in that order.
        block: The block.
        told: Is told how many tokens more have gone through the whole model.
    """
    with torch.no_grad():
        text = block.sequences(model.device)
        batches = SequenceBatches(sequences_at_a_time(text.tokens.shape[1], model.d_vocab))
        parts = batches.over(text, lambda part: _batch_sums(model, saes, part, block, told))
        found = Joining(block.n_unusual)
        for number, sums in enumerate(parts):
            found.add(number, sums)
    return found.joined()


def _batch_sums(
    model: LanguageModel,
    saes: Sequence[Sae],
    batch: Sequences,
    block: Block,
    told: Callable[[int], None],
) -> Sums:
    judge, n = _Judge(model, batch), int(batch.counted.sum())
    names = sorted({name for sae in saes for name in places(sae)})
    run = forward(model, batch.tokens, reads=names, logits=True)
    acts = run.acts
    losses = {ORIGINAL: judge.true(run.logits)}
    del run
    told(n)
    counts = counts_of(batch.counted)
    activations, largest, chosen, fits, errors = {}, {}, {}, {}, {}
    for name in sorted({sae.write_point.name for sae in saes}):
        activations[name], largest[name], chosen[name] = activations_of(
            acts[name][batch.counted], counts, batch.first, block.n_unusual
        )
        for kind, value in ablations(acts[name], batch.counted, block.means[name]):
            losses[kind, name] = judge.with_put(name, value)
            told(n)
    for sae in saes:
        name = sae.write_point.name
        stand = stand_of(sae, acts, batch.counted, counts)
        fits[sae.slug], errors[sae.slug] = stand.fit, stand.error[chosen[name]]
        losses["spliced", sae.slug] = judge.with_put(name, stand.value)
        told(n)
    written = {sae.slug: sae.write_point.name for sae in saes}
    return Sums(activations, largest, fits, errors, losses, written)


def ablations(true: Tensor, counted: Tensor, mean: Floats) -> Iterator[tuple[str, Tensor]]:
    """`zero` and `mean` with what stands at a hook point then, `[n, pos, width]`."""
    for kind, value in (("zero", np.zeros_like(mean)), ("mean", mean)):
        instead = torch.from_numpy(value).to(true.dtype).to(true.device)
        yield kind, torch.where(counted.to(true.device)[..., None], instead, true)


class _Judge:
    """Compares what runs of the model predict for some sequences.

    Args:
        model: The language model.
        batch: The sequences.
    """

    def __init__(self, model: LanguageModel, batch: Sequences) -> None:
        predicting = batch.predicting()
        self._model, self._tokens = model, batch.tokens
        self._at = torch.where(predicting.reshape(-1))[0]
        self._counts = counts_of(predicting)
        self._targets = batch.tokens.reshape(-1)[self._at + 1]
        self._chunk = max(1, CHUNK_BYTES // (4 * model.d_vocab))
        self._true: Tensor | None = None

    def true(self, logits: Tensor | None) -> Losses:
        """Of the true run, which the others are compared with from then on."""
        losses, self._true = self._of(logits)
        return losses

    def with_put(self, name: str, value: Tensor) -> Losses:
        """Of a run with a value at a hook point."""
        edits: dict[str, Any] = {name: lambda _: value}
        return self._of(forward(self._model, self._tokens, edits=edits, logits=True).logits)[0]

    def _of(self, logits: Tensor | None) -> tuple[Losses, Tensor | None]:
        if logits is None:
            raise RuntimeError("a pass for logits gave none")
        chosen = logits.flatten(0, 1)[self._at]
        return losses_of(chosen, self._targets, self._true, self._counts, self._chunk)
