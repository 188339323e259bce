"""Sparse probing: a planted concept is found, and pooling is that of one text after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from saereport.evaluate import pooled as pooling
from saereport.evaluate.logistic import fit, split
from saereport.evaluate.pooled import Pooled, PooledLatents, TextTokens, pooled
from saereport.evaluate.sparse_probing import Task, best, differences, probe_concept, probed
from saereport.util.progress import Progress
from tests.factories import tiny_tokens

QUIET = Progress(quiet=True)
RESID, Z, MLP = "blocks.1.hook_resid_post", "blocks.1.attn.hook_z", "blocks.1.ln2.hook_normalized"
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "jumprelu": ("jumprelu", {"hook_name": RESID}),
    "z": ("topk", {"hook_name": Z}),
    "transcoder": ("transcoder", {"hook_name": MLP}),
    "normalised": ("topk", {"hook_name": RESID, "normalize_activations": "layer_norm"}),
}


def texts() -> list[TextTokens]:
    """Texts of several lengths, mixed; BOS does not count."""
    found = []
    for i, row in enumerate(tiny_tokens(7, 14).tolist()):
        tokens = tuple(row[: 5 + 3 * (i % 4)])
        found.append(TextTokens(tokens, tuple(token != 0 for token in tokens)))
    return found


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_pooling_is_that_of_each_text_alone(
    tiny: Any,
    tiny_sae: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    small: bool,
) -> None:
    if small:  # one text at a time, and a token at a time
        monkeypatch.setattr(pooling, "TOKENS_TOGETHER", 1)
        monkeypatch.setattr(pooling, "VALUES_TOGETHER", 1)
    sae = tiny_sae(KINDS[kind][0], **KINDS[kind][1])
    also = "blocks.2.hook_resid_pre"
    found = pooled(tiny, [sae], texts(), QUIET, also=[also])
    latents = found.latents[sae.slug]
    for i, text in enumerate(texts()):
        acts = tiny.run(torch.tensor([text.tokens]), [sae.hook_in.name, also])
        a = acts[sae.hook_in.name][0, 1:]
        np.testing.assert_allclose(
            found.activations[also][i], acts[also][0, 1:].mean(dim=0), atol=1e-5
        )
        f = sae.encode(a)
        np.testing.assert_allclose(latents.mean[[i]].toarray()[0], f.mean(dim=0), atol=1e-4)
        np.testing.assert_allclose(latents.max[[i]].toarray()[0], f.max(dim=0).values, atol=1e-4)
        for latent in torch.where(f.max(dim=0).values > 1e-2)[0].tolist():
            at = latents.peak(i, latent)
            assert float(f[at - 1, latent]) == pytest.approx(float(f[:, latent].max()), abs=1e-4)


def test_memory_that_runs_out_makes_smaller_batches(
    tiny: Any, tiny_sae: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sae = tiny_sae("jumprelu", hook_name=RESID)
    whole = pooled(tiny, [sae], texts(), QUIET)
    real = type(tiny).run

    def narrow(self: Any, tokens: torch.Tensor, hooks: Any) -> Any:
        if len(tokens) > 1:
            raise torch.OutOfMemoryError
        return real(self, tokens, hooks)

    monkeypatch.setattr(type(tiny), "run", narrow)
    part = pooled(tiny, [sae], texts(), QUIET)
    np.testing.assert_allclose(part.activations[RESID], whole.activations[RESID], atol=1e-5)


def test_latents_that_are_no_numbers_are_not_taken_for_silent_ones(
    tiny: Any, tiny_sae: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sae = tiny_sae("jumprelu", hook_name=RESID)
    real = type(sae).encode

    def broken(self: Any, a: torch.Tensor) -> torch.Tensor:
        f = real(self, a).clone()
        f[..., 3] = torch.nan
        return f

    monkeypatch.setattr(type(sae), "encode", broken)
    latents = pooled(tiny, [sae], texts(), QUIET).latents[sae.slug]
    assert np.isnan(latents.max[:, [3]].toarray()).all()
    assert np.isnan(latents.mean[:, [3]].toarray()).all()


# ---- probes

D, N, CONCEPT = 400, 120, 37


def planted(seed: int = 0, shift: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Sparse latents of which one is stronger where the concept is."""
    rng = np.random.default_rng(seed)
    y = np.arange(N) % 3 == 0
    x = rng.random((N, D)) * (rng.random((N, D)) < 0.2)
    x[:, CONCEPT] += shift * y
    return x.astype(np.float32), y


def test_the_planted_latent_is_found_and_tells_the_concept() -> None:
    x, y = planted()
    held = split(y, 0.3, 0)
    raw = np.random.default_rng(5).normal(size=(N, 8)).astype(np.float32)
    found = probe_concept(csr_array(x), raw, y, held, (1, 5), 0)
    assert found is not None
    assert found.latents[0] == CONCEPT
    assert found.scores["latents", 1].auc.value == 1
    assert found.probe.standardised[0] > np.abs(found.probe.standardised[1:]).max()
    # Noise tells nothing, by a probe or by shuffled labels.
    assert found.scores["activations", 0].auc.value < 0.75
    assert found.scores["shuffled", 5].auc.value == pytest.approx(0.5, abs=0.1)
    assert found.scores["majority", 0].accuracy.value == pytest.approx((~y[held]).mean())
    # An independent fit of the same features says the same of every held-out text.
    alone = fit(x[~held][:, found.latents], y[~held])
    right = (alone.logits(x[held][:, found.latents]) > 0) == y[held]
    assert np.array_equal(right, found.right)


def test_without_a_concept_nothing_is_told() -> None:
    x, y = planted(shift=0.0)
    found = probe_concept(csr_array(x), x[:, :5], y, split(y, 0.3, 0), (20,), 0)
    assert found is not None
    low, high = found.scores["latents", 20].auc.interval
    assert low < 0.5 < high


def test_ranking_is_by_the_difference_of_means() -> None:
    x, y = planted(seed=4)
    means = differences(csr_array(x), y)
    np.testing.assert_allclose(means[0], x[y].mean(axis=0), rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(means[1], x[~y].mean(axis=0), rtol=1e-5, atol=1e-8)
    size = [abs(x[y, i].astype(float).mean() - x[~y, i].astype(float).mean()) for i in range(D)]
    assert best(means, 7).tolist() == sorted(range(D), key=lambda i: (-size[i], i))[:7]
    equal = np.array([[1.0, 0.0, 1.0, 0.5], [0.0, 0.0, 0.0, 0.5]])
    assert best(equal, 4).tolist() == [0, 2]


def task(x: np.ndarray, labels: list[str], concepts: tuple[str, ...]) -> tuple[Task, Pooled]:
    mean = csr_array(x)
    tokens = [TextTokens((0, 5, 6, 7), (False, True, True, True))] * len(labels)
    held = split(np.array(labels), 0.4, 0)
    at = np.full(mean.nnz, 2, np.int32)
    acts = Pooled({"hook": x[:, :4]}, {"sae": PooledLatents(mean, mean, at)})
    return Task("t", tokens, np.array(labels), concepts, held), acts


def test_tables_hold_every_concept_and_their_means() -> None:
    x, y = planted()
    one, acts = task(x, ["yes" if label else "no" for label in y], ("yes", "no"))
    made = probed([one], [acts], "sae", "hook", (("mean", "max"), (1, 3, 1000), 0))
    assert not isinstance(made, str)
    scores, latents = made
    rows = [dict(zip(scores, v, strict=True)) for v in zip(*scores.values(), strict=True)]
    sizes = {r["k"] for r in rows if r["probe"] == "latents" and r["concept"] == "yes"}
    # Of a probe on more latents than there are, all are used.
    assert sizes == {1, 3, max(sizes)}
    assert max(sizes) <= D
    assert len({tuple(r[k] for k in ("task", "concept", "pooling", "probe", "k")) for r in rows})
    best_of = {
        r["concept"]: r["accuracy"]
        for r in rows
        if (r["probe"], r["pooling"], r["k"]) == ("latents", "mean", max(sizes))
    }
    (mean,) = [
        r["accuracy"]
        for r in rows
        if (r["task"], r["probe"], r["pooling"]) == ("*", "latents", "mean")
    ]
    assert mean == pytest.approx(np.mean([best_of["yes"], best_of["no"]]))
    place = next(
        i
        for i, latent in enumerate(latents["latent"])
        if (latent, latents["concept"][i], latents["pooling"][i]) == (CONCEPT, "yes", "mean")
    )
    train = ~one.held_out
    assert latents["rank"][place] == 1
    assert latents["with_concept"][place] == pytest.approx(x[train & y, CONCEPT].mean(), rel=1e-5)
    assert latents["share_without"][place] == pytest.approx((x[train & ~y, CONCEPT] > 0).mean())
    assert (latents["example"][place], latents["peak"][place]) == ([0, 5, 6, 7], 2)


def test_numbers_that_no_run_can_hold_and_dead_latents_are_left_out() -> None:
    x, y = planted()
    labels = ["yes" if label else "no" for label in y]
    one, acts = task(np.zeros_like(x), labels, ("yes",))
    asked = (("mean",), (1,), 0)
    assert probed([one], [acts], "sae", "hook", asked) == "no latent differs between the classes"  # type: ignore[arg-type]
    x[3, 5] = np.inf
    one, acts = task(x, labels, ("yes",))
    assert probed([one], [acts], "sae", "hook", asked) == "its numbers are not finite"  # type: ignore[arg-type]


def test_a_probe_on_activations_is_judged_on_texts_that_it_did_not_see() -> None:
    """Noise of many dimensions is told apart where it was fitted to, and nowhere else."""
    rng = np.random.default_rng(5)
    y = np.arange(120) % 2 == 1
    raw = rng.normal(size=(120, 200)).astype(np.float32)
    x = csr_array(np.where(rng.random((120, 4)) < 0.5, 1.0, 0.0).astype(np.float32))
    found = probe_concept(x, raw, y, split(y, 0.4, 0), [2], 0)
    assert found is not None
    assert found.scores["activations", 0].accuracy.value < 0.75
    assert found.scores["majority", 0].accuracy.value == pytest.approx(0.5)
