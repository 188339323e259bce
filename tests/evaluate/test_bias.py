"""The bias test: planted spurious data, exact effects, and what taking latents out does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from saereport.evaluate.bias import (
    Biased,
    BiasTask,
    ListedLatents,
    Written,
    divided,
    effects,
    judged,
    latent_columns,
    score_columns,
    shifted,
)
from saereport.evaluate.pooled import PooledLatents, TextTokens, pooled
from saereport.pipeline.bias import written_by
from saereport.util.progress import Progress
from tests.factories import tiny_tokens

QUIET = Progress(quiet=True)
D, LABEL, ATTRIBUTE = 30, 4, 9
"""Latents, of which one carries the label weakly and one the attribute strongly."""


def planted(n: int = 240, seed: int = 0) -> tuple[BiasTask, np.ndarray, Written, np.ndarray]:
    """Latents that write what they are, into activations that hold something else too."""
    rng = np.random.default_rng(seed)
    y, attribute = np.arange(n) % 2 == 0, np.arange(n) // 2 % 2 == 0
    f = rng.random((n, D)) * (rng.random((n, D)) < 0.3)
    f[:, LABEL] = 1.0 * y + 0.3 * rng.random(n)
    f[:, ATTRIBUTE] = 4.0 * attribute + 0.1 * rng.random(n)
    rows = np.linalg.qr(rng.normal(size=(D, D)))[0]
    raw = (f @ rows + 0.2 * rng.normal(size=(n, D))).astype(np.float32)
    parts = divided(y, attribute, 0.3, 0)
    text = TextTokens((0, 5, 6), (False, True, True))
    written = Written(
        csr_array(f), lambda latents: rows[latents], lambda direction: rows @ direction
    )
    return BiasTask([text] * n, y, attribute, *parts), raw, written, rows


def test_taking_out_what_carries_the_attribute_raises_the_worst_group() -> None:
    task, raw, written, _ = planted()
    probes = Biased.fitted(task, raw, 0)
    found = shifted(task, raw, written, probes, np.array([ATTRIBUTE]), (5, 0))
    accuracy = {name: one.accuracy.value for name, (_, one) in found.variants.items()}
    worst = {name: one.worst.value for name, (_, one) in found.variants.items()}
    assert worst["original"] < 0.4
    assert worst["judged_mean"] > worst["original"] + 0.4
    assert worst["retrained"] > 0.9
    assert accuracy["balanced"] > 0.95
    assert abs(worst["random_mean"] - worst["original"]) < 0.15
    # What the probe's intercept reckoned with is gone: all of one label is told wrong.
    assert worst["judged"] < 0.1
    # Who knows the attribute finds the latent without being told.
    assert found.variants["skyline"][0] == 1
    assert worst["skyline_mean"] == worst["judged_mean"]
    assert int(np.argmax(np.abs(found.effect))) == ATTRIBUTE
    assert int(np.argmax(np.abs(found.on_attribute))) == ATTRIBUTE


def test_without_a_judgement_the_references_are_still_there() -> None:
    task, raw, written, _ = planted()
    found = shifted(task, raw, written, Biased.fitted(task, raw, 0), np.array([], int), (3, 0))
    ends = ("", "_mean")
    assert set(found.variants) == {
        "original",
        "balanced",
        *(f"{name}{end}" for name in ("skyline", "random") for end in ends),
    }
    assert found.variants["skyline"][0] == found.variants["random"][0] == 3


def test_an_effect_is_what_taking_the_latent_out_takes_from_the_gap() -> None:
    task, raw, written, rows = planted()
    probes = Biased.fitted(task, raw, 0)
    weights = probes.probe.weights
    found = effects(written, weights, task.y, task.train)
    f = written.latents.toarray()

    def gap(x: np.ndarray) -> float:
        logits = probes.probe.logits(x)
        return float(logits[task.train & task.y].mean() - logits[task.train & ~task.y].mean())

    for latent in (LABEL, ATTRIBUTE, 17):
        without = raw.astype(np.float64) - np.outer(f[:, latent], rows[latent])
        assert gap(raw) - gap(without) == pytest.approx(found[latent], abs=1e-9)
    # With what the latents do not write, the parts are the whole.
    error = raw - f @ rows
    assert found.sum() + gap(error.astype(np.float64)) == pytest.approx(gap(raw), abs=1e-6)


def test_texts_are_for_one_thing_only() -> None:
    rng = np.random.default_rng(1)
    y, attribute = rng.random(200) < 0.6, rng.random(200) < 0.4
    train, balanced, test = divided(y, attribute, 0.3, 7)
    assert not (train & test).any()
    assert not (balanced & test).any()
    assert (y == attribute)[train].all()
    for part in (balanced, test):
        sizes = {int((part & (y == a) & (attribute == b)).sum()) for a in (0, 1) for b in (0, 1)}
        assert len(sizes) == 1
    smallest = min(int(((y == a) & (attribute == b)).sum()) for a in (0, 1) for b in (0, 1))
    assert int(test.sum()) == 4 * round(0.3 * smallest)
    assert int(train.sum()) == int((y == attribute).sum()) - int(test.sum()) // 2


def test_the_worst_group_and_few_texts() -> None:
    group = np.repeat(np.arange(4), 20)
    right = np.ones(80, bool)
    right[:5] = False
    found = judged(right, group)
    assert found.groups == (0.75, 1.0, 1.0, 1.0)
    assert found.worst.value == 0.75
    assert found.accuracy.value == pytest.approx(0.9375)
    low, high = found.worst.interval
    assert 0.5 < low < 0.75 < high < 1
    assert judged(np.ones(36, bool), np.repeat(np.arange(4), 9)).worst.interval == ()


def test_tables_list_what_matters_and_what_is_judged() -> None:
    task, raw, written, _ = planted()
    found = shifted(task, raw, written, Biased.fitted(task, raw, 0), np.array([3]), (2, 0))
    x = written.latents
    latents = PooledLatents(x, x, np.ones(x.nnz, np.int32))
    columns = latent_columns(found, task, latents, ListedLatents(2, {3: "list"}))
    assert {3, ATTRIBUTE} <= set(columns["latent"])
    place = columns["latent"].index(ATTRIBUTE)
    assert (columns["rank"][place], columns["judged"][place]) == (1, "")
    assert columns["judged"][columns["latent"].index(3)] == "list"
    assert columns["share"][place] == pytest.approx(found.effect[ATTRIBUTE] / found.gap)
    assert (columns["example"][place], columns["peak"][place]) == ([0, 5, 6], 1)
    assert score_columns(found)["variant"] == sorted(found.variants)


RESID, Z, MLP = "blocks.1.hook_resid_post", "blocks.1.attn.hook_z", "blocks.1.ln2.hook_normalized"


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("jumprelu", {"hook_name": RESID}),
        ("topk", {"hook_name": RESID, "normalize_activations": "layer_norm"}),
        ("topk", {"hook_name": RESID, "normalize_activations": "constant_norm_rescale"}),
        ("topk", {"hook_name": Z}),
        ("transcoder", {"hook_name": MLP}),
    ],
)
def test_what_latents_write_is_what_the_reconstruction_loses_without_them(
    tiny: Any, tiny_sae: Callable[..., Any], architecture: str, options: dict[str, Any]
) -> None:
    """Against SAELens's own decoder, with the latent's activation set to zero."""
    sae = tiny_sae(architecture, **options)
    texts = [
        TextTokens(tuple(row), tuple(token != 0 for token in row))
        for row in tiny_tokens(3, 12).tolist()
    ]
    place = sae.write_point.name
    acts = pooled(tiny, [sae], texts, QUIET, also=[place], as_written=True)
    written = written_by(sae, acts)
    direction = np.random.default_rng(0).normal(size=sae.d_out)
    along = np.asarray(written.along(direction))
    for i, text in enumerate(texts):
        a = tiny.run(torch.tensor([text.tokens]), [sae.hook_in.name])[sae.hook_in.name][0]
        f = sae.encode(a)
        active = torch.where(f[1:].abs().max(dim=0).values > 0.05)[0][:4].tolist()
        assert active
        for latent in active:
            less = f.clone()
            less[:, latent] = 0
            change = (sae.decode(f, a) - sae.decode(less, a))[1:].double().mean(dim=0).numpy()
            pooled_f = float(written.latents[[i]].toarray()[0, latent])
            row = np.asarray(written.rows(np.array([latent])))[0]
            np.testing.assert_allclose(pooled_f * row, change, atol=2e-4)
            assert pooled_f * along[latent] == pytest.approx(float(change @ direction), abs=2e-3)
