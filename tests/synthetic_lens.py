"""Synthetic logit lenses of whole dictionaries, for runs of `tests.synthetic`."""

from __future__ import annotations

from typing import Any

import numpy as np

from saereport.measure.weights.enrichment import permutation_null
from saereport.pipeline.lens import Found, Sets, moment_rows, score_rows, set_rows
from saereport.run import RunWriter
from saereport.run.lens import EXTREMES, KINDS, farthest
from saereport.sources.token_sets import TokenSet
from tests.synthetic import Extra, Shape

OWN = "my <b>own</b> set"
SETS = {"digits": 12, "given_names": 30, "latin": 400, OWN: 9, "thai": 2}
"""Sizes of the sets, of which the last is too small to be tested."""
N = 199


def lenses(*, without: tuple[int, ...] = (), every: bool = True, sets: bool = True) -> Extra:
    """The tables of every SAE.

    Args:
        without: SAEs, by place, that have none.
        every: Whether all latents are measured, else every third and the shown ones.
        sets: Whether token sets are tested.
    """

    def write(writer: RunWriter, shape: Shape, shown: dict[str, Any]) -> None:
        rng = np.random.default_rng([shape.seed, 17])
        made = _sets(rng, shape)
        n = len(made.ranked)
        nulls = {size: permutation_null(size, n, N, 0) for size in made.sizes}
        for place, (slug, chosen) in enumerate(shown.items()):
            if place in without:
                continue
            own = np.asarray(chosen, dtype=np.int64)
            latents = np.arange(shape.d_sae) if every else np.union1d(own, np.arange(0, 9, 3))
            found = _found(rng, latents, own, made)
            for name, columns in moment_rows(found).items():
                writer.write(name, columns, slug=slug)
            writer.write("lens_extremes", _extremes(rng, shape, found), slug=slug)
            for name, columns in score_rows(found, made, nulls, own).items() if sets else ():
                writer.write(name, columns, slug=slug)
        if sets:
            writer.write("token_sets", set_rows(made, N))

    return write


def _sets(rng: Any, shape: Shape) -> Sets:
    ranked = np.arange(1, shape.n_vocabulary)
    every = tuple(
        TokenSet(
            name,
            name == OWN,
            tuple(sorted(rng.choice(ranked, size, replace=False).tolist())),
            ("<i>no</i> token",) if name == OWN else (),
        )
        for name, size in SETS.items()
    )
    return Sets(every, every[:-1], ranked, 3)


def _found(rng: Any, latents: Any, tested: Any, made: Sets) -> Found:
    kurtosis = rng.gamma(0.7, 1.2, len(latents)) - 0.4
    skewness = rng.normal(0, 0.5, len(latents))
    moments = np.stack(
        [rng.normal(size=len(latents)), rng.gamma(4, 0.05, len(latents)), skewness, kurtosis]
    )
    n = len(made.ranked)
    sizes = np.array([len(one.tokens) for one in made.tested])
    far = rng.uniform(-1, 1, (len(tested), len(sizes))) ** 3
    return Found(latents, moments, tested, (far * sizes * (n - sizes)).astype(np.int64))


def _extremes(rng: Any, shape: Shape, found: Found) -> dict[str, Any]:
    _, std, skewness, kurtosis = found.moments
    rows = farthest(std, skewness, kurtosis, EXTREMES)
    order = [(kind, rank, row) for kind in sorted(KINDS) for rank, row in enumerate(rows[kind])]
    ends = {
        f"{end}_{what}": [
            rng.choice(shape.n_vocabulary, 5, replace=False).astype(np.int32)
            if what == "tokens"
            else np.sort(rng.normal(size=5).astype(np.float32))
            for _ in order
        ]
        for end in ("top", "bottom")
        for what in ("tokens", "values")
    }
    return {
        "kind": [kind for kind, *_ in order],
        "rank": [rank for _, rank, _ in order],
        "latent": found.latents[[row for *_, row in order]],
        **ends,
    }
