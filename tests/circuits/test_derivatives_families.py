"""Derivatives through models that torch has no forward mode for, against plain ones."""

from __future__ import annotations

import pytest
import torch

from saereport.circuits.gradients import derivatives
from saereport.circuits.gradients.derivatives import Probes, budget_for, jacobian
from saereport.sources.forward import forward
from saereport.sources.locating import probe_tokens
from saereport.sources.model_loading import load_model


@pytest.mark.parametrize("family", ["bloom", "mixtral", "llama"])
@pytest.mark.parametrize("n_inputs", [1, 40], ids=["few inputs", "many inputs"])
def test_derivatives_of_families(family, n_inputs, families, monkeypatch):
    """Few inputs and many outputs ask for forward mode, which BLOOM and experts do not have."""
    model = load_model(families(family))
    tokens = probe_tokens(model.d_vocab)
    place, read = "blocks.1.hook_resid_pre", "blocks.2.hook_resid_post"

    def through(activation):
        edits = {place: lambda _: activation[None]}
        return forward(model, tokens[:, : len(activation)], edits=edits, reads=[read]).acts[read][0]

    generator = torch.Generator().manual_seed(0)

    def probes(n):
        positions = sorted(torch.randint(0, 7, (n,), generator=generator).tolist())
        vectors = torch.randn(n, model.d_model, generator=generator)
        return Probes([*positions[:-1], 7], vectors)

    inputs, outputs = probes(n_inputs), probes(30 // n_inputs + 1)
    at = forward(model, tokens, reads=[place]).acts[place][0]
    asked = []
    right = derivatives.by_forward_mode
    monkeypatch.setattr(
        derivatives, "by_forward_mode", lambda *a, **k: (asked.append(1), right(*a, **k))[1]
    )
    found = jacobian(through, at, inputs, outputs, budget_for(model, 2**28))
    assert bool(asked) == (n_inputs == 1)
    for row, (position, read_by) in enumerate(zip(outputs.positions, outputs.vectors, strict=True)):
        leaf = at.clone().requires_grad_()
        (back,) = torch.autograd.grad(through(leaf)[position] @ read_by, leaf)
        expected = (back[inputs.positions] * inputs.vectors).sum(-1)
        torch.testing.assert_close(found[row], expected, atol=1e-4, rtol=1e-4)
