"""Events of a realistic shape without a model: what the statistics of a text cost by themselves.

Densities of latents are log-normal with a given mean L0, activations have a heavy tail, tokens
follow Zipf's law. Latents fire independently of each other and of the token, which is the worst
case for what counts pairs: no two pairs of latents, or of latent and token, are spared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WORDS_IN_A_DOCUMENT = 600


@dataclass(frozen=True)
class Shape:
    """What an SAE and its text are like.

    Attributes:
        d_sae: Latents of the dictionary.
        l0: Latents active on a token, on average.
        context: Tokens in a sequence.
        d_vocab: Size of the vocabulary.
        spread: Standard deviation of the natural logarithm of the latents' densities.
    """

    d_sae: int
    l0: float
    context: int
    d_vocab: int = 50_257
    spread: float = 2.0


SHAPES = {
    "24k": Shape(24_576, 69, 128),
    "16k": Shape(16_384, 80, 1_024, d_vocab=256_000),
    "131k": Shape(131_072, 100, 1_024, d_vocab=256_000),
    "tiny": Shape(256, 6, 16, d_vocab=300),
}


@dataclass(frozen=True, eq=False)
class Drawn:
    """Consecutive sequences and the latents that are active in them.

    Attributes:
        first: Index of the first sequence.
        tokens, documents: int32[n, ctx].
        counted: bool[n, ctx]; the first token of a sequence does not count.
        flat: Each event's token as an index into the flattened sequences, ascending, int64[m].
        latent: Ascending within a token, int64[m].
        value: Activations, float32[m].
    """

    first: int
    tokens: NDArray[np.int32]
    documents: NDArray[np.int32]
    counted: NDArray[np.bool_]
    flat: NDArray[np.int64]
    latent: NDArray[np.int64]
    value: NDArray[np.float32]


def densities(shape: Shape, rng: np.random.Generator) -> NDArray[np.float64]:
    """How often each latent is active: log-normal, at most every other token, mean sum `l0`."""
    share = rng.lognormal(0, shape.spread, shape.d_sae)
    for _ in range(20):
        share *= shape.l0 / share.sum()
        share = np.minimum(share, 0.5)
    return share


def draws(shape: Shape, tokens: int, batch: int, seed: int = 0) -> Iterator[Drawn]:
    """Batches of about `batch` tokens, until there are `tokens`; one is held at a time."""
    rng = np.random.default_rng(seed)
    share = densities(shape, rng)
    latents = np.cumsum(share / share.sum())
    words = np.cumsum(1 / np.arange(1, shape.d_vocab + 1) ** 1.05)
    words /= words[-1]
    typical = rng.lognormal(0, 0.7, shape.d_sae).astype(np.float32)
    per_batch = max(1, batch // shape.context)
    n_sequences = max(1, tokens // shape.context)
    for first in range(0, n_sequences, per_batch):
        n = min(per_batch, n_sequences - first)
        size = n * shape.context
        m = rng.poisson(shape.l0 * size)
        latent = np.minimum(np.searchsorted(latents, rng.random(m)), shape.d_sae - 1)
        key = rng.integers(0, size, m) * shape.d_sae + latent
        key.sort()
        # Drawn with replacement: an active latent is active once.
        key = key[np.concatenate([[True], key[1:] != key[:-1]])] if m else key
        flat, latent = np.divmod(key, shape.d_sae)
        counted = np.ones((n, shape.context), dtype=np.bool_)
        counted[:, 0] = False
        kept = counted.reshape(-1)[flat]
        flat, latent = flat[kept], latent[kept]
        place = first * shape.context + np.arange(size)
        yield Drawn(
            first=first,
            tokens=np.searchsorted(words, rng.random(size)).astype(np.int32).reshape(n, -1),
            documents=(place // WORDS_IN_A_DOCUMENT).astype(np.int32).reshape(n, -1),
            counted=counted,
            flat=flat,
            latent=latent,
            value=typical[latent] * np.exp(rng.standard_normal(len(flat), dtype=np.float32)),
        )
