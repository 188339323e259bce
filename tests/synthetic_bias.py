"""A synthetic bias test, for runs of `tests.synthetic`."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_array

from saereport.evaluate.bias import (
    Biased,
    BiasTask,
    ListedLatents,
    Written,
    divided,
    latent_columns,
    score_columns,
    shifted,
)
from saereport.evaluate.labelled import LabelledText, LabelledTexts
from saereport.evaluate.pooled import PooledLatents, TextTokens
from saereport.pipeline.bias import group_rows
from saereport.pipeline.bias_task import BiasTexts
from saereport.run import RunWriter
from tests.synthetic import Extra, Shape

LABELS, ATTRIBUTES = ("nurse", "<b>professor</b>"), ("female", "male")


def bias(n: int = 160, *, without: tuple[int, ...] = ()) -> Extra:
    """All tables of every SAE.

    Args:
        n: Texts.
        without: SAEs, by place, that have no test.
    """

    def write(writer: RunWriter, shape: Shape, shown: dict[str, Any]) -> None:
        rng = np.random.default_rng([shape.seed, 17])
        y, attribute = np.arange(n) % 2 == 0, np.arange(n) // 2 % 2 == 0
        texts = [
            TextTokens((0, *rng.integers(1, shape.n_vocabulary, 9).tolist()), (False, *[True] * 9))
            for _ in range(n)
        ]
        task = BiasTask(texts, y, attribute, *divided(y, attribute, 0.4, 0))
        asked = BiasTexts(LabelledTexts("b", (LabelledText("x", "y"),), LABELS), LABELS, ATTRIBUTES)
        writer.write("bias_groups", group_rows(task, asked, {"n_cut": 3, "longest": 10}))
        for place, (slug, latents) in enumerate(shown.items()):
            if place not in without:
                _write(writer, rng, shape, task, slug, [int(one) for one in latents[:2]])

    return write


def _write(
    writer: RunWriter, rng: Any, shape: Shape, task: BiasTask, slug: str, latents: list[int]
) -> None:
    n, width = len(task.texts), 8
    f = rng.random((n, shape.d_sae)) * (rng.random((n, shape.d_sae)) < 0.3)
    f[:, latents[0]] += task.y
    f[:, latents[1]] += 3 * task.attribute
    rows = rng.normal(size=(shape.d_sae, width))
    raw = (f @ rows + 0.2 * rng.normal(size=(n, width))).astype(np.float32)
    x = csr_array(f)
    written = Written(x, lambda chosen: rows[chosen], lambda direction: rows @ direction)
    probes = Biased.fitted(task, raw, 0)
    found = shifted(task, raw, written, probes, np.array([latents[1]]), (4, 0))
    at = rng.integers(1, 10, x.nnz).astype(np.int32)
    listed = ListedLatents(4, {latents[1]: "list"})
    writer.write("bias_scores", score_columns(found), slug=slug)
    columns = latent_columns(found, task, PooledLatents(x, x, at), listed)
    writer.write("bias_latents", columns, slug=slug)
