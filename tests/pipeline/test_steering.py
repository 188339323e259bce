"""Steering as a stage: what a run holds of it, and what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from saereport.pipeline import build as building
from saereport.pipeline import steering as doing
from saereport.pipeline import steering_texts
from saereport.pipeline.probe import Probe
from saereport.pipeline.stage import Cost
from saereport.pipeline.stages.steering import SteeringStage
from saereport.pipeline.steering import cost_of_steering
from saereport.pipeline.steering_prompts import NEUTRAL, NEUTRAL_TURNS, prompts_of
from saereport.pipeline.steering_texts import prompts_as_read
from saereport.run import Run, open_run
from saereport.sources.forward import forward
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.source import SaeSource
from saereport.util.errors import SaereportError, UsageError
from tests.factories import save_sae, tiny_model
from tests.pipeline.toys import Told

STEERING = {"new_tokens": 6, "samples": 4, "strengths": [-1, 2, 8], "top_tokens": 5}
SWEEP = [-1.0, 0.0, 2.0, 8.0]
TABLES = {"steering_prompts", "steering_windows", "steering_strengths", "steered_texts"}

Asked = Callable[..., dict[str, Any]]


@pytest.fixture
def steering(asked: Asked) -> Asked:
    """A configuration with the latent 7 of `early`, which is not chosen, and 2 of `late`."""

    def make(**changes: Any) -> dict[str, Any]:
        settings = {**STEERING, **changes.pop("steering", {})}
        return asked(**{"steer": ["early.7", "late:2"], "steering": settings, **changes})

    return make


@pytest.fixture
def run(steering: Asked, tmp_path: Path) -> Run:
    config = steering(steering={"prompts": ["w9 w30"]})
    return open_run(building.collect(config, tmp_path / "run"))


def rows(run: Run, name: str, slug: str | None = None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run.table(name, slug).to_pylist()
    return found


def slow_text(sae: Any, add: torch.Tensor, prompt: list[int], numbers: Any) -> list[int]:
    """A continuation at temperature 0.7, all of it run anew for each token."""
    model, tokens = tiny_model(), list(prompt)
    for number in numbers:
        edits = {
            sae.write_point.name: lambda a: a + (add[:, : a.shape[1]] if add.ndim > 1 else add)
        }
        with torch.no_grad():
            logits = forward(model, torch.tensor([tokens]), edits=edits, logits=True).logits[0, -1]
        p = (logits.double() / 0.7).softmax(0)
        total = 0.0
        for token in p.argsort(descending=True).tolist():
            total += float(p[token])
            if total > number:
                break
        tokens.append(token)
        if token == 1:
            break
    return tokens[len(prompt) :]


def test_every_text_is_what_a_loop_with_a_hook_writes(run: Run, small: Path) -> None:
    prompts = rows(run, "steering_prompts")
    for slug, latent in (("early", 7), ("late", 2)):
        sae = load_sae(SaeSource(path=str(small / slug)))
        (window,) = rows(run, "steering_windows", slug)
        activity = {row["latent"]: row["max"] for row in rows(run, "activity", slug)}
        assert window["max"] == activity[latent] > 0
        vector = window["max"] * sae.W_dec[latent]
        assert window["norm"] == pytest.approx(float(vector.norm()), rel=1e-5)
        texts = rows(run, "steered_texts", slug)
        assert len(texts) == len(prompts) * 4 * 4
        for row in [r for r in texts if r["prompt"] in (0, 5) and r["sample"] in (0, 3)]:
            assert row["strength"] == SWEEP[row["step"]]
            seed = np.random.default_rng([0, row["prompt"], row["sample"]])
            numbers = seed.random(6, dtype=np.float32).tolist()
            prompt = prompts[row["prompt"]]["tokens"]
            assert row["tokens"] == slow_text(sae, row["strength"] * vector, prompt, numbers)


def test_unsteered_texts_are_the_same_for_every_latent(run: Run) -> None:
    plain = [
        [(r["prompt"], r["sample"], r["tokens"]) for r in texts if r["strength"] == 0]
        for texts in (rows(run, "steered_texts", slug) for slug in ("early", "late"))
    ]
    assert plain[0] == plain[1]
    assert len(plain[0]) == 6 * 4


def test_the_summary_is_of_the_texts(run: Run) -> None:
    for slug in ("early", "late"):
        (window,) = rows(run, "steering_windows", slug)
        texts = rows(run, "steered_texts", slug)
        for row in rows(run, "steering_strengths", slug):
            own = [text for text in texts if text["step"] == row["step"]]
            top = [sum(t in window["top_tokens"] for t in text["tokens"]) for text in own]
            assert top == [text["n_top_tokens"] for text in own]
            assert row["n_texts"] == len(own) == 24
            assert row["n_tokens"] == sum(len(text["tokens"]) for text in own)
            assert row["n_with_top"] == sum(n > 0 for n in top)
            assert row["share_with_top"] == pytest.approx(row["n_with_top"] / 24)
            nats = sum(math.log(text["perplexity"]) * len(text["tokens"]) for text in own)
            assert row["perplexity"] == pytest.approx(math.exp(nats / row["n_tokens"]))
            means = [text["mean_activation"] for text in own]
            assert row["activation"] == pytest.approx(float(np.mean(means)))
            active = [text["max_activation"] != 0 for text in own]
            assert row["n_active"] == sum(active)
            assert row["share_active"] == pytest.approx(float(np.mean(active)))


def test_top_tokens_are_those_of_the_logit_lens(run: Run) -> None:
    for slug in ("early", "late"):
        (window,) = rows(run, "steering_windows", slug)
        lens = {row["latent"]: row["top_tokens"] for row in rows(run, "logit_lens", slug)}
        assert window["top_tokens"] == lens[window["latent"]][:5]


def test_a_steered_latent_is_shown_though_it_was_not_chosen(run: Run) -> None:
    assert list(run.latents("early")) == [0, 1, 2, 3, 7]
    assert list(run.latents("late")) == [0, 1, 2, 3]


def test_the_same_seed_gives_the_same_bytes(steering: Asked, tmp_path: Path) -> None:
    one, same, other = (
        open_run(building.collect(steering(seed=seed), tmp_path / name))
        for name, seed in (("one", 0), ("same", 0), ("other", 1))
    )
    for name in sorted(TABLES):
        slug = None if name == "steering_prompts" else "early"
        assert one.table(name, slug).equals(same.table(name, slug))
    assert not one.table("steered_texts", "early").equals(other.table("steered_texts", "early"))


def test_the_orthogonal_form_says_so(steering: Asked, tmp_path: Path) -> None:
    config = steering(steering={"form": "orthogonal"}, steer=["early.7"])
    run = open_run(building.collect(config, tmp_path / "run"))
    (window,) = rows(run, "steering_windows", "early")
    assert window["form"] == "orthogonal"
    assert not run.has("steering_windows", "late")


@pytest.mark.parametrize("positions", ["generated", (3, 8)])
def test_chosen_positions_alone_are_steered(
    steering: Asked, small: Path, tmp_path: Path, positions: Any
) -> None:
    config = steering(steering={"positions": positions, "strengths": [8]}, steer=["early.7"])
    run = open_run(building.collect(config, tmp_path / "run"))
    (window,) = rows(run, "steering_windows", "early")
    assert window["positions"] == ("generated" if positions == "generated" else "3 to 7")
    sae = load_sae(SaeSource(path=str(small / "early")))
    vector = 8 * window["max"] * sae.W_dec[7]
    prompts, differ = rows(run, "steering_prompts"), 0
    texts = {(r["prompt"], r["step"], r["sample"]): r for r in rows(run, "steered_texts", "early")}
    for number in (0, 2):
        prompt = prompts[number]["tokens"]
        start, stop = (len(prompt), None) if positions == "generated" else positions

        add = torch.zeros(1, len(prompt) + 6, 32)
        add[:, start:stop] = vector
        own = np.random.default_rng([0, number, 1]).random(6, dtype=np.float32).tolist()
        found = texts[number, 1, 1]["tokens"]
        assert found == slow_text(sae, add, prompt, own)
        differ += found != texts[number, 0, 1]["tokens"]
    assert differ


def test_words_of_a_concept_are_counted_with_intervals(
    steering: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The tiny tokeniser has no spaces.
    monkeypatch.setattr(doing, "_as_text", lambda _, tokens: " ".join(f"W{t}" for t in tokens))
    first = open_run(building.collect(steering(steer=["early.7"]), tmp_path / "first"))
    spoken = [t for r in rows(first, "steered_texts", "early") for t in r["tokens"] if t >= 8]
    words = [f"w{token}" for token in sorted(set(spoken), key=spoken.count)[-3:]]
    config = steering(steer=["early.7"], steering={"concept": {"early:7": words}})
    run = open_run(building.collect(config, tmp_path / "run"))
    (window,) = rows(run, "steering_windows", "early")
    assert window["words"] == words
    texts = rows(run, "steered_texts", "early")
    for text in texts:
        assert text["n_concept"] == sum(f"w{token}" in words for token in text["tokens"])
    strengths = rows(run, "steering_strengths", "early")
    plain = strengths[SWEEP.index(0.0)]
    for row in strengths:
        own = [text["n_concept"] > 0 for text in texts if text["step"] == row["step"]]
        assert row["n_with_concept"] == sum(own)
        assert row["share_with_concept"] == pytest.approx(np.mean(own))
        low, high = row["concept_interval"]
        assert 0 <= low <= row["share_with_concept"] <= high <= 1
        differ = row["share_with_concept"] - plain["share_with_concept"]
        assert row["difference"] == pytest.approx(differ)
        assert plain is row or row["difference_interval"][0] <= differ + 1e-12
    assert plain["difference_interval"] == [0.0, 0.0]
    assert (
        0 < sum(row["n_with_concept"] for row in strengths) < sum(r["n_texts"] for r in strengths)
    )
    if window["best"]:
        best = strengths[SWEEP.index(window["best"])]
        assert window["effect"] == best["difference"]
        ratio = best["perplexity"] / plain["perplexity"]
        assert window["perplexity_ratio"] == pytest.approx(ratio)


def test_without_words_the_concept_are_the_top_tokens(run: Run) -> None:
    for slug in ("early", "late"):
        (window,) = rows(run, "steering_windows", slug)
        assert window["words"] == []
        for row in rows(run, "steering_strengths", slug):
            assert row["n_with_concept"] == row["n_with_top"]


def test_latents_that_are_finished_are_not_written_anew(
    steering: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = steering(steer=["early.3,7", "late.2"])
    whole = open_run(building.collect(config, tmp_path / "whole"))
    asked_for: list[str] = []
    real = steering_texts.Writer.texts

    def texts(
        self: steering_texts.Writer, direction: Any, steps: Any, told: Any, called: str = ""
    ) -> Any:
        asked_for.append(called)
        if len(asked_for) == 3:
            raise KeyboardInterrupt
        return real(self, direction, steps, told, called)

    monkeypatch.setattr(steering_texts.Writer, "texts", texts)
    with pytest.raises(KeyboardInterrupt):
        building.collect(config, tmp_path / "run")
    assert asked_for == ["", "early.3", "early.7"]
    run = open_run(building.collect(config, tmp_path / "run"))
    assert asked_for[3:] == ["early.7", "late.2"]
    for name in sorted(TABLES - {"steering_prompts"}):
        for slug in ("early", "late"):
            assert run.table(name, slug).equals(whole.table(name, slug))


def test_it_says_beforehand_how_long_it_takes(
    steering: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a pass takes a second and each of its tokens a tenth, that is what is added up."""
    now = [0.0]

    def passing(
        model: Any, prompts: torch.Tensor, edits: Any, at: torch.Tensor, *_: Any, **__: Any
    ) -> list[list[int]]:
        now[0] += at.shape[1] + 0.1 * len(prompts) * (prompts.shape[1] + at.shape[1] - 1)
        return [[9] * at.shape[1] for _ in prompts]

    lengths: list[int] = []

    def cost(self: SteeringStage, context: Any, probe: Probe) -> Cost:
        lengths.extend(len(prompt.tokens) for prompt in prompts_as_read(context))
        return cost_of_steering(context, Probe(probe.device, 8.0, clock=lambda: now[0]))

    monkeypatch.setattr(steering_texts, "continued", passing)
    monkeypatch.setattr(SteeringStage, "cost", cost)
    plan = building.plan(steering(steer=["early.7", "late.2"]), tmp_path / "report")
    (found,) = (stage for stage in plan.stages if stage.name == "steering")
    # 5 prompts of 4 samples, unsteered and for 2 latents at 3 strengths: 140 texts. Prompts have 3
    # lengths, so each is written in 3 batches, of 6 tokens, of which the last is run no more.
    tokens = sum(28 * (length + 5) for length in lengths)
    assert found.seconds == pytest.approx(6 * 3 * (1 + 2) + 0.1 * tokens)
    assert found.what == "140 texts of 6 tokens"


def test_without_steering_a_run_is_as_it_was(asked: Asked, tmp_path: Path) -> None:
    run = open_run(building.collect(asked(), tmp_path / "run"))
    held = set(run.names()) | set(run.names("early"))
    assert not held & TABLES
    assert not {"steer", "steer_prompts", "steering"} & set(run.info.config)
    assert not TABLES & (set(run.info.left_out) | set(run.info.saes[0].left_out))


def test_a_prompt_of_more_than_half_the_context_keeps_its_keys(
    steering: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is tried beforehand fits the context too."""
    tried: list[tuple[int, bool]] = []
    real = steering_texts.keeps_keys

    def keeps(model: Any, tokens: torch.Tensor, edits: Any) -> bool:
        found = real(model, tokens, edits)
        tried.append((model.n_ctx - tokens.shape[1], found))
        return found

    monkeypatch.setattr(steering_texts, "keeps_keys", keeps)
    n_ctx = tiny_model().n_ctx
    long = " ".join(["w9"] * (n_ctx - 8))
    config = steering(steering={"neutral": False, "prompts": [long]}, steer=["early.7"])
    building.collect(config, tmp_path / "run")
    assert tried == [(0, True)]


def test_nothing_is_stored_of_a_latent_that_is_blinded(steering: Asked, tmp_path: Path) -> None:
    config = steering(blind=["early:7"], steer=["early.7", "early.3"])
    run = open_run(building.collect(config, tmp_path / "run"))
    for name in sorted(TABLES - {"steering_prompts"}):
        assert {row["latent"] for row in rows(run, name, "early")} == {3}
    assert any("Latent 7 is not steered: it is blinded" in w.text for w in run.info.warnings)


def test_a_latent_that_was_never_active_is_not_steered(
    steering: Asked, small: Path, tmp_path: Path
) -> None:
    told = Told()
    config = steering(steer=["early.7", "early.9"])
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "early"
    save_sae(folder, "jumprelu", hook_name="blocks.0.hook_resid_post", d_sae=40)
    weights = load_file(folder / "sae_weights.safetensors")
    weights["threshold"][9] = 1e9
    save_file(weights, folder / "sae_weights.safetensors")
    config["saes"] = [{"path": folder}]
    run = open_run(building.collect(config, tmp_path / "run", progress=told))
    assert [row["latent"] for row in rows(run, "steering_windows", "early")] == [7]
    assert any("Latent 9 is not steered: it was never active" in w.text for w in run.info.warnings)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steer": ["erly.7"]}, "There is no SAE 'erly'.*Did you mean 'early'"),
        ({"steer": ["early.40"]}, "steer 40 is out of range: early has 40 latents"),
        ({"steer": ["7"]}, "does not say of which SAE"),
        ({"steering": {"prompts": ["w3", " "]}}, "Prompts to steer on are empty: number 2"),
        ({"steering": {"neutral": False}}, "There is no prompt to steer on"),
        ({"steering": {"new_tokens": 62}}, "more than the 64 of the model's context"),
        ({"steering": {"chat": True}}, "has no chat template.*steering.chat"),
        ({"steering": {"positions": [40, 50]}}, "begin behind the text of.*positions 0 to"),
        ({"steering": {"positions": [2, 99]}}, "end behind every text: the longest has 12 tokens"),
        (
            {"steering": {"positions": "generated", "new_tokens": 1}},
            "With one new token there is none to steer at",
        ),
        ({"steering": {"concept": {"early.8": ["w3"]}}}, r"concept of 'early\.8' is of nothing"),
        (
            {"steer": [], "steering": {"concept": {"early.7": ["w3"]}}},
            r"concept of 'early\.7' is of nothing",
        ),
        ({"steer": [], "steer_prompts": "prompts.txt"}, "There is nothing to steer"),
        ({"steer_prompts": "nowhere.txt"}, "There is no prompts file"),
    ],
)
def test_what_means_nothing_is_refused_before_the_text_is_read(
    steering: Asked,
    passes: list[Any],
    tmp_path: Path,
    changes: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(SaereportError, match=message):
        building.collect(steering(**changes), tmp_path / "run")
    assert passes == []


@pytest.mark.parametrize("content", ["", "\n \n", '{"words": 3}\n'])
def test_a_file_without_prompts_is_refused(steering: Asked, tmp_path: Path, content: str) -> None:
    path = tmp_path / ("prompts.jsonl" if content.startswith("{") else "prompts.txt")
    path.write_text(content)
    with pytest.raises(SaereportError, match="holds no prompt"):
        building.collect(steering(steer_prompts=path), tmp_path / "run")


def test_a_line_without_text_among_prompts_is_refused(tmp_path: Path) -> None:
    from saereport.config.build import make_config

    path = tmp_path / "prompts.jsonl"
    path.write_text('{"text": "w3"}\n{"words": 3}\n')
    with pytest.raises(SaereportError, match="hold no text: number 2"):
        prompts_of(make_config({"steer": ["early.7"], "steer_prompts": path}))


def test_own_prompts_come_after_the_neutral_ones(asked: Asked, tmp_path: Path) -> None:
    from saereport.config.build import make_config

    path = tmp_path / "prompts.txt"
    path.write_text("w3 w4\nw5\nw3 w4\n")
    own = [("w7", False), ("w3 w4", False), ("w5", False)]

    def prompts(**settings: Any) -> list[tuple[str, bool]]:
        config = {"steer": ["early.7"], "steer_prompts": path}
        return prompts_of(make_config({**config, "steering": {"prompts": ["w7"], **settings}}))

    assert prompts() == [*((text, True) for text in NEUTRAL), *own]
    assert prompts(chat=True) == [*((text, True) for text in NEUTRAL_TURNS), *own]
    assert prompts(neutral=False) == own
    path.write_text("\n".join(f"w{n % 90} w{n}" for n in range(300)))
    with pytest.raises(UsageError, match="306 prompts to steer on, and 256 at most"):
        prompts()


def test_an_sae_that_normalises_is_refused_with_its_reason(
    steering: Asked, passes: list[Any], tmp_path: Path
) -> None:
    hook = "blocks.1.hook_resid_post"
    save_sae(tmp_path / "scaled", "topk", hook_name=hook, normalize_activations="layer_norm")
    config = steering(saes=[{"path": tmp_path / "scaled"}], steer=["3"])
    with pytest.raises(SaereportError, match="scaled cannot be steered: it normalises"):
        building.collect(config, tmp_path / "run")


def test_strengths_that_overflow_are_told(
    steering: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = doing.direction_of
    monkeypatch.setattr(doing, "direction_of", lambda sae, latent, a: real(sae, latent, a * 1e14))
    config = steering(steering={"strengths": [1, 1e6]}, steer=["early.7"])
    with pytest.raises(SaereportError, match=r"overflow when early\.7 is steered .*1e\+06"):
        building.collect(config, tmp_path / "run")


def test_numbers_that_overflow_on_the_way_are_told(
    steering: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(direction: Any, strengths: torch.Tensor, *_: Any) -> dict[str, Any]:
        added = torch.where(strengths > 3, torch.inf, 0.0)[:, None, None]
        return {name: lambda a: a + added for name in direction.vectors}

    monkeypatch.setattr(steering_texts, "steering", too_large)
    config = steering(steering={"strengths": [1, 4, 8]}, steer=["early.7"])
    with pytest.raises(SaereportError, match=r"overflow when early\.7 is steered .*strength 4\b"):
        building.collect(config, tmp_path / "run")


def test_it_can_be_skipped(steering: Asked, tmp_path: Path) -> None:
    run = open_run(building.collect(steering(skip=["steering"]), tmp_path / "run"))
    assert not run.has("steering_prompts")
    assert run.info.left_out["steering_prompts"] == "it was skipped"
    assert json.loads(json.dumps(run.info.config))["steer"] == ["early.7", "late:2"]
