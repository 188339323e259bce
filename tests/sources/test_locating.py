"""What hook points hold in models of many families: measured on Hugging Face's own modules."""

from __future__ import annotations

import functools

import pytest
import torch

from saereport.sources.forward import forward
from saereport.sources.hooks import parse_hook, parse_module
from saereport.sources.locating import locate, probe_tokens
from saereport.sources.model_loading import load_model
from saereport.sources.saes.sae import check_fit, wrapper_for
from saereport.util.errors import SaereportError
from tests.families import family_model

LAYER = 1
FAMILIES = (
    "bloom",
    "exaone4",
    "falcon-7b",
    "gemma2",
    "gemma3",
    "gpt2",
    "gpt_neo",
    "gpt_neox",
    "granite",
    "llama",
    "mixtral",
    "mpt",
    "olmo2",
    "opt",
    "opt-350m",
    "vaultgemma",
)
RESIDUAL_WITHIN = {
    "bloom": {"mlp": "hook_resid_post", "self_attention": "hook_resid_mid"},
    "mpt": {"ffn": "hook_resid_post"},
}
"""Modules whose output is the residual stream with what they add to it."""


@functools.cache
def hugging_face(name):
    return family_model(name)


@functools.cache
def _loaded(name, families):
    return load_model(families(name))


@pytest.fixture
def pair(request, families):
    """A family's model as Hugging Face has it, and as it is read here."""
    return hugging_face(request.param), _loaded(request.param, families), request.param


def sublayers(hf):
    """The modules of one block that can be named, by name."""
    names = dict(hf.named_modules())
    points = {name: parse_module(name) for name in names}
    return {name: names[name] for name, p in points.items() if p and p.layer == LAYER}


def with_output(hf, module, tokens, change=None):
    """Logits of a pass, and what a module gave in it, before the change was made to it."""
    got = {}

    def hook(_module, _args, out):
        first = out[0] if isinstance(out, tuple) else out
        got["out"] = first.clone()
        if change is None:
            return None
        changed = change(first)
        return (changed, *out[1:]) if isinstance(out, tuple) else changed

    handle = module.register_forward_hook(hook)
    try:
        with torch.no_grad():
            return hf(tokens, use_cache=False).logits, got["out"].reshape(*tokens.shape, -1)
    finally:
        handle.remove()


@pytest.mark.parametrize("pair", FAMILIES, indirect=True)
def test_a_named_module_is_read_and_edited_itself(pair):
    """Numbers are those of the module in Hugging Face's model, and so is the effect of a change."""
    hf, model, family = pair
    tokens = probe_tokens(model.d_vocab)
    modules = sublayers(hf)
    assert len(modules) >= 4, "a block, its sublayers and their matrices"
    read = model.run(tokens, list(modules))
    push = torch.linspace(-1, 1, model.d_model)
    for name, module in modules.items():
        _, given = with_output(hf, module, tokens)
        torch.testing.assert_close(read[name], given, atol=2e-4, rtol=1e-4, msg=name)
        expected, _ = with_output(hf, module, tokens, lambda out: out + push)
        edited = forward(model, tokens, edits={name: lambda out: out + push}, logits=True)
        torch.testing.assert_close(edited.logits, expected, atol=2e-3, rtol=1e-3, msg=name)
        part = name.rpartition(f".{LAYER}")[2].lstrip(".")
        site = RESIDUAL_WITHIN.get(family, {}).get(part)
        point = locate(model, parse_hook(name))
        assert point.name == name
        if site is not None:
            assert (point.kind, point.site) == ("resid", site), name
        else:
            assert point == parse_hook(name)


@pytest.mark.parametrize("pair", ["gemma2", "gemma3", "olmo2"], indirect=True)
def test_a_module_is_not_what_lies_behind_its_norm(pair):
    _, model, _ = pair
    tokens = probe_tokens(model.d_vocab)
    for module, behind in (("mlp", "hook_mlp_out"), ("self_attn", "hook_attn_out")):
        names = [f"model.layers.{LAYER}.{module}", f"blocks.{LAYER}.{behind}"]
        a = model.run(tokens, names)
        assert (a[names[0]] - a[names[1]]).abs().max() > 0.1


def test_names_from_the_base_model(families):
    model = _loaded("gpt_neox", families)
    tokens = probe_tokens(model.d_vocab)
    a = model.run(tokens, ["layers.1.mlp", "gpt_neox.layers.1.mlp"])
    assert torch.equal(a["layers.1.mlp"], a["gpt_neox.layers.1.mlp"])


@pytest.mark.parametrize(
    ("family", "sites"),
    [
        ("olmo2", ["ln2.hook_in", "ln2.hook_normalized", "ln2.hook_out"]),
        ("opt-350m", ["hook_resid_mid", "ln2.hook_in", "ln2.hook_out"]),
    ],
)
def test_a_name_that_promises_something_else_is_refused(family, sites, families):
    model = _loaded(family, families)
    for site in sites:
        with pytest.raises(SaereportError, match="is not what the name says"):
            locate(model, parse_hook(f"blocks.{LAYER}.{site}"))
    for site in ("hook_resid_pre", "hook_resid_post"):
        assert locate(model, parse_hook(f"blocks.{LAYER}.{site}")).kind == "resid"


@pytest.mark.parametrize("family", ["granite", "gemma2", "llama", "falcon-7b"])
def test_what_sublayers_add_adds_up(family, families):
    """Read in one pass, whatever the model changes in place afterwards."""
    model = _loaded(family, families)
    tokens = probe_tokens(model.d_vocab)
    sites = ("hook_resid_pre", "hook_attn_out", "hook_mlp_out", "hook_resid_post")
    names = [f"blocks.{LAYER}.{site}" for site in sites]
    with torch.no_grad():
        by_forward = forward(model, tokens, reads=names, logits=True).acts
    for a in (model.run(tokens, names), by_forward):
        pre, attn, mlp, post = (a[name] for name in names)
        torch.testing.assert_close(pre + attn + mlp, post, atol=1e-4, rtol=1e-4)
    for name in names:
        assert locate(model, parse_hook(name)) == parse_hook(name)


def test_post_norm_on_the_stream_itself(families):
    """OPT-350m's norms act on the stream after the addition: nothing is added as it stands."""
    point = locate(_loaded("opt-350m", families), parse_hook(f"blocks.{LAYER}.hook_mlp_out"))
    assert point.site == "mlp.hook_out"


def test_an_sae_is_fitted_to_the_model(families, tiny_sae):
    sae = tiny_sae(hook_name="transformer.h.1.mlp", d_in=48)
    assert check_fit(sae, _loaded("bloom", families)).hook_in.kind == "resid"
    assert check_fit(sae, _loaded("gpt2", families)).hook_in.kind == "mlp_out"
    with pytest.raises(SaereportError, match=r"Did you mean 'model.layers.1.mlp'"):
        check_fit(sae, _loaded("llama", families))


def test_a_hooked_transformer_has_no_modules(tiny, tiny_sae):
    sae = tiny_sae(hook_name="transformer.h.1.mlp")
    with pytest.raises(SaereportError, match="Load it with the wrapper TransformerBridge"):
        check_fit(sae, tiny)


def test_changed_weights_have_other_activations(families):
    kwargs = {"center_writing_weights": True}
    model = load_model(families("llama"), kwargs=kwargs)
    with pytest.raises(SaereportError, match="loaded with changed weights"):
        locate(model, parse_hook("model.layers.1.mlp"))


def test_modules_are_read_through_a_bridge(tiny_sae):
    by_hook = tiny_sae(hook_name="blocks.1.hook_resid_pre")
    by_module = tiny_sae(hook_name="transformer.h.1.mlp")
    assert wrapper_for([by_hook], named=False) == wrapper_for([by_hook], named=True) == "auto"
    for named in (False, True):
        assert wrapper_for([by_hook, by_module], named=named) == "TransformerBridge"
