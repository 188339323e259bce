"""Attribution on top examples: equal to that of whole sequences, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from saereport.circuits.attribution.components import components, head_attribution
from saereport.circuits.attribution.examples import (
    SOURCES,
    ExampleLimits,
    TopExamples,
    example_attributions,
)
from saereport.circuits.attribution.influences import earlier_saes, strongest_influences
from saereport.circuits.attribution.reads import targets_of
from saereport.circuits.attribution.summary import influence_counts
from saereport.circuits.frozen import freeze_batch
from saereport.measure.weights import TokenRows
from saereport.run.columns import to_arrow
from saereport.run.tables import TABLES
from saereport.sources.models import LanguageModel
from saereport.sources.saes.sae import Sae
from tests.factories import tiny_tokens

Make = Callable[..., Sae]
PER_LATENT = 3
TEXT = tiny_tokens(5, 40, seed=7)
TEXT[3, 9] = 1  # a special token inside a sequence


@pytest.fixture(scope="module")
def saes(tiny_sae: Make) -> list[Sae]:
    return [
        tiny_sae("transcoder", hook_name="blocks.0.ln2.hook_normalized", d_sae=24, seed=1),
        tiny_sae("topk", hook_name="blocks.1.attn.hook_z", d_sae=24, seed=2),
        tiny_sae("standard", hook_name="blocks.1.hook_mlp_out", d_sae=24, seed=3),
        tiny_sae("gated", hook_name="blocks.2.mlp.hook_in", d_sae=24, seed=4),
    ]


@pytest.fixture(scope="module")
def rows(tiny: LanguageModel) -> TokenRows:
    return TokenRows(tiny)


def whole_runs(model: LanguageModel, saes: list[Sae]) -> list[Any]:
    return freeze_batch(model, TEXT, n_layers=3, reads=[sae.hook_in.name for sae in saes])


def top_examples(model: LanguageModel, sae: Sae) -> dict[str, list[Any]]:
    """Each latent's four strongest tokens, and some rows of another group."""
    names = ("latent", "group", "rank", "sequence", "position", "activation")
    found: list[tuple[Any, ...]] = []
    f = torch.stack([sae.encode(run.acts[sae.hook_in.name]) for run in whole_runs(model, [sae])])
    f[:, 0] = 0
    f[TEXT == 1] = 0
    for latent in range(sae.d_sae):
        values = f[:, :, latent].flatten()
        order = torch.sort(values, descending=True, stable=True).indices[:4].tolist()
        for rank, place in enumerate(order):
            if values[place] > 0:
                row = (latent, rank, place // 40, place % 40, float(values[place]))
                found.append((row[0], "top", *row[1:]))
                found.append((row[0], "quantile:0", *row[1:]))
    return {name: [row[i] for row in found] for i, name in enumerate(names)}


def attributed(
    model: LanguageModel,
    saes: list[Sae],
    sae: Sae,
    token_rows: TokenRows,
    latents: list[int],
    **settings: Any,
) -> dict[str, Any]:
    advance = settings.pop("advance", None)
    limits = ExampleLimits(**{"per_latent": PER_LATENT, "influences": 6, "listed": 5, **settings})
    table = top_examples(model, sae)
    return dict(
        example_attributions(
            model,
            saes,
            sae,
            TopExamples(np.array(latents), table, lambda sequence: TEXT[sequence].tolist()),
            limits,
            token_rows,
            advance=advance,
        )
    )


def as_rows(columns: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@pytest.mark.parametrize("which", range(4))
def test_a_truncated_example_gives_what_the_whole_sequence_does(
    which: int, tiny: LanguageModel, saes: list[Sae], rows: TokenRows
) -> None:
    sae = saes[which]
    latents = list(range(0, 24, 2))
    tables = attributed(tiny, saes, sae, rows, latents)
    if sae.hook_in.kind == "mlp_out":
        assert tables == {}
        return
    for name, columns in tables.items():
        assert to_arrow(TABLES[name], columns).num_rows > 0
    hook = sae.hook_in
    main = as_rows(tables["example_heads" if hook.kind == "z" else "example_components"])
    examples = [row for row in as_rows(top_examples(tiny, sae)) if row["group"] == "top"]
    expected = [r for r in examples if r["latent"] in latents and r["rank"] < PER_LATENT]
    keys = ("latent", "rank", "sequence", "position", "activation")
    assert [[r[k] for k in keys] for r in main] == [[r[k] for k in keys] for r in expected]
    assert len({row["position"] for row in main}) > 5

    runs = whole_runs(tiny, saes)
    early = dict(enumerate(earlier_saes(saes, hook, parallel=False)))
    influenced = as_rows(tables.get("example_influences", {}))
    for row in main:
        run, position = runs[row["sequence"]], row["position"]
        targets = targets_of(
            sae, run.acts[hook.name], torch.tensor([position]), torch.tensor([row["latent"]])
        )
        assert row["pre_activation"] == pytest.approx(float(targets.pre_activation), rel=1e-4)
        if hook.kind == "z":
            by_head, _ = head_attribution(run, hook, targets)
            assert np.allclose(row["heads"], by_head[0].sum(dim=1), rtol=1e-3, atol=1e-4)
            assert row["start"] == max(position - SOURCES, 0)
            sources = by_head[0].sum(dim=0)[: position + 1]
            lumped = [float(sources[: row["start"] + 1].sum()), *sources[row["start"] + 1 :]]
            assert np.allclose(row["sources"], lumped, rtol=1e-3, atol=1e-4)
            for part in ("heads", "sources"):
                total = row[part].sum() + row["bias"]
                assert total == pytest.approx(row["pre_activation"], rel=1e-3, abs=1e-4)
        else:
            found = components(run, hook, targets)
            assert np.allclose(row["heads"], found.heads[0].flatten(), rtol=1e-3, atol=1e-4)
            assert np.allclose(row["mlps"], found.mlps[0], rtol=1e-3, atol=1e-4)
            total = row["embedding"] + row["bias"] + row["heads"].sum() + row["mlps"].sum()
            assert total == pytest.approx(row["pre_activation"], rel=1e-3, abs=1e-4)
        mine = [r for r in influenced if all(r[k] == row[k] for k in ("latent", "rank"))]
        if not early:
            assert not mine
            continue
        counted = TEXT[row["sequence"]] > 1
        acts = {
            i: (other, other.encode(run.acts[other.hook_in.name])) for i, other in early.items()
        }
        (kept,) = strongest_influences(run, hook, targets, acts, counted, 6)
        assert [r["number"] for r in mine] == list(range(len(kept)))
        for r, i in zip(mine, range(len(kept)), strict=True):
            assert r["value"] == pytest.approx(float(kept.value[i]), rel=1e-3, abs=1e-5)
            assert r["early"] == early[int(kept.early[i])].slug
            assert r["early_latent"] == kept.latent[i]
            assert (r["layer"], r["head"]) == (kept.layer[i], kept.head[i])
            assert r["source"] == kept.source[i] - position <= 0
            assert r["token"] == TEXT[row["sequence"], kept.source[i]] > 1


def test_both_starts_and_lumped_sources_occur(
    tiny: LanguageModel, saes: list[Sae], rows: TokenRows
) -> None:
    table = attributed(tiny, saes, saes[1], rows, list(range(24)))["example_heads"]
    lengths = [len(sources) for sources in table["sources"]]
    assert max(lengths) == SOURCES + 1
    assert min(lengths) < SOURCES + 1
    assert 0 in table["start"]
    assert max(table["start"]) > 0


def test_influences_are_counted_over_a_latents_examples() -> None:
    def row(latent: int, rank: int, early: str, unit: int, value: float) -> dict[str, Any]:
        return {
            "latent": latent,
            "rank": rank,
            "early": early,
            "early_latent": unit,
            "value": value,
        }

    influences = [
        row(4, 0, "a", 7, 2.0),
        row(4, 0, "a", 7, 1.0),
        row(4, 0, "b", 7, 9.0),
        row(4, 1, "a", 7, -1.0),
        row(4, 1, "a", 2, -9.0),
        row(9, 0, "a", 3, 0.5),
    ]
    examples = [{"latent": 4}, {"latent": 4}, {"latent": 4}, {"latent": 9}]
    assert as_rows(dict(influence_counts(examples, influences, 2))) == [
        {
            "latent": 4,
            "number": 0,
            "early": "a",
            "early_latent": 7,
            "n_among": 2,
            "n_examples": 3,
            "mean": 2.0 / 3,  # 3 and -1 on two of the three examples
        },
        {
            "latent": 4,
            "number": 1,
            "early": "a",
            "early_latent": 2,
            "n_among": 1,
            "n_examples": 3,
            "mean": -3.0,
        },
        {
            "latent": 9,
            "number": 0,
            "early": "a",
            "early_latent": 3,
            "n_among": 1,
            "n_examples": 1,
            "mean": 0.5,
        },
    ]


@pytest.mark.parametrize("which", [1, 3])
def test_heads_are_the_strongest_and_their_tokens_are_those_of_the_weights(
    which: int, tiny: LanguageModel, saes: list[Sae], rows: TokenRows
) -> None:
    sae = saes[which]
    chosen = sorted(set(top_examples(tiny, sae)["latent"]))[1:7:2]
    tables = attributed(tiny, saes, sae, rows, chosen)
    main = as_rows(tables["example_heads" if which == 1 else "example_components"])
    first = sae.hook_in.layer if which == 1 else 0
    found = as_rows(tables["example_head_deembedding"])
    assert len(found) == 9
    for latent in chosen:
        mine = [row for row in found if row["latent"] == latent]
        heads = np.stack([row["heads"] for row in main if row["latent"] == latent])
        order = np.argsort(-np.abs(heads).mean(axis=0), kind="stable")[:3]
        assert [row["number"] for row in mine] == [0, 1, 2]
        for row, place in zip(mine, order, strict=True):
            layer, head = first + place // tiny.n_heads, place % tiny.n_heads
            assert (row["layer"], row["head"]) == (layer, head)
            assert row["mean"] == pytest.approx(heads[:, place].mean(), rel=1e-5)
            values = tiny.W_V(layer)[head] * tiny.attn_norm_weight(layer)[:, None]
            moved = torch.cat([*rows.extended()]) @ values
            if which == 1:
                scores = moved @ sae.W_enc[head * 8 : head * 8 + 8, latent]
            else:
                out = moved @ tiny.W_O(layer)[head]
                out = out - out.mean(dim=1, keepdim=True)
                out = out / out.std(dim=1, keepdim=True)
                scores = out @ (sae.W_enc[:, latent] * tiny.mlp_norm_weight(2))
            best = torch.sort(scores, descending=True, stable=True)
            assert row["top_tokens"].tolist() == best.indices[:5].tolist()
            assert np.allclose(row["top_values"], best.values[:5], rtol=1e-3, atol=1e-4)
            assert np.allclose(row["bottom_values"], best.values[-5:].flip(0), rtol=1e-3, atol=1e-4)


def test_work_is_counted_and_batches_change_nothing(
    tiny: LanguageModel,
    saes: list[Sae],
    rows: TokenRows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps: list[int] = []
    latents = [0, 1, 2, 3]
    whole = attributed(tiny, saes, saes[3], rows, latents, advance=steps.append)
    n = len(whole["example_components"]["latent"])
    assert sum(steps) == n
    monkeypatch.setattr("saereport.circuits.attribution.examples._BATCH", 10**5)
    parts = attributed(tiny, saes, saes[3], rows, latents)
    for name, columns in whole.items():
        for column, values in columns.items():
            for a, b in zip(values, parts[name][column], strict=True):
                if isinstance(a, str):
                    assert a == b
                else:
                    assert np.allclose(a, b, rtol=1e-3, atol=1e-4)


def test_nothing_to_take_apart(tiny: LanguageModel, saes: list[Sae], rows: TokenRows) -> None:
    assert attributed(tiny, saes, saes[0], rows, []) == {}
    assert attributed(tiny, saes, saes[0], rows, [1, 2], per_latent=0) == {}
    alone = attributed(tiny, [saes[3]], saes[3], rows, [2, 4])
    assert sorted(alone) == ["example_components", "example_head_deembedding"]


def test_bos_is_a_source_only_where_it_is_asked_for(
    tiny: LanguageModel, saes: list[Sae], rows: TokenRows
) -> None:
    settings = {"per_latent": 1, "influences": 10**6}
    for include in (False, True):
        table = attributed(tiny, saes, saes[3], rows, [2], include_bos=include, **settings)
        tokens = set(table["example_influences"]["token"])
        assert (0 in tokens) is include
