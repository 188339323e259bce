"""Loading by name, through the real libraries' own way to the Hugging Face cache."""

from __future__ import annotations

import pytest
import torch

from saereport.sources.model_loading import load_model
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.sae import check_fit
from saereport.sources.saes.source import SaeSource
from saereport.util.errors import SaereportError
from tests.factories import GPT2_HEADS, GPT2_LATENTS, GPT2_WIDTH, make_sae


def test_release_from_the_cache(hub):
    sae = load_sae(SaeSource("gpt2-small-res-jb", "blocks.8.hook_resid_pre"))
    assert (sae.d_in, sae.d_sae, sae.d_out) == (GPT2_WIDTH, GPT2_LATENTS, GPT2_WIDTH)
    assert sae.hook_in.name == "blocks.8.hook_resid_pre"
    assert sae.slug == "gpt2-small-res-jb-blocks.8.hook_resid_pre"
    assert sae.neuronpedia_id == "gpt2-small/8-res-jb"
    assert sae.model_name == "gpt2-small"
    assert sae.model_kwargs == {"center_writing_weights": True}
    assert (sae.context_size, sae.prepend_bos, sae.separator) == (64, True, "bos")
    expected = make_sae("standard", d_in=GPT2_WIDTH, d_sae=GPT2_LATENTS)
    assert torch.equal(sae.W_enc, expected.W_enc)
    assert sae.provenance["metadata"]["dataset_path"] == "Skylion007/openwebtext"


def test_model_that_the_sae_asks_for(hub):
    sae = load_sae(SaeSource("gpt2-small-res-jb", "blocks.8.hook_resid_pre"))
    model = load_model(sae.model_name, kwargs=sae.model_kwargs)
    assert (model.wrapper, model.n_layers, model.n_heads) == ("HookedTransformer", 12, GPT2_HEADS)
    assert model.revision == "0123456789abcdef" * 2 + "01234567"
    assert model.bos_id == 256
    check_fit(sae, model)
    tokens = torch.randint(0, 256, (2, 16))
    name = sae.hook_in.name
    a = model.run(tokens, [name])[name]
    # Weights that write into the residual stream are centred, and nothing else was done.
    torch.testing.assert_close(a.mean(-1), torch.zeros(2, 16), atol=1e-5, rtol=0)
    assert not model.final_norm_folded
    assert sae.encode(a).shape == (2, 16, GPT2_LATENTS)
    raw = load_model("gpt2").run(tokens, [name])[name]
    torch.testing.assert_close(a, raw - raw.mean(-1, keepdim=True), atol=1e-4, rtol=1e-4)


def test_wrappers_agree_by_name_and_processing(hub):
    hooks = ["blocks.8.hook_resid_pre", "blocks.8.attn.hook_z", "blocks.3.hook_mlp_out"]
    tokens = torch.randint(0, 256, (2, 16))
    for kwargs in ({"center_writing_weights": True}, {"fold_ln": True}):
        hooked = load_model("gpt2-small", kwargs=kwargs)
        bridge = load_model("gpt2-small", kwargs=kwargs, wrapper="TransformerBridge")
        assert bridge.wrapper == "TransformerBridge"
        assert hooked.final_norm_folded == bridge.final_norm_folded == ("fold_ln" in kwargs)
        theirs = bridge.run(tokens, hooks)
        for name, ours in hooked.run(tokens, hooks).items():
            torch.testing.assert_close(theirs[name], ours, atol=2e-4, rtol=1e-4)
        torch.testing.assert_close(hooked.W_U, bridge.W_U, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(hooked.W_V(3), bridge.W_V(3), atol=1e-4, rtol=1e-4)


def test_attention_sae_takes_flat_heads(hub):
    sae = load_sae(SaeSource("gpt2-small-hook-z-kk", "blocks.8.hook_z"))
    assert (sae.hook_in.name, sae.hook_in.kind) == ("blocks.8.attn.hook_z", "z")
    assert sae.neuronpedia_id == "gpt2-small/8-att-kk"
    model = load_model("gpt2-small")
    check_fit(sae, model)
    tokens = torch.randint(0, 256, (2, 16))
    a = model.run(tokens, [sae.hook_in.name])[sae.hook_in.name]
    assert a.shape == (2, 16, GPT2_WIDTH)
    theirs = make_sae("standard", d_in=GPT2_WIDTH, d_sae=GPT2_LATENTS).encode(a)
    assert torch.equal(sae.encode(a), theirs.detach())


@pytest.mark.parametrize(
    ("release", "sae_id", "said"),
    [
        ("gpt2-small-resjb", "x", "knows no release 'gpt2-small-resjb'. Did you mean 'gpt2-small-"),
        ("gpt2-small-res-jb", "blocks.8.hook_resid_pr", "Did you mean 'blocks.8.hook_resid_pre'"),
        ("gpt2-small-res-jb", "?", "It has 13, such as"),
        ("gpt2-small-res-jb", "blocks.7.hook_resid_pre", "hf download jbloom/GPT2-Small-SAEs-Ref"),
        ("nobody/nothing", "layer_3", "hub cannot be reached"),
    ],
)
def test_what_is_wrong_with_a_release(hub, release, sae_id, said):
    with pytest.raises(SaereportError) as caught:
        load_sae(SaeSource(release, sae_id))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gpt2-medium", "`hf download gpt2-medium`"),
        ("gpt3-small", "Did you mean 'gpt2-small'"),
        ("nobody/nothing", "HF_HUB_OFFLINE=1"),
    ],
)
def test_what_is_wrong_with_a_model_name(hub, name, said):
    with pytest.raises(SaereportError) as caught:
        load_model(name)
    assert said in str(caught.value)


@pytest.fixture
def unplugged(hub, monkeypatch):
    """The cache of `hub`, and a network that is not there; nobody has set HF_HUB_OFFLINE."""
    import socket

    from huggingface_hub import constants

    from saereport.sources import hub as ours

    def refuse(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(ours, "getproxies", dict)
    ours.is_reachable.cache_clear()
    yield
    assert constants.HF_HUB_OFFLINE is False
    ours.is_reachable.cache_clear()


def test_without_a_network_the_cache_is_enough(unplugged):
    sae = load_sae(SaeSource("gpt2-small-res-jb", "blocks.8.hook_resid_pre"))
    assert sae.d_in == GPT2_WIDTH
    assert load_model("gpt2").n_layers == 12


def test_without_a_network_the_rest_fails_at_once(unplugged):
    import time

    from saereport.sources.text.opening import open_text

    start = time.monotonic()
    for attempt in (
        lambda: load_sae(SaeSource("gpt2-small-res-jb", "blocks.7.hook_resid_pre")),
        lambda: load_model("gpt2-medium"),
        lambda: open_text("owner/corpus"),
    ):
        with pytest.raises(SaereportError, match="cannot be"):
            attempt()
    assert time.monotonic() - start < 20, "no retries"


def test_a_proxy_is_trusted(monkeypatch):
    from saereport.sources import hub as ours

    ours.is_reachable.cache_clear()
    monkeypatch.setattr(ours, "getproxies", lambda: {"https": "http://proxy:3128"})
    assert ours.is_reachable()
    ours.is_reachable.cache_clear()
