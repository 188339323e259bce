"""Synthetic sparse probing, for runs of `tests.synthetic`."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_array

from saereport.evaluate.logistic import split
from saereport.evaluate.pooled import Pooled, PooledLatents, TextTokens
from saereport.evaluate.sparse_probing import Task, probed
from saereport.pipeline.probing import task_rows
from saereport.run import RunWriter
from tests.synthetic import Extra, Shape

HOSTILE_LABEL = "<img src=x onerror=self.stolen=1>"


def probes(n: int = 60, *, without: tuple[int, ...] = ()) -> Extra:
    """All tables of every SAE: a task of two labels, and one of three.

    Args:
        n: Texts of a task.
        without: SAEs, by place, that have no probes.
    """

    def write(writer: RunWriter, shape: Shape, shown: dict[str, Any]) -> None:
        rng = np.random.default_rng([shape.seed, 13])
        tasks = [
            _task(rng, shape, "reviews", n, ("good", HOSTILE_LABEL)),
            _task(rng, shape, "kinds", n, ("a", "b", "c")),
        ]
        writer.write("probing_tasks", task_rows(tasks))
        for place, (slug, latents) in enumerate(shown.items()):
            if place in without:
                continue
            acts = [_pooled(rng, shape, task, slug, latents) for task in tasks]
            made = probed(tasks, acts, slug, "hook", (("mean", "max"), (1, 3), 0))
            assert not isinstance(made, str)
            writer.write("probing_scores", made[0], slug=slug)
            writer.write("probing_latents", made[1], slug=slug)

    return write


def _task(rng: Any, shape: Shape, name: str, n: int, every: tuple[str, ...]) -> Task:
    labels = np.array([every[i % len(every)] for i in range(n)])
    texts = [
        TextTokens((0, *rng.integers(1, shape.n_vocabulary, 9).tolist()), (False, *[True] * 9))
        for _ in range(n)
    ]
    counts = ("n_duplicates", "n_conflicting", "n_not_drawn", "n_empty", "n_cut", "longest")
    about = dict(zip(counts, (2, 1, 0, 1, 7, 10), strict=True))
    concepts = every[:1] if len(every) == 2 else every
    return Task(name, texts, labels, concepts, split(labels, 0.4, 0), about)


def _pooled(rng: Any, shape: Shape, task: Task, slug: str, latents: Any) -> Pooled:
    n = len(task.texts)
    dense = rng.random((n, shape.d_sae)) * (rng.random((n, shape.d_sae)) < 0.4)
    # One shown latent carries each concept, so that some are linked.
    for place, concept in enumerate(task.concepts):
        dense[task.has(concept), int(latents[place])] += 2
    mean = csr_array(dense.astype(np.float32))
    at = rng.integers(1, 10, mean.nnz).astype(np.int32)
    raw = np.concatenate([dense[:, :6], rng.normal(size=(n, 4))], axis=1).astype(np.float32)
    largest = csr_array((2 * mean.data, mean.indices, mean.indptr), shape=mean.shape)
    return Pooled({"hook": raw}, {slug: PooledLatents(mean, largest, at)})
