"""Models and SAEs in float32, bfloat16 and float16, each with each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from saereport.measure.events import find
from saereport.sources.model_loading import load_model
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.source import SaeSource
from tests.factories import ARCHITECTURES, TRAINING_ONLY, make_sae, save_sae, tiny_tokens

FORMATS = (torch.float32, torch.bfloat16, torch.float16)
CHOSEN = torch.tensor([3, 0, 47, 11])
HOOKS = ("blocks.0.hook_resid_post", "blocks.2.hook_mlp_out", "blocks.2.hook_resid_post")


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "neox"])
@pytest.mark.parametrize("dtype", FORMATS[1:])
def test_activations_are_those_of_float32_but_for_rounding(
    family: str, dtype: torch.dtype, hf_folder: Any
) -> None:
    exact, model = (load_model(hf_folder(family), dtype=d) for d in (torch.float32, dtype))
    tokens = tiny_tokens(3, 12)
    expected, found = exact.run(tokens, HOOKS), model.run(tokens, HOOKS)
    for name in HOOKS:
        assert found[name].dtype == dtype
        off = (found[name].float() - expected[name]).norm() / expected[name].norm()
        # A few roundings a layer.
        assert off < 8 * torch.finfo(dtype).eps


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """SAEs of every architecture, as they are saved for use."""
    base, found = tmp_path_factory.mktemp("saes"), {}
    for name in ARCHITECTURES:
        found[name] = base / name
        if name in TRAINING_ONLY:
            make_sae(name).save_inference_model(found[name])
        else:
            save_sae(found[name], name)
    return found


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("of_model", FORMATS)
@pytest.mark.parametrize("of_sae", FORMATS)
def test_every_sae_reads_every_model(
    architecture: str,
    of_model: torch.dtype,
    of_sae: torch.dtype,
    tiny: Any,
    folders: dict[str, Path],
) -> None:
    source = SaeSource(path=str(folders[architecture]))
    exact, sae = (load_sae(source, dtype=dtype) for dtype in (torch.float32, of_sae))
    a = tiny.run(tiny_tokens(), [sae.hook_in.name])[sae.hook_in.name]
    expected, f = exact.encode(a), sae.encode(a.to(of_model))
    assert f.dtype == of_sae
    assert f.isfinite().all()
    step = max(torch.finfo(of_model).eps, torch.finfo(of_sae).eps)
    # Rounding of what is read, of weights and of each sum, and near the threshold either side.
    both = (f > 0) & (expected > 0)
    size = expected.max()
    assert float((f.float() - expected).abs()[both].max()) <= 4 * step * float(size)
    assert float(((f > 0) != (expected > 0)).float().mean()) <= 0.005
    chosen = sae.encode_chosen(a.to(of_model), CHOSEN).float()
    # Each is a sum of terms as large as the largest, in another order.
    off = 4 * step * max(1.0, float(size))
    torch.testing.assert_close(chosen, f[..., CHOSEN].float(), rtol=4 * step, atol=off)
    made, true = sae.reconstruct(a.to(of_model)).float(), exact.reconstruct(a)
    assert made.isfinite().all()
    assert float((made - true).norm() / true.norm()) < 0.05 + 8 * step


@pytest.mark.parametrize("dtype", FORMATS)
def test_statistics_are_in_float32(dtype: torch.dtype) -> None:
    f = torch.tensor([[0.0, 1.5, -2.0, 3.25]]).to(dtype)
    found = find(f, torch.ones(1, dtype=torch.bool))
    assert found.where.tolist() == [1, 3]
    assert found.value.dtype == torch.float32
    assert found.value.tolist() == [1.5, 3.25]
