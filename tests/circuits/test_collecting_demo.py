"""Circuits of a small build on the demo model: the facts that the demo report is there to show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saereport.config.build import make_config
from saereport.pipeline.build import collect
from saereport.report.rendering import demo_settings
from saereport.run import Run, open_run

pytestmark = pytest.mark.model


def test_the_demos_own_prompts_name_its_saes() -> None:
    config = make_config(demo_settings()).checked()
    slugs = {Path(str(sae.path)).name for sae in config.saes}
    for prompt in config.prompts:
        assert {s for pair in prompt.pairs or () for s in pair} | set(prompt.saes or ()) <= slugs
    assert any(prompt.graph for prompt in config.prompts)
    assert any(prompt.repeat_random for prompt in config.prompts)
    assert config.blind
    assert config.with_reveal


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    settings = demo_settings()
    saes = {Path(sae["path"]).name: sae["path"] for sae in settings["saes"]}
    wanted = ("transcoder-l10", "transcoder-l14", "resid-l16", "attn-z-l16", "attn-z-l18")
    config: dict[str, Any] = {
        "model": "demo",
        "dataset": "demo",
        "tokens": 1024,
        "evaluate": 0,
        "saes": [{"path": saes[name]} for name in wanted],
        "latents": "0-1",
        "skip": ["coactivation"],
        "examples": {"top": 2, "intervals": 1, "per_group": 1},
        "prompts": [
            {
                "text": "The Eiffel tower is in the city of => Paris",
                "pairs": [["transcoder-l10", "resid-l16"]],
                "graph": True,
            },
            {"repeat_random": 12, "saes": ["attn-z-l16", "attn-z-l18"]},
        ],
        "circuits": {"pairs_kept": 200, "checks": 6, "attributed": 2, "examples": 0},
        "blind": ["transcoder-l10:2080"],
    }
    return open_run(collect(config, tmp_path_factory.mktemp("demo") / "run"))


def rows(run: Run, name: str, **where: Any) -> list[dict[str, Any]]:
    return [
        row
        for row in run.table(name).to_pylist()
        if all(row[key] == value for key, value in where.items())
    ]


def token_text(run: Run, token: int) -> str:
    (found,) = rows(run, "vocabulary", token=token)
    text: bytes = found["bytes"]
    return text.decode()


def test_paris_is_what_the_model_expects_of_the_eiffel_tower(made: Run) -> None:
    prompt = rows(made, "prompts", prompt=0)[0]
    assert token_text(made, prompt["answer"]) == " Paris"
    assert [token_text(made, token) for token in prompt["tokens"][2:5]] == [" E", "iffel", " tower"]
    true = rows(made, "prompt_answers", prompt=0, splice="")[0]
    assert true["rank"] == 1
    assert true["probability"] == pytest.approx(0.3725, abs=0.005)
    spliced = rows(made, "prompt_answers", prompt=0, splice="resid-l16")[0]
    assert spliced["rank"] == 1
    assert spliced["probability"] < true["probability"]


def test_a_latent_on_the_eiffel_tokens_raises_paris_and_ablation_agrees(made: Run) -> None:
    paris = rows(made, "prompts", prompt=0)[0]["answer"]
    raising = rows(made, "gradients", prompt=0, early="resid-l16", late="", late_latent=paris)
    across = [row for row in raising if row["early_position"] == 3 and row["gradient"] > 0.05]
    assert across
    checks = rows(made, "gradient_checks", prompt=0, early="resid-l16", late="")
    effects = np.array([[row["predicted"], row["measured"]] for row in checks])
    assert len(effects) == 6
    assert np.corrcoef(effects.T)[0, 1] > 0.8


def test_induction_latents_are_active_throughout_the_repetition(made: Run) -> None:
    found = rows(made, "induction_latents", prompt=1)
    assert found
    assert all(row["mean"] > 0 for row in found)
    late = {row["latent"] for row in found if row["sae"] == "attn-z-l18"}
    block = [
        row
        for row in rows(made, "gradients", prompt=1, early="attn-z-l16", late="attn-z-l18")
        if row["late_latent"] in late and row["late_position"] > 12
    ]
    assert block


def test_the_graph_is_of_the_transcoders(made: Run) -> None:
    (graph,) = rows(made, "graphs")
    assert graph["saes"] == ["transcoder-l10", "transcoder-l14"]
    assert graph["n_nodes"] == len(rows(made, "graph_nodes", prompt=0))
    logits = rows(made, "graph_nodes", kind="logit")
    likeliest = max(logits, key=lambda node: node["probability"])
    assert token_text(made, likeliest["latent"]) == " Paris"


def test_the_blind_latent_is_shown_without_its_examples(made: Run) -> None:
    assert 2080 in made.table("activity", "transcoder-l10")["latent"].to_pylist()
    assert 2080 not in made.table("examples", "transcoder-l10")["latent"].to_pylist()
    assert rows(made, "blind_latents") == [
        {"sae": "transcoder-l10", "latent": 2080, "reveal": False}
    ]
