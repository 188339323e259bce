"""The numbers on the real model and real text against dense and direct computations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from saereport.measure import Measurement, Setting
from saereport.measure.events import events_of
from saereport.measure.weights import WEIGHT_TABLES, TokenRows, WeightContext
from saereport.sources.demo import demo_model_dir
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.sae import Sae
from saereport.sources.saes.source import SaeSource
from saereport.sources.text.opening import open_text
from saereport.sources.text.packing import Portion, Rules, pack
from tests.factories import save_sae
from tests.measure import slow
from tests.measure.texts import Dense

pytestmark = pytest.mark.model

CONTEXT = 48
LATENTS = np.array([1, 8, 40, 63])
SAES = {
    "resid": ("jumprelu", {"hook_name": "blocks.4.hook_resid_pre"}),
    "z": ("standard", {"hook_name": "blocks.2.attn.hook_z"}),
    "transcoder": ("transcoder", {"hook_name": "blocks.3.mlp.hook_in"}),
    "normalized": ("skip_transcoder", {"hook_name": "blocks.3.ln2.hook_normalized"}),
    "topk": ("topk", {"hook_name": "blocks.3.hook_resid_post"}),
}


@pytest.fixture(scope="module")
def saes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sae]:
    """Random SAEs of the demo model's width, 64 latents each, one of each kind."""
    folder: Path = tmp_path_factory.mktemp("saes")
    loaded = {
        name: load_sae(
            SaeSource(path=str(save_sae(folder / name, kind, d_in=576, d_sae=64, **options)))
        )
        for name, (kind, options) in SAES.items()
    }
    for sae in loaded.values():  # without biases latents neither die nor fire everywhere
        sae.loaded.b_enc.data.zero_()
        sae.loaded.b_dec.data.zero_()
    return loaded


@pytest.fixture(scope="module")
def read(demo_model: Any, saes: dict[str, Sae]) -> dict[str, tuple[Dense, Measurement]]:
    """Each SAE's dense activations on a little of the demo text, and its measurement."""
    packed = list(
        pack(
            open_text("demo").documents(),
            demo_model.tokenizer,
            Rules(
                CONTEXT,
                prepend_bos=True,
                bos_id=demo_model.bos_id,
                special_ids=demo_model.special_ids,
            ),
            Portion(6 * CONTEXT, batch=2),
        )
    )
    hooks = [sae.hook_in.name for sae in saes.values()]
    dense: dict[str, list[np.ndarray]] = {name: [] for name in saes}
    measurements = {
        name: Measurement(
            Setting(64, demo_model.d_vocab, np.arange(64), top=5, before=4, after=3, tokens=5)
        )
        for name in saes
    }
    for part in packed:
        activations = demo_model.run(torch.from_numpy(part.tokens.astype(np.int64)), hooks)
        for name, sae in saes.items():
            f = sae.loaded.encode(activations[sae.hook_in.name])
            measurements[name].update(events_of(f, part))
            dense[name].append(np.where(part.counted[:, :, None], f.detach().numpy(), 0))
    whole = {
        key: np.concatenate([getattr(part, key) for part in packed])
        for key in ("tokens", "counted", "documents")
    }
    d_vocab = demo_model.d_vocab
    return {
        name: (Dense(np.concatenate(parts), d_vocab=d_vocab, **whole), measurements[name])
        for name, parts in dense.items()
    }


@pytest.fixture(params=SAES)
def one(request: pytest.FixtureRequest, read: Any) -> tuple[Dense, dict[str, Any]]:
    text, measurement = read[request.param]
    return text, measurement.result(LATENTS)


def test_there_is_something_to_measure(read: dict[str, tuple[Dense, Measurement]]) -> None:
    for text, measurement in read.values():
        assert not text.counted[:, 0].any()  # BOS
        assert text.counted[:, 1:].mean() > 0.9
        assert measurement.n_active()[LATENTS].min() > 0


def test_density_and_moments(one: tuple[Dense, dict[str, Any]]) -> None:
    text, tables = one
    table = tables["activity"]
    f = text.f[text.counted][:, LATENTS].astype(np.float64)
    assert table["density"].tolist() == (f > 0).mean(axis=0).tolist()
    assert table["max"].tolist() == f.max(axis=0).tolist()
    active = [column[column > 0] for column in f.T]
    np.testing.assert_allclose(table["mean_active"], [a.mean() for a in active], rtol=1e-12)
    np.testing.assert_allclose(table["std_active"], [a.std() for a in active], rtol=1e-9)


def test_histograms(one: tuple[Dense, dict[str, Any]]) -> None:
    text, tables = one
    table = tables["activation_histogram"]
    for i, latent in enumerate(LATENTS):
        exponent, counts = slow.linear_histogram(text, latent, 64)
        assert (table["exponent"][i], table["counts"][i].tolist()) == (exponent, counts)
        by_bin = slow.log_histogram(text, latent)
        for b, count in enumerate(table["log_counts"][i], start=table["log_first"][i]):
            assert count == by_bin.get(b, 0)


def test_top_examples(one: tuple[Dense, dict[str, Any]]) -> None:
    text, tables = one
    table = tables["examples"]
    for latent in LATENTS:
        at = [
            i for i, g in enumerate(table["group"]) if g == "top" and table["latent"][i] == latent
        ]
        found = [
            (float(table["activation"][i]), int(table["sequence"][i]), int(table["position"][i]))
            for i in at
        ]
        assert found == slow.top(text, latent, 5, 4, 3)


def test_coactivation(one: tuple[Dense, dict[str, Any]]) -> None:
    text, tables = one
    table = tables["coactivation"]
    for i, (latent, other) in enumerate(zip(table["latent"], table["other"], strict=True)):
        both, pearson, jaccard = slow.coactive(text, latent, other)
        assert (table["n_both"][i], table["jaccard"][i]) == (both, jaccard)
        assert table["pearson"][i] == pytest.approx(pearson, abs=1e-9)
    f = text.f[text.counted].astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.nan_to_num(np.corrcoef(f.T), nan=-1)
    np.fill_diagonal(correlation, -1)
    active = (f > 0).astype(np.int64)
    correlation[active.T @ active < 5] = -1
    for latent in LATENTS:
        best = [
            table["other"][i]
            for i, order in enumerate(table["order"])
            if order == "pearson" and table["latent"][i] == latent and table["rank"][i] == 0
        ]
        assert best == ([correlation[latent].argmax()] if correlation[latent].max() > -1 else [])


def test_summary(read: dict[str, tuple[Dense, Measurement]]) -> None:
    for text, measurement in read.values():
        per_token = (text.f[text.counted] > 0).sum(axis=1)
        assert measurement.summary()["l0_mean"] == pytest.approx(per_token.mean())


# Weights.


def close(row: np.ndarray, tokens: np.ndarray, scores: np.ndarray, best: bool) -> None:
    """The listed entries have the scores that a direct formula gives, and none is better."""
    tolerance = 2e-5 * np.abs(scores).max()
    np.testing.assert_allclose(row, scores[tokens], atol=tolerance)
    ordered = np.sort(scores)[::-1] if best else np.sort(scores)
    np.testing.assert_allclose(row, ordered[: len(row)], atol=tolerance)


def check(columns: dict[str, Any], i: int, scores: torch.Tensor, names: str = "tokens") -> None:
    values = scores.double().numpy()
    close(columns["top_values"][i], columns[f"top_{names}"][i], values, True)
    close(columns["bottom_values"][i], columns[f"bottom_{names}"][i], values, False)


@pytest.fixture(scope="module")
def rows(demo_model: Any) -> TokenRows:
    return TokenRows(demo_model)


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    """The model's weights as they are on disk, in float32."""
    return {k: w.float() for k, w in load_file(demo_model_dir() / "model.safetensors").items()}


@pytest.fixture(scope="module")
def extended(weights: dict[str, torch.Tensor]) -> torch.Tensor:
    """E' from the weights on disk (RMS norm, gated SiLU MLP)."""
    embedding = weights["model.embed_tokens.weight"]
    norm = weights["model.layers.0.post_attention_layernorm.weight"]
    gate, up, down = (
        weights[f"model.layers.0.mlp.{name}_proj.weight"] for name in ("gate", "up", "down")
    )
    x = embedding / (embedding.square().mean(dim=1, keepdim=True) + 1e-5).sqrt() * norm
    x = embedding + (torch.nn.functional.silu(x @ gate.T) * (x @ up.T)) @ down.T
    return x / x.square().mean(dim=1, keepdim=True).sqrt()


def values(weights: dict[str, torch.Tensor], layer: int, head: int) -> torch.Tensor:
    """Value matrix of a query head with its norm's weight, [576, 64]: three share one."""
    whole = weights[f"model.layers.{layer}.self_attn.v_proj.weight"]
    part = whole[64 * (head // 3) : 64 * (head // 3) + 64]
    return (part * weights[f"model.layers.{layer}.input_layernorm.weight"]).T


def output(weights: dict[str, torch.Tensor], layer: int, head: int) -> torch.Tensor:
    """Output matrix of a head, [64, 576]."""
    whole = weights[f"model.layers.{layer}.self_attn.o_proj.weight"]
    return whole[:, 64 * head : 64 * head + 64].T


def direct_read(weights: dict[str, torch.Tensor], sae: Sae, latent: int) -> torch.Tensor:
    column, layer = sae.W_enc[:, latent].detach(), sae.hook_in.layer
    if sae.hook_in.kind == "z":
        return sum(values(weights, layer, h) @ column[64 * h : 64 * h + 64] for h in range(9))
    if sae.hook_in.kind == "mlp_in":
        return column * weights[f"model.layers.{layer}.post_attention_layernorm.weight"]
    return column


def direct_write(weights: dict[str, torch.Tensor], sae: Sae, latent: int) -> torch.Tensor:
    row, layer = sae.W_dec[latent].detach(), sae.hook_in.layer
    if sae.write_point.kind != "z":
        return row
    return sum(row[64 * h : 64 * h + 64] @ output(weights, layer, h) for h in range(9))


@pytest.fixture(params=SAES)
def context(request: pytest.FixtureRequest, saes: dict[str, Sae], rows: TokenRows) -> WeightContext:
    others = [sae for name, sae in saes.items() if name != request.param]
    return WeightContext(saes[request.param], LATENTS, rows, others)


def computed(context: WeightContext, table: str) -> dict[str, Any]:
    assert WEIGHT_TABLES[table].why_not(context) == ""
    return WEIGHT_TABLES[table].compute(context)


def test_extended_embedding(rows: TokenRows, extended: torch.Tensor) -> None:
    torch.testing.assert_close(torch.cat([*rows.extended()]), extended, atol=2e-3, rtol=1e-3)


def test_logit_lens(context: WeightContext, weights: dict[str, torch.Tensor]) -> None:
    table = computed(context, "logit_lens")
    W_U = (weights["model.embed_tokens.weight"] * weights["model.norm.weight"]).T  # tied
    for i, latent in enumerate(LATENTS):
        scores = direct_write(weights, context.sae, latent) @ W_U
        check(table, i, scores)
        assert table["std"][i] == pytest.approx(float(scores.double().std()), rel=1e-3)
        assert table["counts"][i].sum() == W_U.shape[1]


def test_deembeddings(
    context: WeightContext, weights: dict[str, torch.Tensor], extended: torch.Tensor
) -> None:
    table = computed(context, "deembedding")
    embedding = weights["model.embed_tokens.weight"]
    for i, latent in enumerate(np.repeat(LATENTS, 2)):
        read = direct_read(weights, context.sae, latent)
        check(table, i, (extended if table["kind"][i] == "extended" else embedding) @ read)


def test_deembedding_through_heads(
    context: WeightContext, weights: dict[str, torch.Tensor], extended: torch.Tensor
) -> None:
    table = computed(context, "head_deembedding")
    sae = context.sae
    for i in range(0, len(table["latent"]), 5):
        latent, layer, head = (int(table[name][i]) for name in ("latent", "layer", "head"))
        moved = extended @ values(weights, layer, head)
        if sae.hook_in.kind == "z":
            assert layer == sae.hook_in.layer
            scores = moved @ sae.W_enc[64 * head : 64 * head + 64, latent].detach()
        else:
            moved = moved @ output(weights, layer, head)
            moved = moved / moved.square().mean(dim=1, keepdim=True).sqrt()
            scores = moved @ direct_read(weights, sae, latent)
        check(table, i, scores)


def test_pullbacks(
    context: WeightContext, weights: dict[str, torch.Tensor], saes: dict[str, Sae]
) -> None:
    if context.sae.slug == "z":
        assert "writes before it reads" in WEIGHT_TABLES["pullbacks"].why_not(context)
        return
    table = computed(context, "pullbacks")
    by_slug = {sae.slug: sae for sae in saes.values()}
    for i, latent in enumerate(table["latent"]):
        early = by_slug[table["early"][i]]
        read = direct_read(weights, context.sae, latent)
        scores = torch.stack([direct_write(weights, early, j) @ read for j in range(64)])
        check(table, i, scores, "latents")


def test_head_shares(context: WeightContext) -> None:
    if context.sae.slug != "z":
        assert "attention heads" in WEIGHT_TABLES["head_shares"].why_not(context)
        return
    table = computed(context, "head_shares")
    for i, latent in enumerate(LATENTS):
        norms = context.sae.W_dec[latent].detach().reshape(9, 64).norm(dim=1)
        np.testing.assert_allclose(table["shares"][i], norms / norms.sum(), rtol=1e-5)
