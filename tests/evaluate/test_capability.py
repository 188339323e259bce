"""Capability tests against TransformerLens's own passes, one prompt after the other, and loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from saereport.evaluate import bootstrap as resampling
from saereport.evaluate import capability as tests_of
from saereport.evaluate.capability import (
    NEXT_TOKENS,
    Predictions,
    Question,
    capability,
    mean_figures,
    predictions,
    set_rows,
    top_tokens,
)
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.source import SaeSource
from saereport.util.progress import Progress
from tests.circuits import dense
from tests.factories import make_sae, tiny_tokens

QUIET = Progress(quiet=True)
RESID, Z, MLP = "blocks.1.hook_resid_post", "blocks.1.attn.hook_z", "blocks.1.ln2.hook_normalized"
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "resid": ("jumprelu", {"hook_name": RESID}),
    "z": ("standard", {"hook_name": Z}),
    "transcoder": ("transcoder", {"hook_name": MLP}),
    "normalised": ("topk", {"hook_name": RESID, "normalize_activations": "layer_norm"}),
}


def asked(n: int = 9) -> list[Question]:
    """Prompts of three lengths, mixed; every third has no wrong answer."""
    rng = np.random.default_rng(0)
    found = []
    for i, row in enumerate(tiny_tokens(n, 12).tolist()):
        tokens = tuple(row[: 6 + 3 * (i % 3)])
        answer, wrong = rng.choice(np.arange(2, 100), 2, replace=False).tolist()
        counted = tuple(token != 0 for token in tokens)
        name = "even" if i % 2 == 0 else "odd"
        found.append(Question(name, tokens, counted, answer, -1 if i % 3 == 2 else wrong))
    return found


QUESTIONS = asked()


def slow_logits(model: Any, sae: Any, question: Question, kind: str) -> list[float]:
    """The last logits by a pass of TransformerLens with a hook of its own."""
    ids, chosen = torch.tensor(question.tokens), torch.tensor(question.counted)[:, None]
    with torch.no_grad():
        a = dense.run(model, ids, {}, sae.hook_in.name)
        made = dense.reconstruct(sae, a, dense.dense_f(sae, a))
        instead = {"spliced": lambda _: made, "zero": torch.zeros_like}
        edits = {}
        if kind != "original":
            put = instead[kind]
            edits = {sae.write_point.name: lambda true: torch.where(chosen, put(true), true)}
        logits: list[float] = dense.run(model, ids, edits, None)[-1].double().tolist()
    return logits


@pytest.mark.parametrize("kind", KINDS)
def test_every_number_of_a_prompt(tiny: Any, tiny_sae: Callable[..., Any], kind: str) -> None:
    sae = tiny_sae(KINDS[kind][0], **KINDS[kind][1])
    found = capability(tiny, [sae], QUESTIONS, QUIET)
    assert found.left_out == {}
    columns = found.prompts[sae.slug]
    rows = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    assert [(row["number"], row["run"]) for row in rows] == [
        (i, run) for i in range(len(QUESTIONS)) for run in ("original", "spliced", "zero")
    ]
    for row in rows:
        question = QUESTIONS[row["number"]]
        logits = slow_logits(tiny, sae, question, row["run"])
        total = math.fsum(math.exp(x) for x in logits)
        order = sorted(range(len(logits)), key=lambda i: -logits[i])
        assert row["rank"] == order.index(question.answer) + 1
        assert row["logit"] == pytest.approx(logits[question.answer], abs=1e-4)
        assert row["probability"] == pytest.approx(
            math.exp(logits[question.answer]) / total, rel=1e-4
        )
        gap = [logits[question.answer] - logits[question.wrong]] if question.wrong >= 0 else []
        assert row["difference"] == pytest.approx(gap, abs=1e-4)
        assert row["next_tokens"].tolist() == order[:NEXT_TOKENS]
        best = [logits[i] for i in order[:NEXT_TOKENS]]
        assert row["next_logits"] == pytest.approx(best, abs=1e-4)
        assert row["next_probabilities"] == pytest.approx(
            [math.exp(x) / total for x in best], rel=1e-4
        )
        assert (row["tokens"], row["set"]) == (list(question.tokens), question.set)


@pytest.fixture
def identity(tmp_path: Path) -> Any:
    """An SAE that reconstructs everything: each dimension has a latent for either sign."""
    sae = make_sae("standard", d_sae=64, hook_name=RESID)
    eye = torch.eye(32)
    with torch.no_grad():
        sae.W_enc.copy_(torch.cat([eye, -eye], dim=1))
        sae.W_dec.copy_(torch.cat([eye, -eye], dim=0))
        sae.b_enc.zero_()
        sae.b_dec.zero_()
    sae.save_model(tmp_path / "identity")
    return load_sae(SaeSource(path=str(tmp_path / "identity")))


def test_an_sae_that_keeps_everything_changes_nothing(tiny: Any, identity: Any) -> None:
    found = predictions(tiny, [identity], QUESTIONS, QUIET)
    true, spliced = found["original", ""], found["spliced", identity.slug]
    for name in ("rank", "next_tokens"):
        assert np.array_equal(getattr(true, name), getattr(spliced, name))
    for name in ("logit", "difference", "probability", "next_logits", "next_probabilities"):
        np.testing.assert_allclose(getattr(spliced, name), getattr(true, name), atol=1e-5)
    assert not np.allclose(found["zero", RESID].logit, true.logit, atol=1e-2)


def test_the_true_run_is_one_for_all_and_zero_one_for_a_place(
    tiny: Any, tiny_sae: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    saes = [tiny_sae(architecture, **options) for architecture, options in KINDS.values()]
    alone = [capability(tiny, [sae], QUESTIONS, QUIET).sets[sae.slug] for sae in saes]
    passes: list[tuple[str, ...]] = []
    real = tests_of.forward

    def counted(*args: Any, **options: Any) -> Any:
        passes.append(tuple(options.get("edits") or ()))
        return real(*args, **options)

    monkeypatch.setattr(tests_of, "forward", counted)
    together = capability(tiny, saes, QUESTIONS, QUIET)
    places = [sae.write_point.name for sae in saes]
    lengths = {len(one.tokens) for one in QUESTIONS}
    for place in dict.fromkeys(places):
        assert passes.count((place,)) == (places.count(place) + 1) * len(lengths)
    assert passes.count(()) == len(lengths)
    # They are of one length in a batch, whatever their order.
    for sae, table in zip(saes, alone, strict=True):
        assert together.sets[sae.slug]["metric"] == table["metric"]
        np.testing.assert_allclose(together.sets[sae.slug]["value"], table["value"])


def test_memory_that_runs_out_makes_smaller_batches(
    tiny: Any, tiny_sae: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sae = tiny_sae("jumprelu", hook_name=RESID)
    whole = capability(tiny, [sae], QUESTIONS, QUIET)
    real = tests_of.forward

    def narrow(model: Any, tokens: torch.Tensor, **options: Any) -> Any:
        if len(tokens) > most:
            raise torch.OutOfMemoryError
        return real(model, tokens, **options)

    monkeypatch.setattr(tests_of, "forward", narrow)
    most = 1
    part = capability(tiny, [sae], QUESTIONS, QUIET)
    np.testing.assert_allclose(
        part.sets[sae.slug]["value"], whole.sets[sae.slug]["value"], rtol=1e-4
    )
    most = 0
    assert capability(tiny, [sae], QUESTIONS, QUIET).left_out == {sae.slug: "memory ran out"}


def test_numbers_that_no_run_can_hold_leave_the_sae_out(
    tiny: Any, identity: Any, tiny_sae: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, other = tests_of.spliced_sequences, tiny_sae("jumprelu", hook_name=RESID)
    monkeypatch.setattr(
        tests_of,
        "spliced_sequences",
        lambda sae, *rest: whole(sae, *rest) * (torch.inf if sae is identity else 1),
    )
    found = capability(tiny, [identity, other], QUESTIONS, QUIET)
    assert found.left_out == {identity.slug: "its numbers are not finite"}
    assert list(found.sets) == list(found.prompts) == [other.slug]


@pytest.mark.parametrize("k", [1, 3, 10, 99])
def test_the_first_tokens_are_those_of_a_sorted_list(k: int) -> None:
    values = np.random.default_rng(0).integers(0, 6, 60).tolist()
    expected = sorted(range(60), key=lambda i: (-values[i], i))[:k]
    assert top_tokens(torch.tensor(values, dtype=torch.float32), k).tolist() == expected


# ---- sets


def predicted(rank: list[int], difference: list[float]) -> Predictions:
    n = len(rank)
    one, many = np.zeros(n), np.zeros((n, 2))
    return Predictions(
        np.array(rank), one, one, np.array(difference), many.astype(np.int64), many, many
    )


def test_what_is_counted_as_right() -> None:
    """By hand: an answer that beats the wrong one, or comes first where there is none."""
    questions = [
        Question("a", (0, 5), (False, True), 7, 8),
        Question("a", (0, 6), (False, True), 7, 8),
        Question("b", (0, 5), (False, True), 7),
        Question("b", (0, 6), (False, True), 7),
    ]
    nan = math.nan
    true = predicted([3, 1, 1, 2], [0.5, 2.0, nan, nan])
    runs = {"original": true, "spliced": predicted([2, 9, 2, 1], [0.0, -1.0, nan, nan])}
    (columns,) = set_rows(questions, {"x": runs}).values()  # type: ignore[arg-type]
    names = zip(columns["set"], columns["run"], columns["metric"], strict=True)
    found = dict(zip(names, columns["value"], strict=True))
    assert list(found) == sorted(found)
    assert found == {
        ("a", "original", "accuracy"): 1.0,
        ("a", "original", "first"): 0.5,
        ("a", "original", "logit_difference"): 1.25,
        ("a", "spliced", "accuracy"): 0.0,
        ("a", "spliced", "first"): 0.0,
        ("a", "spliced", "logit_difference"): -0.5,
        ("all", "original", "accuracy"): 0.75,
        ("all", "original", "first"): 0.5,
        ("all", "original", "logit_difference"): 1.25,
        ("all", "spliced", "accuracy"): 0.25,
        ("all", "spliced", "first"): 0.25,
        ("all", "spliced", "logit_difference"): -0.5,
        ("b", "original", "accuracy"): 0.5,
        ("b", "original", "first"): 0.5,
        ("b", "spliced", "accuracy"): 0.5,
        ("b", "spliced", "first"): 0.5,
    }
    n = dict(zip(found, columns["n_prompts"], strict=True))
    assert (n["all", "original", "accuracy"], n["all", "original", "logit_difference"]) == (4, 2)
    assert all(ends == [] for ends in columns["interval"])


def test_an_interval_is_that_of_prompts_drawn_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "RESAMPLES", 50)
    values = np.random.default_rng(1).normal(size=14)
    held = values.copy()
    held[[3, 8]] = math.nan
    found = mean_figures({"one": held, "double": 2 * held})
    kept = [x for x in held.tolist() if not math.isnan(x)]
    rng = np.random.default_rng(resampling.SEED)
    means = []
    for row in rng.integers(0, len(kept), (50, len(kept))).tolist():
        means.append(math.fsum(kept[i] for i in row) / len(kept))
    low, high = np.quantile(means, [0.025, 0.975])
    assert found["one"].interval == pytest.approx((low, high), rel=1e-5)
    assert found["double"].interval == pytest.approx((2 * low, 2 * high), rel=1e-5)
    assert found["one"].value == pytest.approx(math.fsum(kept) / 12)
    assert found["one"].n_sequences == 12


def test_too_few_prompts_have_no_interval() -> None:
    assert mean_figures({"x": np.arange(9.0)})["x"].interval is None
    assert mean_figures({"x": np.arange(10.0)})["x"].interval is not None
    assert mean_figures({"x": np.full(3, math.nan)}) == {}
    assert mean_figures({}) == {}
