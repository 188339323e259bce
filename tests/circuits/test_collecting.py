"""One prompt's tables against what the numeric modules give, on a tiny model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from saereport.circuits.collecting import (
    CircuitSettings,
    PromptTask,
    Subject,
    collect_prompt,
    in_layer_order,
    pairs_in_order,
)
from saereport.circuits.gradients.interventions import ablation_effects
from saereport.circuits.gradients.maps import MapLimits, latents_to_latents, latents_to_logits
from saereport.circuits.gradients.rows import kept_pairs
from saereport.circuits.graph.building import GraphSettings
from saereport.circuits.prompt_tables import answers, next_tokens
from saereport.circuits.prompts import PromptTokens, make_prompts
from saereport.config.circuits import PromptConfig
from saereport.run import TABLES
from saereport.run.columns import to_arrow
from saereport.sources.models import LanguageModel
from saereport.util.errors import SaereportError
from saereport.util.progress import Progress
from tests.circuits import dense

MEMORY = 1 << 24
QUIET = Progress(quiet=True)


def settings(**changes: Any) -> CircuitSettings:
    plain: dict[str, Any] = {
        "top_logits": 4,
        "pairs_kept": 50,
        "limits": MapLimits(None, None, MEMORY),
        "checks": 5,
        "attributed": 2,
        "influences": 3,
        "graph": GraphSettings(
            max_latents=64,
            max_logits=3,
            logit_share=0.9,
            node_threshold=0.8,
            edge_threshold=0.98,
            checks=3,
            memory=MEMORY,
        ),
        "graph_saes": None,
    }
    return CircuitSettings(**{**plain, **changes})


@pytest.fixture(scope="module")
def subject(tiny: LanguageModel, tiny_sae: Callable[..., Any]) -> Subject:
    from dataclasses import replace

    saes = {
        "late": tiny_sae("topk", hook_name="blocks.2.hook_resid_pre", d_sae=56),
        "early": tiny_sae("jumprelu", hook_name="blocks.0.hook_resid_post", d_sae=40),
        "z": tiny_sae("standard", hook_name="blocks.1.attn.hook_z", d_sae=48),
        "mlp": tiny_sae("transcoder", hook_name="blocks.2.ln2.hook_normalized", d_sae=24),
    }
    ordered = in_layer_order({slug: replace(sae, slug=slug) for slug, sae in saes.items()})
    return Subject(tiny, ordered, {slug: np.arange(6) for slug in ordered})


def prompt_of(model: LanguageModel, **asked: Any) -> PromptTokens:
    return make_prompts([PromptConfig(**asked)], model, prepend_bos=True, include_bos=False)[0]


def task(model: LanguageModel, **asked: Any) -> PromptTask:
    config = PromptConfig(**asked)
    return PromptTask(prompt_of(model, **asked), config.saes, config.pairs, config.graph)


def rows(columns: dict[str, Any], **where: Any) -> list[dict[str, Any]]:
    names = list(columns)
    every = [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return [row for row in every if all(row[name] == value for name, value in where.items())]


TEXT = "w5 w9 w13 w5 w9 => w7"


@pytest.fixture(scope="module")
def made(subject: Subject) -> dict[str, Any]:
    asked = task(subject.model, text=TEXT, graph=True)
    return collect_prompt(subject, asked, settings(), QUIET)


def test_saes_and_their_pairs_are_in_layer_order(subject: Subject) -> None:
    assert list(subject.saes) == ["early", "z", "late", "mlp"]
    assert pairs_in_order(subject.saes) == [
        ("early", "z"),
        ("early", "late"),
        ("early", "mlp"),
        ("z", "late"),
        ("z", "mlp"),
        ("late", "mlp"),
    ]


def test_every_table_has_its_schema_and_the_prompts_number(made: dict[str, Any]) -> None:
    expected = {"prompts", "prompt_next", "prompt_answers", "prompt_activations", "gradient_maps"}
    expected |= {"gradients", "gradient_checks", "head_attributions", "components", "graphs"}
    assert made.keys() >= expected
    for name, columns in made.items():
        table = to_arrow(TABLES[name], columns)
        assert set(table["prompt"].to_pylist()) == {0}, name


def test_maps_go_from_the_tokens_to_the_logits(made: dict[str, Any], subject: Subject) -> None:
    maps = list(zip(made["gradient_maps"]["early"], made["gradient_maps"]["late"], strict=True))
    slugs = list(subject.saes)
    tokens, logits = [("", slug) for slug in slugs], [(slug, "") for slug in slugs]
    assert maps == tokens + pairs_in_order(subject.saes) + logits


def test_the_largest_gradients_are_kept_and_their_share_is_stated(
    made: dict[str, Any], subject: Subject
) -> None:
    prompt = prompt_of(subject.model, text=TEXT)
    tokens, counted = torch.tensor(prompt.tokens), torch.tensor(prompt.counted)
    early, late = subject.saes["early"], subject.saes["late"]
    found = latents_to_latents(
        subject.model, early, late, tokens, counted, MapLimits(None, None, MEMORY)
    )
    got = rows(made["gradients"], early="early", late="late")
    flat = found.values.numpy().ravel()
    expected = np.sort(np.abs(flat))[::-1][:50]
    np.testing.assert_allclose([abs(row["gradient"]) for row in got], expected, rtol=1e-5)
    assert [row["rank"] for row in got] == list(range(50))
    for row in got:
        i = (found.early.positions == row["early_position"]) & (
            found.early.latents == row["early_latent"]
        )
        j = (found.late.positions == row["late_position"]) & (
            found.late.latents == row["late_latent"]
        )
        assert float(found.values[j][:, i]) == pytest.approx(row["gradient"], rel=1e-5)
        assert float(found.early.values[i]) == pytest.approx(row["early_activation"], rel=1e-5)
        assert float(found.late.values[j]) == pytest.approx(row["late_activation"], rel=1e-5)
    (summary,) = rows(made["gradient_maps"], early="early", late="late")
    assert summary["n_pairs"] == np.count_nonzero(flat)
    assert summary["n_kept"] == 50
    assert summary["total"] == pytest.approx(np.abs(flat).sum(), rel=1e-5)
    assert summary["kept_share"] == pytest.approx(expected.sum() / np.abs(flat).sum(), rel=1e-5)
    assert (summary["n_true"], summary["n_reconstructed"]) == (found.n_true, found.n_reconstructed)


def test_the_strongest_are_checked_by_intervention(made: dict[str, Any], subject: Subject) -> None:
    prompt = prompt_of(subject.model, text=TEXT)
    tokens, counted = torch.tensor(prompt.tokens), torch.tensor(prompt.counted)
    for late in ("mlp", ""):
        checks = rows(made["gradient_checks"], early="z", late=late)
        gradients = rows(made["gradients"], early="z", late=late)[:5]
        assert [check["rank"] for check in checks] == [0, 1, 2, 3, 4]
        names = ("early_position", "early_latent", "late_position", "late_latent")
        pairs = torch.tensor([[row[name] for name in names] for row in gradients])
        measured = ablation_effects(
            subject.model,
            subject.saes["z"],
            subject.saes[late] if late else None,
            tokens,
            counted,
            pairs,
        )
        for check, row, effect in zip(checks, gradients, measured.tolist(), strict=True):
            linear = -row["early_activation"] * row["gradient"]
            assert check["predicted"] == pytest.approx(linear, rel=1e-5)
            assert check["measured"] == pytest.approx(effect, abs=1e-5)


def test_logits_are_the_likeliest_and_the_answers(made: dict[str, Any], subject: Subject) -> None:
    prompt = prompt_of(subject.model, text=TEXT)
    tokens, counted = torch.tensor(prompt.tokens), torch.tensor(prompt.counted)
    logits = subject.model.model(tokens[None])[0, -1]
    likeliest = logits.topk(4).indices.tolist()
    (summary,) = rows(made["gradient_maps"], early="late", late="")
    assert summary["n_late"] == 5
    found = latents_to_logits(
        subject.model,
        subject.saes["late"],
        tokens,
        counted,
        [*likeliest, 7],
        MapLimits(None, None, MEMORY),
    )
    assert summary["total"] == pytest.approx(float(found.values.abs().sum()), rel=1e-5)


def test_next_tokens_and_answers_are_the_models_own(made: dict[str, Any], subject: Subject) -> None:
    tokens = torch.tensor(prompt_of(subject.model, text=TEXT).tokens)
    logits = subject.model.model(tokens[None])[0, -1].double()
    probabilities = logits.softmax(0)
    true = rows(made["prompt_next"], splice="")
    assert [row["token"] for row in true] == logits.topk(10).indices.tolist()
    assert [row["rank"] for row in true] == list(range(1, 11))
    for row in true:
        assert row["logit"] == pytest.approx(float(logits[row["token"]]), rel=1e-5)
        assert row["probability"] == pytest.approx(float(probabilities[row["token"]]), rel=1e-4)
    assert {row["splice"] for row in rows(made["prompt_next"])} == {"", *subject.saes}
    answer = rows(made["prompt_answers"], splice="")[0]
    assert answer["token"] == 7
    assert answer["rank"] == int((logits > logits[7]).sum()) + 1
    spliced = rows(made["prompt_answers"], splice="late")[0]
    assert spliced["logit"] != pytest.approx(answer["logit"], rel=1e-4)


def test_equal_logits_are_ranked_by_token() -> None:
    logits = {"": torch.tensor([1.0, 2.0, 2.0, 2.0, 0.0])}
    assert next_tokens(logits)["token"] == [1, 2, 3, 0, 4]
    assert [answers(logits, token)["rank"] for token in range(5)] == [[4], [1], [2], [3], [5]]
    assert answers(logits, -1)["rank"] == []


def test_activations_are_of_chosen_latents_at_counted_positions(
    made: dict[str, Any], subject: Subject
) -> None:
    tokens = torch.tensor(prompt_of(subject.model, text=TEXT).tokens)
    late = subject.saes["early"]
    f = late.encode(subject.model.run(tokens[None], [late.hook_in.name])[late.hook_in.name][0])
    got = {row["latent"]: row["values"] for row in rows(made["prompt_activations"], sae="early")}
    assert set(got) == {i for i in range(6) if (f[1:, i] > 0).any()}
    assert got
    for latent, values in got.items():
        assert values[0] == 0
        np.testing.assert_allclose(values[1:], f[1:, latent].numpy(), rtol=1e-5)


def test_on_repeated_tokens_the_filtered_block_is_kept_too(subject: Subject) -> None:
    asked = task(subject.model, repeat_random=2, saes=("early", "late"))
    made = collect_prompt(subject, asked, settings(pairs_kept=10, checks=0, attributed=0), QUIET)
    prompt = asked.prompt
    late = subject.saes["late"]
    tokens = torch.tensor(prompt.tokens)
    f = late.encode(subject.model.run(tokens[None], [late.hook_in.name])[late.hook_in.name][0])
    throughout = set((f[3:5] > 0).all(dim=0).nonzero()[:, 0].tolist())
    listed = rows(made["induction_latents"], sae="late")
    assert {row["latent"] for row in listed} == throughout
    assert throughout, "the fixture's SAE has no latent that is active throughout"
    for row in listed:
        assert row["mean"] == pytest.approx(float(f[3:5, row["latent"]].mean()), rel=1e-5)
    found = latents_to_latents(
        subject.model,
        subject.saes["early"],
        late,
        tokens,
        torch.tensor(prompt.counted),
        MapLimits(None, None, MEMORY),
    )
    inside = [
        p >= 3 and latent in throughout
        for p, latent in zip(
            found.late.positions.tolist(), found.late.latents.tolist(), strict=True
        )
    ]
    expected = np.sort(np.abs(found.values[inside].numpy()).ravel())[::-1][:10]
    got = [
        abs(row["gradient"])
        for row in rows(made["gradients"], early="early", late="late")
        if row["late_position"] >= 3 and row["late_latent"] in throughout
    ]
    np.testing.assert_allclose(got[:10], expected, rtol=1e-5)
    sizes = [abs(row["gradient"]) for row in rows(made["gradients"], early="early", late="late")]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) > 10


def test_pairs_and_saes_of_a_prompt_are_the_ones_asked_for(subject: Subject) -> None:
    asked = task(subject.model, text="w5 w6 w7", pairs=(("early", "mlp"),))
    made = collect_prompt(subject, asked, settings(attributed=0), QUIET)
    maps = list(zip(made["gradient_maps"]["early"], made["gradient_maps"]["late"], strict=True))
    assert maps == [("", "early"), ("", "mlp"), ("early", "mlp"), ("early", ""), ("mlp", "")]


def test_without_pairs_all_saes_are_used(subject: Subject) -> None:
    asked = task(subject.model, text="w5 w6 w7", pairs=())
    made = collect_prompt(subject, asked, settings(attributed=0, checks=0), QUIET)
    maps = list(zip(made["gradient_maps"]["early"], made["gradient_maps"]["late"], strict=True))
    slugs = list(subject.saes)
    assert maps == [("", slug) for slug in slugs] + [(slug, "") for slug in slugs]


def test_what_cannot_be_done_is_noted_and_the_rest_is_there(subject: Subject) -> None:
    pairs = (("late", "early"), ("late", "late"), ("early", "late"))
    asked = task(subject.model, text="w5 w6 w7 => w8 w9", pairs=pairs, graph=True)
    without = Subject(
        subject.model,
        {slug: sae for slug, sae in subject.saes.items() if slug != "mlp"},
        subject.chosen,
    )
    changed = settings(top_logits=1000, limits=MapLimits(4, 3, MEMORY))
    made = collect_prompt(without, asked, changed, QUIET)
    notes = dict(zip(made["prompt_notes"]["topic"], made["prompt_notes"]["text"], strict=True))
    assert "has 2 tokens" in notes["answer"]
    assert "Name the earlier SAE first" in notes["late to early"]
    assert "same point" in notes["late to late"]
    assert "the vocabulary has 100 tokens" in notes["logits"]
    assert "4 of " in notes["early to late"]
    assert "3 of " in notes["early to late"]
    assert "needs MLP transcoders" in notes["graph"]
    assert made["prompt_notes"]["number"] == list(range(len(notes)))
    (kept,) = rows(made["gradient_maps"], early="early", late="late")
    assert (kept["n_early"], kept["n_late"]) == (4, 3)
    assert kept["n_early_all"] > 4
    early = without.saes["early"]
    tokens = torch.tensor(asked.prompt.tokens)
    f = dense.true_f(subject.model, early, tokens)[torch.tensor(asked.prompt.counted)]
    largest = sorted(f[f > 0].tolist(), reverse=True)
    assert kept["early_share"] == pytest.approx(sum(largest[:4]) / sum(largest), rel=1e-5)
    assert 0 < kept["late_share"] < 1
    assert (
        f"4 of {len(largest)} inputs ({kept['early_share']:.0%} of their" in notes["early to late"]
    )
    (logits,) = rows(made["gradient_maps"], early="late", late="")
    assert logits["n_late"] == 100


def test_a_dead_sae_is_noted_once_and_left_out_of_the_maps(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    import saereport.circuits.collecting as module

    true = module.true_activations

    def with_dead(*args: Any) -> dict[str, torch.Tensor]:
        found = true(*args)
        found["z"] = torch.zeros_like(found["z"])
        return found

    monkeypatch.setattr(module, "true_activations", with_dead)
    asked = task(subject.model, text="w5 w6 w7", saes=("early", "z", "late"))
    made = collect_prompt(subject, asked, settings(attributed=0), QUIET)
    assert made["prompt_notes"]["topic"] == ["z"]
    assert "Dead on this prompt" in made["prompt_notes"]["text"][0]
    maps = list(zip(made["gradient_maps"]["early"], made["gradient_maps"]["late"], strict=True))
    assert maps == [("", "early"), ("", "late"), ("early", "late"), ("early", ""), ("late", "")]


def test_a_failure_of_one_part_leaves_the_others(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    import saereport.circuits.collecting as module

    def fail(*_: Any, **__: Any) -> Any:
        raise SaereportError("It cannot be frozen.", "Use another model.")

    monkeypatch.setattr(module, "prompt_attributions", fail)
    made = collect_prompt(subject, task(subject.model, text="w5 w6 w7"), settings(), QUIET)
    assert made["prompt_notes"]["text"] == ["It cannot be frozen. Use another model."]
    assert len(made["gradient_maps"]["early"]) == 14


@pytest.mark.parametrize("part", ["prompt_attributions", "true_activations"])
def test_a_prompt_that_memory_does_not_hold_is_noted(
    subject: Subject, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    import saereport.circuits.collecting as module

    def fail(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(module, part, fail)
    made = collect_prompt(subject, task(subject.model, text="w5 w6 w7"), settings(), QUIET)
    assert [text[:15] for text in made["prompt_notes"]["text"]] == ["Memory ran out."]
    assert made["prompts"]["name"] == ["w5 w6 w7"]
    assert ("gradient_maps" in made) == (part == "prompt_attributions")


def test_an_error_of_the_program_is_not_taken_for_a_fact_about_the_prompt(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    import saereport.circuits.collecting as module

    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(module, "prompt_attributions", fail)
    with pytest.raises(RuntimeError, match="shapes differ"):
        collect_prompt(subject, task(subject.model, text="w5 w6 w7"), settings(), QUIET)


def test_there_is_a_limit_on_logits(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    import saereport.circuits.collecting as module

    monkeypatch.setattr(module, "MOST_LOGITS", 7)
    asked = task(subject.model, text="w5 w6 w7", saes=("late",))
    made = collect_prompt(subject, asked, settings(top_logits=1000), QUIET)
    assert "the 7 most likely, the limit, are used" in made["prompt_notes"]["text"][0]
    (logits,) = rows(made["gradient_maps"], early="late", late="")
    assert logits["n_late"] == 7


def test_nothing_is_computed_on_a_prompt_that_makes_no_sense(subject: Subject) -> None:
    made = collect_prompt(subject, task(subject.model, tokens=(5, 1000)), settings(), QUIET)
    assert set(made) == {"prompts", "prompt_notes"}
    assert "Token 1000" in made["prompt_notes"]["text"][0]


@pytest.mark.parametrize("limit", [0, 1, 3, 7, 100])
def test_kept_pairs_are_those_of_a_full_sort_with_ties_by_place(limit: int) -> None:
    values = torch.tensor([[0.0, 2.0, -2.0], [1.0, 0.0, 2.0], [-3.0, 1.0, 0.0]])
    kept = kept_pairs(values, limit)
    flat = values.numpy().ravel()
    order = [i for i in np.lexsort((np.arange(9), -np.abs(flat))) if flat[i]][:limit]
    assert (kept.late * 3 + kept.early).tolist() == order
    assert kept.n_pairs == 6
    assert kept.total == 11
    assert kept.share == pytest.approx(np.abs(flat[order]).sum() / 11)


def test_a_map_without_any_gradient_keeps_nothing() -> None:
    kept = kept_pairs(torch.zeros(2, 3), 5, torch.tensor([True, False]))
    assert (len(kept), kept.n_pairs, kept.share) == (0, 0, 1.0)
