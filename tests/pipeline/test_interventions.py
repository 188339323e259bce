"""Interventions as a stage: which latents are set, and to what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from saereport.pipeline import build as building
from saereport.run import Run, open_run
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.source import SaeSource
from saereport.util.errors import SaereportError
from tests.circuits import dense
from tests.factories import save_sae, tiny_model

Asked = Callable[..., dict[str, Any]]
WORDS = [5, 9, 7, 30, 12]
PROMPTS = [
    {"name": "one", "text": " ".join(f"w{n}" for n in WORDS) + " => w40"},
    {"name": "no answer", "text": "w3 w4 w5"},
]
FEW = {"pairs_kept": 10, "checks": 0, "attributed": 0, "examples": 0}


@pytest.fixture
def intervening(asked: Asked) -> Asked:
    def make(**changes: Any) -> dict[str, Any]:
        settings = {"clamp": [-1, 2], "positions": 2, "strongest": 2}
        settings |= changes.pop("interventions", {})
        return asked(
            **{
                "prompts": PROMPTS,
                "circuits": FEW,
                "interventions": settings,
                "skip": ["output_scores"],
                **changes,
            }
        )

    return make


@pytest.fixture
def run(intervening: Asked, tmp_path: Path) -> Run:
    return open_run(building.collect(intervening(), tmp_path / "run"))


def rows(run: Run) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run.table("prompt_interventions").to_pylist()
    return found


def test_every_row_by_hand(run: Run, small: Path) -> None:
    model, tokens = tiny_model(), torch.tensor([0, *WORDS])
    counted = torch.arange(6) > 0
    with torch.no_grad():
        plain = dense.run(model, tokens, {}, None)[-1].double()
    against = next(t for t in plain.argsort(descending=True).tolist() if t != 40)
    found = rows(run)
    assert {row["sae"] for row in found} == {"early", "late"}
    for slug in ("early", "late"):
        sae = load_sae(SaeSource(path=str(small / slug)))
        f = dense.true_f(model, sae, tokens)
        most = {row["latent"]: row["max"] for row in run.table("activity", slug).to_pylist()}
        mine = [row for row in found if row["sae"] == slug]
        peaks = torch.where(counted[:, None], f, 0).max(dim=0).values
        top = peaks.argsort(descending=True, stable=True)[:2].tolist()
        shown = [i for i in range(4) if peaks[i] > 0]
        assert {row["latent"] for row in mine} == {*top, *shown}
        for latent in {*top, *shown}:
            own = [row for row in mine if row["latent"] == latent]
            active = [p for p in range(1, 6) if f[p, latent] > 0]
            alone = sorted(active, key=lambda p: (-float(f[p, latent]), p))[:2]
            keys = [(row["multiple"], row["position"]) for row in own]
            assert keys == [(-1.0, -1), (0.0, -1), *((0.0, p) for p in sorted(alone)), (2.0, -1)]
            for row in own:
                assert row["prompt"] == 0
                assert row["runner_up"] == against
                assert row["unit_of_text"] == (latent in most)
                assert row["unit"] == pytest.approx(most.get(latent, float(peaks[latent])))
                changed = f[:, latent].clone()
                if row["position"] >= 0:
                    changed[row["position"]] = 0
                elif row["multiple"] == 0:
                    changed[counted] = 0
                else:
                    changed[counted] = row["multiple"] * row["unit"]
                add = (changed - f[:, latent])[:, None] * sae.W_dec[latent]
                with torch.no_grad():
                    edits = {sae.write_point.name: lambda a, add=add: a + add}
                    logits = dense.run(model, tokens, edits, None)[-1].double()
                change = float(logits[40] - plain[40])
                assert row["logit_change"] == pytest.approx(change, abs=1e-4)
                difference = change - float(logits[against] - plain[against])
                assert row["difference_change"] == pytest.approx(difference, abs=1e-4)
                before, after = (float(v.softmax(0)[40]) for v in (plain, logits))
                assert row["probability_before"] == pytest.approx(before, abs=1e-6)
                assert row["probability"] == pytest.approx(after, abs=1e-6)
                assert row["next_token"] == int(logits.argmax())
                n = {True: 1, False: len(active) if row["multiple"] == 0 else 5}
                assert row["n_positions"] == n[row["position"] >= 0]


def test_latents_that_are_named_are_set_even_where_nothing_else_is(
    intervening: Asked, tmp_path: Path
) -> None:
    settings = {"strongest": 0, "shown": 0, "latents": ["early.2", "late:3"], "clamp": [1]}
    run = open_run(building.collect(intervening(interventions=settings), tmp_path / "run"))
    assert {(row["sae"], row["latent"]) for row in rows(run)} == {("early", 2), ("late", 3)}


def test_what_is_done_to_no_latent_that_is_named_is_said(
    intervening: Asked, small: Path, tmp_path: Path
) -> None:
    sae, model = load_sae(SaeSource(path=str(small / "early"))), tiny_model()
    words = {"one": WORDS, "two": [21, 22, 23], "three": [33, 3]}
    active = {
        name: dense.true_f(model, sae, torch.tensor([0, *tokens]))[1:].max(dim=0).values > 0
        for name, tokens in words.items()
    }
    # One that is active on the first alone, and that the report does not show.
    (latent, *_) = (
        k
        for k in range(4, 40)
        if active["one"][k] and not active["two"][k] and not active["three"][k]
    )
    prompts = [
        {"name": name, "text": " ".join(f"w{n}" for n in tokens) + " => w40"}
        for name, tokens in words.items()
    ]
    prompts[2]["saes"] = ["late"]
    settings = {"strongest": 0, "shown": 0, "latents": [f"early.{latent}"], "clamp": [1]}
    config = intervening(prompts=prompts, interventions=settings)
    run = open_run(building.collect(config, tmp_path / "run"))
    assert {(row["prompt"], row["latent"]) for row in rows(run)} == {(0, latent)}
    said = [warning.text for warning in run.info.warnings if warning.about == "early"]
    assert any(f"Latent {latent} is neither ablated nor clamped on 'two': it is" in s for s in said)
    assert any(f"({latent}) are ablated and clamped on 2 of 3 prompts with an" in s for s in said)


def test_nothing_is_said_of_a_latent_that_is_blinded(intervening: Asked, tmp_path: Path) -> None:
    settings = {"latents": ["early.2"]}
    config = intervening(interventions=settings, blind=["early:2"])
    run = open_run(building.collect(config, tmp_path / "run"))
    assert 2 not in {row["latent"] for row in rows(run) if row["sae"] == "early"}
    said = [warning.text for warning in run.info.warnings]
    assert any("Latent 2 is not ablated or clamped: it is blinded" in text for text in said)


def test_without_an_answer_there_is_none_and_nothing_to_explain(
    intervening: Asked, tmp_path: Path
) -> None:
    run = open_run(building.collect(intervening(prompts=PROMPTS[1:]), tmp_path / "run"))
    assert not run.has("prompt_interventions")
    assert "prompt_interventions" not in run.info.left_out


def test_an_sae_that_normalises_takes_no_part(
    intervening: Asked, small: Path, tmp_path: Path
) -> None:
    hook = "blocks.1.hook_resid_post"
    save_sae(tmp_path / "scaled", "topk", hook_name=hook, normalize_activations="layer_norm")
    config = intervening(saes=[{"path": small / "early"}, {"path": tmp_path / "scaled"}])
    run = open_run(building.collect(config, tmp_path / "run"))
    assert {row["sae"] for row in rows(run)} == {"early"}


def test_it_builds_on_circuits_and_can_be_skipped(intervening: Asked, tmp_path: Path) -> None:
    for skip in ("interventions", "circuits"):
        config = intervening(skip=["output_scores", skip])
        run = open_run(building.collect(config, tmp_path / skip))
        assert not run.has("prompt_interventions")
        assert run.info.left_out["prompt_interventions"]


@pytest.mark.parametrize(
    ("latents", "message"),
    [
        (["erly.2"], "There is no SAE 'erly'.*Did you mean 'early'"),
        (["early.40"], "is out of range: early has 40 latents"),
        (["2"], "is not a latent of an SAE"),
        (["early.x"], "is not a latent of an SAE"),
    ],
)
def test_names_that_mean_nothing_are_refused_before_the_text_is_read(
    intervening: Asked, passes: list[Any], tmp_path: Path, latents: list[str], message: str
) -> None:
    with pytest.raises(SaereportError, match=message):
        building.collect(intervening(interventions={"latents": latents}), tmp_path / "run")
    assert passes == []


def test_latents_that_are_named_need_a_prompt_with_an_answer(
    intervening: Asked, passes: list[Any], tmp_path: Path
) -> None:
    config = intervening(prompts=PROMPTS[1:], interventions={"latents": ["early.2"]})
    with pytest.raises(SaereportError, match="no prompt with an answer"):
        building.collect(config, tmp_path / "run")
    assert passes == []
