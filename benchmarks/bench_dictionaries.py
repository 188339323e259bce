"""What is said of whole dictionaries, against the bare products that it cannot do without.

Two dictionaries are matched both ways: beside it stands the product of all rows with all rows. The
logit lens has the moments of each latent over the vocabulary, and scores of token sets: beside them
stands the product of latents and unembedding. Sparse probing chooses latents on labelled texts and
fits probes: beside it stands the probe on activations. All pieces are as large as they are in a
build; rows, weights and texts are drawn. The lens is of some latents, which take as long as any
others. Both sides of a ratio take turns, and the best of each counts; on a CPU by the processor's
time, which other work slows less than the clock.

    python benchmarks/bench_dictionaries.py [--latents 25000] [--width 2304] [--vocabulary 50000]
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch
from scipy.sparse import csr_array

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from saereport.evaluate.logistic import fit_many, split  # noqa: E402
from saereport.evaluate.sparse_probing import probe_concept  # noqa: E402
from saereport.measure.geometry.matching import MEMORY, best_matches  # noqa: E402
from saereport.measure.weights.enrichment import running_sums  # noqa: E402
from saereport.measure.weights.whole_lens import central_moments  # noqa: E402

LENS_MEMORY = 256 * 2**20
"""Bytes of a piece of the logit lens."""
SET_SIZES = (10, 100, 1_000, 10_000)
"""Tokens in the token sets, of each size some."""
SETS_OF_A_SIZE = 8
ACTIVE = 200
"""Latents that are active on a labelled text."""

Pair = tuple[Callable[[], object], Callable[[], object]]


def unit_rows(n: int, width: int, seed: int) -> torch.Tensor:
    """Directions of length one, float32 `[n, width]`."""
    rows = torch.randn((n, width), generator=torch.Generator().manual_seed(seed))
    return rows / rows.norm(dim=1, keepdim=True)


def product(first: torch.Tensor, second: torch.Tensor, step: int) -> None:
    """All rows with all rows, some at a time."""
    for start in range(0, len(first), step):
        first[start : start + step] @ second.T


def matching(latents: int, width: int, device: str) -> Pair:
    """Two dictionaries of one size, both ways, and their product."""
    first, second = (unit_rows(latents, width, seed).to(device) for seed in (0, 1))
    step = max(1, MEMORY // (8 * latents))
    return lambda: product(first, second, step), lambda: best_matches(first, second)


def lens(latents: int, width: int, vocabulary: int, device: str) -> dict[str, Pair]:
    """Moments of latents over the vocabulary, those with token sets, and the product."""
    rows = unit_rows(latents, width, 0).to(device)
    unembedding = unit_rows(vocabulary, width, 1).to(device)
    step = max(1, LENS_MEMORY // (4 * vocabulary))
    generator = torch.Generator().manual_seed(2)
    sizes = [size for size in SET_SIZES if size < vocabulary for _ in range(SETS_OF_A_SIZE)]
    sets = [torch.randperm(vocabulary, generator=generator)[:size].sort().values for size in sizes]

    def measured(*, with_sets: bool) -> None:
        for start in range(0, latents, step):
            scores = rows[start : start + step] @ unembedding.T
            central_moments(scores)
            if with_sets:
                running_sums(scores, sets, LENS_MEMORY)

    bare = lambda: product(rows, unembedding, step)  # noqa: E731 - one side of both ratios
    return {
        "lens": (bare, lambda: measured(with_sets=False)),
        "lens with token sets": (bare, lambda: measured(with_sets=True)),
    }


def probing(latents: int, width: int, texts: int) -> Pair:
    """Probes of one concept on the latents of texts, and the one on activations alone."""
    rng = np.random.default_rng(0)
    each = min(ACTIVE, latents)
    columns = np.concatenate([rng.choice(latents, each, replace=False) for _ in range(texts)])
    values = rng.random(len(columns), dtype=np.float32)
    x = csr_array((values, columns, np.arange(0, len(columns) + 1, each)), shape=(texts, latents))
    raw = rng.standard_normal((texts, width), dtype=np.float32)
    y = rng.random(texts) < 0.5
    held_out = split(y, 0.3, 0)
    return (
        lambda: fit_many(raw[~held_out], y[~held_out], 0),
        lambda: probe_concept(x, raw, y, held_out, (1, 5), 0),
    )


def timed(work: Callable[[], object], device: str) -> float:
    """Seconds that some work takes."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    start = clock()
    work()
    if device != "cpu":
        torch.cuda.synchronize()
    return clock() - start


@click.command()
@click.option("--latents", default=25_000, show_default=True, help="In each dictionary.")
@click.option("--lens", "lens_latents", default=2_000, show_default=True, help="In the lens.")
@click.option("--width", default=2_304, show_default=True)
@click.option("--vocabulary", default=50_000, show_default=True)
@click.option("--texts", default=1_000, show_default=True, help="With labels.")
@click.option("--rounds", default=1, show_default=True)
@click.option("--device", default="cpu", show_default=True)
def main(**asked: int | str) -> None:
    """Print seconds of both sides of each ratio, and the ratio, as JSON."""
    names = ("latents", "lens_latents", "width", "vocabulary", "texts", "rounds")
    latents, few, width, vocabulary, texts, rounds = (int(asked[name]) for name in names)
    device = str(asked["device"])
    pairs: dict[str, Callable[[], dict[str, Pair]]] = {
        "matching": lambda: {"matching": matching(latents, width, device)},
        "lens": lambda: lens(few, width, vocabulary, device),
        "probing": lambda: {"probing": probing(latents, width, texts)},
    }
    record: dict[str, object] = {**asked}
    for make in pairs.values():
        for name, sides in make().items():
            turns = [[timed(side, device) for side in sides] for _ in range(rounds)]
            best = [min(side) for side in zip(*turns, strict=True)]
            record[name] = {
                "bare_seconds": round(best[0], 3),
                "seconds": round(best[1], 3),
                "ratio": round(best[1] / best[0], 3) if best[0] else None,
            }
    click.echo(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
