"""What is put in place of activations stays on the model's device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from saereport.evaluate.block_sums import ablations
from saereport.intervene.splicing import places, spliced_sequences
from saereport.sources.forward import forward
from saereport.sources.saes.loading import _describe
from saereport.sources.saes.source import SaeSource
from tests.factories import make_sae, tiny_tokens
from tests.sources.test_devices_fake import CUDA, cuda_model, fake, found_as, on_cuda

__all__ = ["cuda_model", "fake"]


@pytest.mark.parametrize(
    ("architecture", "hook"),
    [
        ("jumprelu", "blocks.1.hook_resid_post"),
        ("standard", "blocks.1.attn.hook_z"),
        ("transcoder", "blocks.1.ln2.hook_normalized"),
    ],
)
def test_replacements_are_made_on_the_device(cuda_model: Any, architecture: str, hook: str) -> None:
    made = on_cuda(make_sae(architecture, hook_name=hook))
    source = SaeSource(path="/tiny")
    sae = _describe(found_as(made), source, "tiny", (CUDA, torch.float32), None)
    tokens = tiny_tokens().to(CUDA)
    acts = forward(cuda_model, tokens, reads=places(sae)).acts
    place = sae.write_point.name
    counted = tokens > 0
    mean = np.zeros(acts[place].shape[-1])
    made = [spliced_sequences(sae, acts, counted)]
    for value in (*made, *(value for _, value in ablations(acts[place], counted, mean))):
        assert (value.device, value.shape, value.dtype) == (
            CUDA,
            acts[place].shape,
            torch.float32,
        )
        logits = forward(
            cuda_model, tokens, edits={place: lambda _, value=value: value}, logits=True
        ).logits
        assert logits is not None
        assert logits.device == CUDA
