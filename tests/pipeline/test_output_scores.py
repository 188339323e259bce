"""Output scores as a stage: what a run holds of them, and why it may hold none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from saereport.pipeline import build as building
from saereport.pipeline.output_scores import EACH, MORE
from saereport.pipeline.steering_prompts import NEUTRAL
from saereport.run import Run, open_run
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.source import SaeSource
from saereport.util.errors import SaereportError
from tests.circuits import dense
from tests.evaluate.test_output_scores import slow_rank_weighted
from tests.factories import save_sae, tiny_model

Asked = Callable[..., dict[str, Any]]
PROMPTS = tuple(f"w{n} w{n + 1} w{2 * n}" for n in range(3, 14))
OWN = {"strength": 3.0, "top_tokens": 5, "controls": 6, "prompts": PROMPTS}


@pytest.fixture
def scoring(asked: Asked) -> Asked:
    """A configuration with eleven prompts of words that the model knows."""

    def make(**changes: Any) -> dict[str, Any]:
        scores = {**OWN, **changes.pop("output_scores", {})}
        return asked(**{"output_scores": scores, **changes})

    return make


@pytest.fixture
def run(scoring: Asked, tmp_path: Path) -> Run:
    return open_run(building.collect(scoring(), tmp_path / "run"))


def rows(run: Run, name: str, slug: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run.table(name, slug).to_pylist()
    return found


def slow_score(model: Any, sae: Any, latent: int, length: float, top: list[int]) -> Any:
    """Change on every prompt, and probabilities before and after, by hooks."""
    add = length * sae.W_dec[latent] / sae.W_dec[latent].norm()
    found, before, after = [], [], []
    for text in PROMPTS:
        tokens = torch.tensor([0, *(int(word[1:]) for word in text.split())])
        with torch.no_grad():
            logits = [
                dense.run(model, tokens, edits, None)[-1].double().tolist()
                for edits in ({}, {sae.write_point.name: lambda a: a + add})
            ]
        (one, p), (other, q) = (slow_rank_weighted(row, top) for row in logits)
        found.append(other - one)
        before.append(p)
        after.append(q)
    ratio = np.log(np.sum(after, axis=1) / np.sum(before, axis=1)).mean()
    return np.array(found), np.mean(before, axis=0), np.mean(after, axis=0), ratio


def test_every_number_by_hand(run: Run, small: Path) -> None:
    model = tiny_model()
    for slug in ("early", "late"):
        sae = load_sae(SaeSource(path=str(small / slug)))
        lens = {row["latent"]: row["top_tokens"] for row in rows(run, "logit_lens", slug)}
        most = {row["latent"]: row["max"] for row in rows(run, "activity", slug)}
        n_active = {row["latent"]: row["n_active"] for row in rows(run, "sae_activity", slug)}
        found = rows(run, "output_scores", slug)
        assert [row["latent"] for row in found] == [i for i in range(4) if most[i] > 0]
        for row in found:
            latent = row["latent"]
            assert row["strength"] == 3
            assert row["n_prompts"] == len(PROMPTS)
            norm = float(sae.W_dec[latent].norm())
            assert row["length"] == pytest.approx(3 * most[latent] * norm, rel=1e-5)
            assert row["top_tokens"] == lens[latent][:5]
            score, before, after, ratio = slow_score(
                model, sae, latent, row["length"], row["top_tokens"]
            )
            assert row["score"] == pytest.approx(score.mean(), abs=1e-5)
            assert row["before"] == pytest.approx(before.tolist(), abs=1e-5)
            assert row["after"] == pytest.approx(after.tolist(), abs=1e-5)
            assert row["log_ratio"] == pytest.approx(ratio, abs=1e-5)
            low, high = row["interval"]
            assert low <= row["score"] <= high
            others = row["control_scores"]
            assert len(row["controls"]) == 6
            assert not set(row["controls"]) & {0, 1, 2, 3}
            assert all(n_active[other] > 0 for other in row["controls"])
            assert row["control"] == pytest.approx(np.mean(others), abs=1e-6)
            assert row["difference"] == pytest.approx(row["score"] - row["control"])
            below = sum(other < np.float32(row["score"]) for other in others)
            assert row["percentile"] == pytest.approx(below / 6)


def test_a_control_is_turned_up_by_the_length_of_a_shown_latent(run: Run, small: Path) -> None:
    model, sae = tiny_model(), load_sae(SaeSource(path=str(small / "early")))
    found = rows(run, "output_scores", "early")
    lengths = [row["length"] for row in found]
    held = dict(
        pair for row in found for pair in zip(row["controls"], row["control_scores"], strict=True)
    )
    assert len(held) <= EACH * len(found)
    from saereport.measure.weights import WEIGHT_TABLES, TokenRows, WeightContext

    latents = np.array(sorted(held))
    lens = WEIGHT_TABLES["logit_lens"].compute(
        WeightContext(sae=sae, latents=latents, tokens=TokenRows(model), listed=5)
    )
    for latent, top in zip(latents.tolist(), lens["top_tokens"], strict=True):
        possible = [
            slow_score(model, sae, latent, length, list(map(int, top)))[0].mean()
            for length in lengths
        ]
        assert min(abs(score - held[latent]) for score in possible) < 1e-5


def test_equal_seeds_give_equal_bytes_and_batches_change_nothing(
    scoring: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = open_run(building.collect(scoring(), tmp_path / "one"))
    same = open_run(building.collect(scoring(), tmp_path / "same"))
    monkeypatch.setattr("saereport.evaluate.output_scores.MOST_ROWS", 7)
    other = open_run(building.collect(scoring(), tmp_path / "other"))
    assert one.table("output_scores", "late").equals(same.table("output_scores", "late"))
    for a, b in zip(
        rows(one, "output_scores", "late"), rows(other, "output_scores", "late"), strict=True
    ):
        assert a["controls"] == b["controls"]
        assert a["score"] == pytest.approx(b["score"], abs=1e-6)


def test_the_built_in_prompts_are_enough_for_an_interval() -> None:
    assert len({*NEUTRAL, *MORE}) >= 10


def left_out(run: Run, slug: str) -> str:
    reasons: dict[str, str] = {sae.slug: sae.left_out for sae in run.info.saes}[slug]
    return reasons.get("output_scores", "")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"output_scores": {"most_latents": 3}}, "more than 3 of its latents are shown"),
        ({"output_scores": {"most_latents": 0}}, "it was skipped"),
        ({"skip": ["output_scores"]}, "it was skipped"),
        ({"skip": ["sae_activity", "coactivation"]}, "was not measured"),
        ({"latents": "all"}, "are not shown, to compare with"),
    ],
)
def test_where_there_is_none_the_run_says_why(
    scoring: Asked, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    run = open_run(building.collect(scoring(**changes), tmp_path / "run"))
    assert not run.has("output_scores", "early")
    assert reason in left_out(run, "early")


def test_an_sae_that_normalises_has_none(scoring: Asked, small: Path, tmp_path: Path) -> None:
    hook = "blocks.1.hook_resid_post"
    save_sae(tmp_path / "scaled", "topk", hook_name=hook, normalize_activations="layer_norm")
    config = scoring(saes=[{"path": small / "early"}, {"path": tmp_path / "scaled"}])
    run = open_run(building.collect(config, tmp_path / "run"))
    assert "it normalises what it reads" in left_out(run, "scaled")
    assert run.has("output_scores", "early")


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({"prompts": ["w3", " "]}, "output_scores.prompts"),
        ({"strength": 0}, "output_scores.strength"),
        ({"strength": float("inf")}, "output_scores.strength"),
        ({"controls": 2}, "output_scores.controls"),
        ({"prompts": ["w3 " * 70]}, "has 71 tokens, and the model's context holds 64"),
    ],
)
def test_what_means_nothing_is_refused_before_the_text_is_read(
    scoring: Asked,
    passes: list[Any],
    tmp_path: Path,
    scores: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(SaereportError, match=message):
        building.collect(scoring(output_scores=scores), tmp_path / "run")
    assert passes == []


def test_latents_at_which_numbers_overflow_are_left_out_with_a_warning(
    scoring: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from saereport.pipeline import output_scores as doing

    real = doing.direction_of
    monkeypatch.setattr(
        doing, "direction_of", lambda sae, i, a: real(sae, i, a * (1e30 if i == 2 else 1))
    )
    run = open_run(building.collect(scoring(), tmp_path / "run"))
    assert [row["latent"] for row in rows(run, "output_scores", "early")] == [0, 1, 3]
    said = [w.text for w in run.info.warnings if "without an output score: 2." in w.text]
    assert said
