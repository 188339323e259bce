"""Language models: activations, early stopping, weights, and what can go wrong."""

from __future__ import annotations

import pytest
import torch

from saereport.sources.hooks import parse_hook
from saereport.sources.model_loading import load_model
from saereport.util.errors import SaereportError, UsageError
from tests.factories import hf_model, tiny_model, tiny_tokens

KINDS = ("gpt2", "llama", "neox", "gemma2")


def tokens_for(model, n=3, length=12):
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 250, (n, length), generator=generator) % model.d_vocab


@pytest.fixture(params=["HookedTransformer", *KINDS])
def model(request, tiny, bridge):
    return tiny if request.param == "HookedTransformer" else bridge(request.param)


def hooks_of(model, layer):
    sites = [
        "hook_resid_pre",
        "attn.hook_z",
        "hook_attn_out",
        "ln2.hook_normalized",
        "mlp.hook_in",
        "hook_mlp_out",
        "hook_resid_post",
    ]
    if not getattr(model.model.cfg, "parallel_attn_mlp", False):
        sites.insert(3, "hook_resid_mid")
    return [f"blocks.{layer}.{site}" for site in sites]


def test_gives_what_was_asked_for(model):
    tokens = tokens_for(model)
    asked = [*hooks_of(model, 1), *hooks_of(model, 0), "hook_embed"]
    got = model.run(tokens, asked)
    assert list(got) == asked
    for name, a in got.items():
        assert a.shape == (3, 12, model.width(parse_hook(name))), name
        assert not a.requires_grad
        assert not a.is_inference()


def test_one_pass_or_many_give_the_same(model):
    tokens = tokens_for(model)
    asked = hooks_of(model, 1)
    together = model.run(tokens, asked)
    for name in asked:
        assert torch.equal(model.run(tokens, [name])[name], together[name]), name


def test_agrees_with_run_with_cache(tiny):
    tokens = tiny_tokens()
    asked = [name for name in hooks_of(tiny, 2) if "mlp.hook_in" not in name]
    _, cache = tiny.model.run_with_cache(tokens)
    for name, a in tiny.run(tokens, asked).items():
        expected = cache[name].flatten(2) if name.endswith("hook_z") else cache[name]
        assert torch.equal(a, expected), name


@pytest.mark.parametrize("kind", KINDS)
def test_bridge_agrees_with_hugging_face(kind, bridge):
    model = bridge(kind)
    tokens = tokens_for(model)
    with torch.no_grad():
        states = hf_model(kind)(tokens, output_hidden_states=True).hidden_states
    for layer in range(3):
        name = f"blocks.{layer}.hook_resid_pre"
        torch.testing.assert_close(
            model.run(tokens, [name])[name], states[layer], atol=1e-5, rtol=1e-4
        )


def test_residual_stream_adds_up(model):
    """What the sublayers write is the difference between the residual stream before and after."""
    tokens = tokens_for(model)
    a = model.run(tokens, hooks_of(model, 1))
    written = a["blocks.1.hook_attn_out"] + a["blocks.1.hook_mlp_out"]
    torch.testing.assert_close(
        a["blocks.1.hook_resid_pre"] + written, a["blocks.1.hook_resid_post"], atol=1e-4, rtol=1e-4
    )


def modules_run(model, hook):
    """The block-level modules that a run to `hook` executes."""
    seen, handles = set(), []
    for layer, block in enumerate(model.model.blocks):
        for part in ("attn", "mlp", "ln1", "ln2"):
            handles.append(
                getattr(block, part).register_forward_pre_hook(
                    lambda *_, name=f"{layer}.{part}": seen.add(name)
                )
            )
    for part in ("unembed", "ln_final"):
        handles.append(
            getattr(model.model, part).register_forward_pre_hook(
                lambda *_, name=part: seen.add(name)
            )
        )
    try:
        model.run(tokens_for(model), [hook])
    finally:
        for handle in handles:
            handle.remove()
    return seen


def test_stops_at_the_deepest_hook(model):
    assert modules_run(model, "blocks.0.hook_resid_pre") <= {"0.ln1"}
    whole = {"0.ln1", "0.attn", "0.ln2", "0.mlp"}
    assert modules_run(model, "blocks.0.hook_resid_post") == whole
    upto_z = modules_run(model, "blocks.1.attn.hook_z")
    assert upto_z - {"1.ln2"} == whole | {"1.ln1", "1.attn"}, "the MLP of that layer need not run"
    last = modules_run(model, "blocks.2.hook_resid_post")
    assert not last & {"unembed", "ln_final"}, "neither the final norm nor the logits"


def test_leaves_the_model_as_it_was(model):
    tokens = tokens_for(model)
    before = model.model(tokens)
    model.run(tokens, ["blocks.1.attn.hook_z", "blocks.0.hook_mlp_out"])
    with pytest.raises(SaereportError):
        model.run(tokens, ["blocks.0.hook_mlp_out", "blocks.9.hook_mlp_out"])
    assert torch.equal(model.model(tokens), before)
    hooks = model.model.hook_dict.values()
    assert not any(hook._forward_hooks or hook._forward_pre_hooks for hook in hooks)


def test_can_take_part_in_gradients_later(model):
    a = model.run(tokens_for(model), ["blocks.1.hook_resid_pre"])["blocks.1.hook_resid_pre"]
    weight = torch.ones(model.d_model, requires_grad=True)
    (a @ weight).sum().backward()
    assert weight.grad is not None


def test_hook_mlp_in_is_before_the_norm(model):
    if getattr(model.model.cfg, "parallel_attn_mlp", False):
        assert not model.has_hook("blocks.1.hook_resid_mid")  # nothing lies in the middle there
        return
    tokens = tokens_for(model)
    names = ["blocks.1.hook_mlp_in", "blocks.1.hook_resid_mid"]
    a = model.run(tokens, names)
    torch.testing.assert_close(a[names[0]], a[names[1]])


def test_norm_weight_stands_between_normalized_and_mlp_in(model):
    """`hook_normalized` is before the norm's weight; what the MLP reads is after it."""
    a = model.run(tokens_for(model), hooks_of(model, 1))
    weight = model.mlp_norm_weight(1)
    bias = getattr(model.model.blocks[1].ln2, "b", None)
    bias = 0 if bias is None else bias.detach()
    torch.testing.assert_close(
        a["blocks.1.ln2.hook_normalized"] * weight + bias,
        a["blocks.1.mlp.hook_in"],
        atol=1e-5,
        rtol=1e-4,
    )
    x = a["blocks.1.ln2.hook_normalized"]
    centred = x.mean(-1).abs().max() < 1e-4
    assert bool(centred) == (model.norm == "layer")


def test_value_and_output_matrices(model):
    """`z @ W_O` is the attention's output, and values are `normalised @ W_V`."""
    tokens = tokens_for(model)
    n, d = model.n_heads, model.d_head
    assert model.W_V(1).shape == (n, model.d_model, d)
    assert model.W_O(1).shape == (n, d, model.d_model)
    captured = {}
    attn = model.model.blocks[1].attn
    handle = attn.register_forward_hook(lambda _m, _a, out: captured.update(out=out))
    try:
        model.run(tokens, ["blocks.1.hook_resid_post"])
    finally:
        handle.remove()
    out = captured["out"][0] if isinstance(captured["out"], tuple) else captured["out"]
    z = model.run(tokens, ["blocks.1.attn.hook_z"])["blocks.1.attn.hook_z"].unflatten(-1, (n, d))
    bias = attn.b_O if getattr(attn, "b_O", None) is not None else 0
    torch.testing.assert_close(
        torch.einsum("bphd,hdm->bpm", z, model.W_O(1)) + bias, out, atol=1e-4, rtol=1e-4
    )
    # At the first position every head attends to it alone, so z is the value there.
    name = "blocks.1.hook_resid_pre"
    first = model.run(tokens, [name])[name][:, :1]
    normed = model.model.blocks[1].ln1(first)
    value = torch.einsum("bpm,hmd->bphd", normed, model.W_V(1))
    if getattr(attn, "b_V", None) is not None:
        value = value + attn.b_V.view(-1, d).repeat_interleave(
            n // attn.b_V.view(-1, d).shape[0], 0
        )
    torch.testing.assert_close(value, z[:, :1], atol=1e-4, rtol=1e-4)


def test_embedding_is_what_enters_the_first_block(model):
    tokens = tokens_for(model)
    names = ["blocks.0.hook_resid_pre"]
    entered = model.run(tokens, names)[names[0]]
    positional = 0
    if model.model.cfg.positional_embedding_type == "standard":
        embedded = model.run(tokens, ["hook_embed"])["hook_embed"]
        positional = entered - embedded
    torch.testing.assert_close(model.W_E[tokens] + positional, entered, atol=1e-4, rtol=1e-4)


def test_unembedding_and_final_norm(model):
    """The logits are the normalised residual stream times the norm's weight times `W_U`."""
    tokens = tokens_for(model)
    name = "blocks.2.hook_resid_post"
    x = model.run(tokens, [name])[name].double()
    if model.norm == "layer":
        x = x - x.mean(-1, keepdim=True)
    eps = model.model.cfg.eps
    x = x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt()
    x = x * model.final_norm_weight
    bias = getattr(model.model.ln_final, "b", None)
    x = x + (0 if bias is None else bias.detach())
    logits = x @ model.W_U.double()
    b_U = getattr(model.model, "b_U", None)
    logits = logits + (0 if b_U is None else b_U.detach())
    expected = model.model(tokens)
    cap = getattr(model.model.cfg, "output_logits_soft_cap", -1)
    if cap and cap > 0:
        logits = torch.tanh(logits / cap) * cap
    torch.testing.assert_close(logits.float(), expected.detach(), atol=1e-3, rtol=1e-3)


def test_first_mlp_on_its_own(model):
    """`mlp0_of` of the true residual rows is what the first MLP wrote in the run."""
    tokens = tokens_for(model)
    mid = "hook_resid_pre" if model.model.cfg.parallel_attn_mlp else "hook_resid_mid"
    names = [f"blocks.0.{mid}", "blocks.0.hook_mlp_out"]
    a = model.run(tokens, names)
    rows = a[names[0]].flatten(0, 1)
    expected = a[names[1]].flatten(0, 1)
    got = model.mlp0_of(rows)
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)
    assert not got.requires_grad


def test_hugging_face_names_mean_the_same_hooks(bridge):
    model = bridge("llama")
    tokens = tokens_for(model)
    got = model.run(tokens, ["model.layers.1", "model.layers.1.mlp"])
    same = model.run(tokens, ["blocks.1.hook_resid_post", "blocks.1.hook_mlp_out"])
    assert torch.equal(got["model.layers.1"], same["blocks.1.hook_resid_post"])
    assert torch.equal(got["model.layers.1.mlp"], same["blocks.1.hook_mlp_out"])


def test_hook_that_does_not_exist(model):
    with pytest.raises(SaereportError, match="it has 3 layers, numbered from 0"):
        model.run(tokens_for(model), ["blocks.3.hook_resid_pre"])
    with pytest.raises(SaereportError, match=r"Did you mean 'blocks.1.hook_resid_post'"):
        model.run(tokens_for(model), ["blocks.1.hook_resid_pst"])


def test_hook_that_never_fires(model, monkeypatch):
    idle = torch.nn.Identity()
    monkeypatch.setattr(model, "find_module", lambda name: (idle, False))
    with pytest.raises(SaereportError, match=r"'blocks.1.hook_mlp_out' never fired in tiny"):
        model.run(tokens_for(model), ["blocks.1.hook_mlp_out"])


def test_missing_hook_of_a_parallel_block(bridge):
    with pytest.raises(SaereportError, match=r"no hook point 'blocks.1.hook_resid_mid'"):
        bridge("neox").run(tokens_for(bridge("neox")), ["blocks.1.hook_resid_mid"])


def test_local_model_says_what_it_is(bridge, hf_folder):
    model = bridge("llama")
    assert model.name == "tiny-llama"
    assert (model.n_layers, model.d_model, model.n_heads, model.n_kv_heads) == (3, 48, 6, 2)
    assert (model.d_head, model.d_vocab, model.n_ctx, model.norm) == (8, 257, 64, "rms")
    assert model.bos_id == 256
    assert model.special_ids == {256}
    assert "/" not in str(model.provenance).replace("</", "")
    assert model.weights_sha256 == load_model(hf_folder("llama")).weights_sha256
    assert model.weights_sha256 != bridge("gpt2").weights_sha256


def test_half_precision(hf_folder):
    model = load_model(hf_folder("llama"), dtype=torch.bfloat16)
    a = model.run(tokens_for(model), ["blocks.1.hook_resid_pre"])["blocks.1.hook_resid_pre"]
    assert a.dtype == torch.bfloat16
    assert model.W_E.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("{folder}", {}, "holds no Hugging Face model: config.json is missing"),
        ("{folder}/none.gguf", {}, "There is no model at"),
        ("./nowhere", {}, "There is no model at ./nowhere"),
        ("gpt2", {"wrapper": "HookedTransfomer"}, "Did you mean 'HookedTransformer'"),
        ("gpt-2-smal", {"wrapper": "HookedTransformer"}, "Did you mean 'gpt2-small'"),
    ],
)
def test_what_cannot_be_loaded(name, options, said, tmp_path):
    with pytest.raises(SaereportError) as caught:
        load_model(name.format(folder=tmp_path), **options)
    assert said in str(caught.value)


def test_local_model_is_no_hooked_transformer(hf_folder):
    with pytest.raises(UsageError, match="tiny-llama"):
        load_model(hf_folder("llama"), wrapper="HookedTransformer")


def test_damaged_weights(hf_folder, tmp_path):
    import shutil

    folder = shutil.copytree(hf_folder("llama"), tmp_path / "broken")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(SaereportError, match=r"The model 'broken'.*one of its files is damaged"):
        load_model(folder)


def test_folding_changes_what_is_reported():
    model = tiny_model(normalization_type="LNPre")
    assert model.final_norm_folded
    assert model.final_norm_weight is None
    assert model.mlp_norm_weight(0) is None
    assert model.attn_norm_weight(0) is None
