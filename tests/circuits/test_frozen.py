"""A frozen pass gives the true model's numbers back, for every kind of architecture."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from saereport.circuits.frozen import freeze_batch
from saereport.sources.forward import forward
from saereport.sources.model_loading import load_model
from saereport.sources.models import LanguageModel
from saereport.util.errors import SaereportError
from tests.factories import save_hf_model, tiny_model, tiny_tokens

KINDS = ("hooked", "hooked-rms", "gpt2", "llama", "neox", "gemma2")


def model_of(kind: str, folder: Path) -> LanguageModel:
    if kind == "hooked":
        return tiny_model()
    if kind == "hooked-rms":
        return tiny_model(
            normalization_type="RMS",
            attn_only=False,
            positional_embedding_type="rotary",
            rotary_dim=8,
        )
    return load_model(str(save_hf_model(folder / kind, kind)))


@pytest.mark.parametrize("kind", KINDS)
def test_attention_and_logits_are_reproduced(kind: str, tmp_path: Path) -> None:
    model = model_of(kind, tmp_path)
    tokens = tiny_tokens(2, 12)
    for row, run in enumerate(freeze_batch(model, tokens)):
        for layer in run.layers:
            again = torch.einsum("hdk,hkm->dm", layer.pattern @ layer.values, layer.W_O)
            again = again if layer.attn_post is None else again * layer.attn_post
            again = again + layer.attn_const
            assert torch.allclose(again, layer.attn_add, rtol=1e-3, atol=1e-4)
        with torch.no_grad():
            logits = forward(model, tokens, logits="last").logits
        assert logits is not None
        assert torch.equal(run.logits, logits[row, -1])
        final = run.final
        total = run.embedded + sum(layer.attn_add + layer.mlp_add for layer in run.layers)
        assert torch.allclose(total, final, rtol=1e-4, atol=1e-4)


def test_a_coarse_number_format_is_named_as_the_reason() -> None:
    model = tiny_model(dtype=torch.bfloat16)
    model.dtype = torch.bfloat16
    with pytest.raises(SaereportError, match=r"bfloat16 is too coarse .* --dtype float32"):
        freeze_batch(model, tiny_tokens(1, 12))
