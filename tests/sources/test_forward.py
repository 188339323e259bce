"""One pass with activations read and replaced: both wrappers, derivatives, logits, errors."""

from __future__ import annotations

import pytest
import torch

from saereport.sources.forward import forward
from saereport.util.errors import SaereportError

KINDS = ("gpt2", "llama", "neox", "gemma2")
READS = (
    "blocks.0.hook_resid_pre",
    "blocks.1.attn.hook_z",
    "blocks.1.ln2.hook_normalized",
    "blocks.2.hook_mlp_out",
    "blocks.2.hook_resid_post",
)


@pytest.fixture(params=["HookedTransformer", *KINDS])
def model(request, tiny, bridge):
    return tiny if request.param == "HookedTransformer" else bridge(request.param)


def tokens(n=2, length=7):
    return torch.randint(2, 100, (n, length), generator=torch.Generator().manual_seed(0))


def test_reads_what_a_plain_run_reads(model):
    with torch.no_grad():
        found = forward(model, tokens(), reads=READS)
    assert found.logits is None
    expected = model.run(tokens(), READS)
    for name in READS:
        torch.testing.assert_close(found.acts[name], expected[name], rtol=1e-4, atol=1e-5)


def test_logits(model):
    with torch.no_grad():
        whole = forward(model, tokens(), logits=True).logits
        last = forward(model, tokens(), logits="last").logits
        torch.testing.assert_close(whole, model.model(tokens()), rtol=1e-4, atol=1e-4)
    assert last.shape == (2, 1, model.d_vocab)
    torch.testing.assert_close(last, whole[:, -1:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [*READS[:2], *READS[3:]])
def test_edits_go_on_from_there(model, name):
    with torch.no_grad():
        before = forward(model, tokens(), logits=True).logits
        same = forward(model, tokens(), edits={name: torch.clone}, logits=True).logits
        found = forward(model, tokens(), edits={name: lambda a: a * 0}, reads=[name], logits=True)
    torch.testing.assert_close(same, before, rtol=1e-4, atol=1e-5)
    assert float(found.acts[name].abs().max()) == 0
    assert (found.logits - before).abs().max() > 1e-2


@pytest.mark.parametrize("name", READS)
def test_everything_that_is_read_has_derivatives(model, name):
    start = "blocks.0.hook_resid_pre"
    with torch.no_grad():
        at = forward(model, tokens(1), reads=[start]).acts[start]
    direction = torch.randn(at.shape, generator=torch.Generator().manual_seed(1))

    def read(x):
        return forward(model, tokens(1), edits={start: lambda _: x}, reads=[name]).acts[name]

    leaf = at.clone().requires_grad_()
    out = read(leaf)
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(2))
    (back,) = torch.autograd.grad(out, leaf, weights)
    step = 1e-3
    with torch.no_grad():
        difference = (read(at + step * direction) - read(at - step * direction)) / (2 * step)
    expected = (difference * weights).sum()
    assert expected.abs() > 1e-2
    torch.testing.assert_close((back * direction).sum(), expected, rtol=2e-2, atol=2e-2)


def test_hooks_are_gone_afterwards(model):
    forward(model, tokens(), reads=READS)
    with pytest.raises(ZeroDivisionError):
        forward(model, tokens(), edits={READS[2]: lambda a: 1 / 0}, logits="last")
    for module in model.model.modules():
        assert not module._forward_hooks or module not in _points(model)
        assert not getattr(module, "fwd_hooks", [])
    assert not model.model.unembed._forward_pre_hooks


def _points(model):
    return {model.find_module(name)[0] for name in READS}


def test_no_such_hook_point(model):
    with pytest.raises(SaereportError, match=r"has no 'blocks\.9\.hook_resid_pre'"):
        forward(model, tokens(), reads=["blocks.9.hook_resid_pre"])
