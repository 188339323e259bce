"""Synthetic geometry of dictionaries, for runs of `tests.synthetic`."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from saereport.run import RunWriter
from saereport.run.geometry import N_BINS
from tests.synthetic import Shape

CLUSTERS, SPLITS, CHAINS = 8, 3, 5


def geometry(writer: RunWriter, shape: Shape, shown: dict[str, Any]) -> None:
    """All tables: SAEs that follow each other are compared, both ways."""
    rng = np.random.default_rng([shape.seed, 13])
    slugs = list(shown)
    others: dict[str, list[str]] = {slug: [] for slug in slugs}
    for one, other in pairwise(slugs):
        others[one].append(other)
        others[other].append(one)
    for slug, latents in shown.items():
        names = sorted(others[slug])
        if names:
            _write(writer, "dictionary_matches", slug, [_match(rng, shape, n) for n in names])
            rows = [_latent(rng, shape, int(x), n) for x in latents for n in names]
            _write(writer, "latent_matches", slug, rows)
            # The last of those that are shown, of which there are examples, is split and is a part.
            others_too = np.setdiff1d(np.arange(shape.d_sae), latents[-1:])
            split = [int(latents[-1]), *rng.choice(others_too, SPLITS - 1, replace=False).tolist()]
            rows = [
                _split(rng, shape, x, n, int(shown[n][-1])) for n in names for x in sorted(split)
            ]
            _write(writer, "feature_splits", slug, rows)
        rows = [_cluster(rng, shape, k, latents) for k in range(CLUSTERS)]
        _write(writer, "dictionary_clusters", slug, rows)
        rows = [
            {"latent": x, "cluster": x % (CLUSTERS + 3) - 1, "x": rng.normal(), "y": rng.normal()}
            for x in range(shape.d_sae)
        ]
        _write(writer, "cluster_places", slug, rows)
        rows = [{"latent": x, "tokens": _tokens(rng, shape, 6)} for x in range(shape.d_sae)]
        _write(writer, "latent_words", slug, rows)

    _chains(writer, rng, shape, shown)


def _chains(writer: RunWriter, rng: Any, shape: Shape, shown: dict[str, Any]) -> None:
    """Chains through all SAEs, the first ones of latents that are shown."""
    slugs = list(shown)
    if len(slugs) < 2:
        return
    rows = []
    for number in range(CHAINS):
        for step, slug in enumerate(slugs):
            latents = shown[slug]
            outer = step in (0, len(slugs) - 1)
            rows.append(
                {
                    "chain": number,
                    "step": step,
                    "sae": slug,
                    "latent": int(latents[number]) if number < len(latents) else number,
                    "cosine": [0.9 - number / 20] if step else [],
                    "nearest": [rng.uniform(0, 1)] if outer and number % 2 else [],
                    "together": [rng.uniform(-1, 1)] if step and number % 3 else [],
                    "threshold": 0.5,
                    "n_steps": len(slugs),
                    "n_as_long": CHAINS + 1,
                    "n_chains": CHAINS + 1,
                    "n_tokens": 512,
                }
            )
    writer.write("latent_chains", {c: [row[c] for row in rows] for c in rows[0]})


def _write(writer: RunWriter, name: str, slug: str, rows: list[dict[str, Any]]) -> None:
    writer.write(name, {column: [row[column] for row in rows] for column in rows[0]}, slug=slug)


def _tokens(rng: Any, shape: Shape, n: int) -> list[int]:
    return [int(t) for t in rng.choice(np.arange(1, shape.n_vocabulary), n, replace=False)]


def _latents(rng: Any, shape: Shape, n: int) -> list[int]:
    return [int(x) for x in rng.choice(shape.d_sae, n, replace=False)]


def _match(rng: Any, shape: Shape, other: str) -> dict[str, Any]:
    counts = rng.multinomial(shape.d_sae, np.full(N_BINS, 1 / N_BINS))
    n_matched = int(counts[12:].sum())
    return {
        "other": other,
        "space": "residual",
        "hook": "",
        "n_latents": shape.d_sae,
        "n_others": shape.d_sae,
        "n_without": 1,
        "threshold": 0.5,
        "mean": 0.4,
        "median": 0.42,
        "n_matched": n_matched,
        "matched": n_matched / shape.d_sae,
        "n_mutual": n_matched // 2,
        "counts": counts,
        "chance_mean": 0.2,
        "chance_median": 0.21,
        "chance_high": 0.3,
        "chance_counts": rng.multinomial(100, np.full(N_BINS, 1 / N_BINS)),
        "split_from": 0.5,
        "n_split": SPLITS + 1,
        "n_parts": 4 * SPLITS,
        "unmatched": _latents(rng, shape, 5),
        "unmatched_cosines": np.sort(rng.uniform(0, 0.5, 5)),
    }


def _latent(rng: Any, shape: Shape, latent: int, other: str) -> dict[str, Any]:
    n = latent % 4
    return {
        "latent": latent,
        "other": other,
        "best": _latents(rng, shape, 1)[0],
        "cosine": rng.uniform(0.1, 0.9),
        "mutual": bool(latent % 2),
        "parts": _latents(rng, shape, n),
        "part_cosines": -np.sort(-rng.uniform(0.5, 1, n)),
    }


def _split(rng: Any, shape: Shape, latent: int, other: str, part: int) -> dict[str, Any]:
    parts = [part, *(int(x) for x in _latents(rng, shape, 3) if x != part)][:3]
    return {
        "latent": latent,
        "other": other,
        "n_parts": 3,
        "parts": parts,
        "cosines": -np.sort(-rng.uniform(0.5, 1, 3)),
        "within": 0.6,
    }


def _cluster(rng: Any, shape: Shape, number: int, shown: Any) -> dict[str, Any]:
    members = list(dict.fromkeys([*shown[:4].tolist(), *_latents(rng, shape, 3)]))
    n_tokens = 0 if number == CLUSTERS - 1 else 5
    return {
        "cluster": number,
        "size": 30 - number,
        "cohesion": 0.4,
        "members": members,
        "member_cosines": np.linspace(0.9, 0.5, len(members)),
        "tokens": _tokens(rng, shape, n_tokens),
        "token_counts": [2] * n_tokens,
        "n_looked": 7,
        "cut": 0.2,
        "cut_asked": False,
        "n_clusters": CLUSTERS + 2,
        "n_clustered": shape.d_sae // 4,
        "n_latents": shape.d_sae,
    }
