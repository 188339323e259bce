"""Numbers that were published about a transcoder of GPT-2, where its weights can be had."""

from __future__ import annotations

import numpy as np
import pytest

from saereport.measure.weights import TokenRows, WeightContext
from saereport.measure.weights.deembedding import compute
from saereport.sources.model_loading import load_model
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.source import SaeSource
from saereport.util.errors import SaereportError

# On Neuronpedia it is gpt2-small/8-tres-dc.
RELEASE = "callummcdougall/arena-demos-transcoder"
TRANSCODER = "gpt2-small-layer-8-mlp-transcoder-folded-b_dec_out"


@pytest.mark.network
def test_the_extended_deembedding_of_latent_1_is_about_goals() -> None:
    try:
        transcoder = load_sae(SaeSource(RELEASE, TRANSCODER))
        model = load_model(transcoder.model_name or "gpt2-small", kwargs=transcoder.model_kwargs)
    except SaereportError as error:
        pytest.skip(f"the weights cannot be had: {error}")
    context = WeightContext(
        sae=transcoder, latents=np.array([1]), tokens=TokenRows(model), listed=3
    )
    table = compute(context)
    assert table["kind"][0] == "extended"
    assert np.asarray(table["top_values"][0]) == pytest.approx([14.161, 13.004, 12.510], abs=2e-3)
    words = [model.tokenizer.decode([token]) for token in table["top_tokens"][0]]
    assert all("goal" in word.lower() for word in words)
