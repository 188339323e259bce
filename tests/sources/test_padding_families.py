"""Filling a row up on the right leaves the row's own activations as they are, in every family."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from saereport.sources.model_loading import load_model

POSITIONS = {
    "gpt2": "learned",
    "opt": "learned, with an offset",
    "gpt_neo": "learned, with local attention",
    "llama": "rotary",
    "gpt_neox": "rotary, in parts",
    "gemma2": "rotary, with sliding windows",
    "bloom": "ALiBi",
    "mpt": "ALiBi",
    "falcon-rw": "ALiBi",
}
"""One family of each kind of positions, and all that have ALiBi."""


@pytest.mark.parametrize("name", POSITIONS)
def test_a_row_that_is_filled_up_has_the_activations_that_it_has_alone(
    families: Any, name: str
) -> None:
    from transformers import AutoModelForCausalLM

    folder = families(name)
    row = torch.randint(3, 200, (1, 20), generator=torch.Generator().manual_seed(0))
    original = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad():
        alone = original(row, output_hidden_states=True).hidden_states[2]
    model = load_model(folder)
    model.tokenizer.pad_token = "<|endoftext|>"
    # Filled up with the token for padding, and beginning with it as well.
    for first in (row[0, 0], torch.tensor(256)):
        own = row.clone()
        own[0, 0] = first
        if first != row[0, 0]:
            with torch.no_grad():
                alone = original(own, output_hidden_states=True).hidden_states[2]
        filled = torch.cat([own, torch.full((1, 12), 256)], dim=1)
        [found] = model.run(filled, ["blocks.1.hook_resid_post"]).values()
        scale = float(alone.abs().max())
        assert torch.allclose(found[:, :20], alone, atol=1e-4 * scale, rtol=1e-4), name
