"""SAEs of every architecture: loading, encoding, what they say about themselves."""

from __future__ import annotations

import pytest
import torch

from tests.factories import ARCHITECTURES, make_sae, tiny_tokens


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_encodes_as_saelens_does(architecture, tiny, tiny_sae, tmp_path):
    from sae_lens import SAE

    sae = tiny_sae(architecture)
    theirs = make_sae(architecture)
    if hasattr(theirs, "save_inference_model"):
        theirs.save_inference_model(tmp_path)
        theirs = SAE.load_from_disk(tmp_path)
    name = sae.hook_in.name
    a = tiny.run(tiny_tokens(), [name])[name]
    expected = theirs.encode(a).detach()
    f = sae.encode(a)
    assert torch.equal(f, expected)
    assert 0 < (f > 0).float().mean() < 0.5
    latents = torch.tensor([3, 0, 47, 11])
    chosen = sae.encode_chosen(a, latents)
    torch.testing.assert_close(chosen, expected[..., latents], rtol=1e-5, atol=1e-6)
    assert not chosen.requires_grad
