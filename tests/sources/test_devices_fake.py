"""Nothing on the way from tokens to latent activations mixes devices.

There is no GPU on the machines that run these tests. Fake tensors carry a device and a shape and
no numbers, and refuse to be combined across devices, as real ones do.
"""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode

from tests.factories import ARCHITECTURES, TRAINING_ONLY, make_sae, tiny_hooked, tiny_tokens

CUDA = torch.device("cuda:0")
HOOKS = (
    "blocks.1.hook_resid_pre",
    "blocks.1.attn.hook_z",
    "blocks.1.ln2.hook_normalized",
    "blocks.1.mlp.hook_in",
    "blocks.2.hook_mlp_out",
)


class WithoutADriver(TorchFunctionMode):
    """Does what torch wants a driver for, with tensors that hold no numbers anyway."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is torch.Tensor.contiguous:
            return args[0].clone(memory_format=torch.contiguous_format)
        if function is not torch.Tensor.__getitem__:
            return function(*args, **(kwargs or {}))
        tensor, index = args
        index = index if isinstance(index, tuple) else (index,)
        shape = torch.empty(tensor.shape, device="meta")[
            tuple(p.to("meta") if isinstance(p, torch.Tensor) else p for p in index)
        ].shape
        return torch.empty(shape, dtype=tensor.dtype, device=tensor.device)


@contextlib.contextmanager
def pretending():
    with FakeTensorMode(allow_non_fake_inputs=True), WithoutADriver():
        yield


@pytest.fixture
def fake():
    with pretending():
        yield


def found_as(loaded):
    """What loading found, without the hash of weights that hold no numbers."""
    from saereport.sources.saes.architectures.registry import require

    return SimpleNamespace(
        loaded=loaded,
        architecture=require(loaded.cfg.architecture(), "tiny"),
        part_of=None,
        weights_sha256="",
    )


def on_cuda(module):
    """Move a module's weights and buffers, which torch will not do itself without a driver."""
    for part in module.modules():
        for name, weight in list(part._parameters.items()):
            if weight is not None:
                moved = torch.empty(weight.shape, dtype=weight.dtype, device=CUDA)
                part._parameters[name] = torch.nn.Parameter(moved, requires_grad=False)
        for name, buffer in list(part._buffers.items()):
            if buffer is not None:
                part._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype, device=CUDA)
    return module


def test_mixing_devices_is_caught(fake):
    with pytest.raises(RuntimeError, match="device"):
        torch.ones(3, device=CUDA) + torch.ones(3)


@pytest.fixture
def cuda_model(fake):
    from saereport.sources.models import HookedModel

    model = on_cuda(tiny_hooked())
    model.cfg.device = str(CUDA)
    return HookedModel(model, name="tiny", device=CUDA, dtype=torch.float32)


def test_model_runs_on_the_device(cuda_model):
    a = cuda_model.run(tiny_tokens(), HOOKS)
    assert {value.device for value in a.values()} == {CUDA}
    assert a["blocks.1.attn.hook_z"].shape == (6, 32, 32)
    assert cuda_model.W_E.device == CUDA
    assert cuda_model.mlp0_of(cuda_model.W_E).device == CUDA
    assert cuda_model.W_V(1).device == CUDA


@pytest.mark.parametrize("architecture", [a for a in ARCHITECTURES if a not in TRAINING_ONLY])
@pytest.mark.parametrize("hook", ["blocks.1.hook_resid_pre", "blocks.1.attn.hook_z"])
def test_sae_encodes_on_the_device(cuda_model, architecture, hook):
    from saereport.sources.saes.loading import _describe
    from saereport.sources.saes.source import SaeSource

    loaded = on_cuda(make_sae(architecture, hook_name=hook))
    source = SaeSource(path="/tiny")
    sae = _describe(found_as(loaded), source, "tiny", (CUDA, torch.float32), None)
    a = cuda_model.run(tiny_tokens(), [hook])[hook]
    assert sae.encode(a).device == CUDA
    for latents in (torch.tensor([1, 2, 3]), torch.tensor([1, 2, 3], device=CUDA)):
        chosen = sae.encode_chosen(a, latents)
        assert (chosen.device, chosen.shape) == (CUDA, (6, 32, 3))
    assert sae.W_enc.device == sae.W_dec.device == CUDA


def test_activations_from_elsewhere_are_refused(fake):
    from saereport.sources.saes.loading import _describe
    from saereport.sources.saes.source import SaeSource

    loaded = on_cuda(make_sae("standard"))
    source = SaeSource(path="/tiny")
    sae = _describe(found_as(loaded), source, "tiny", (CUDA, torch.float32), None)
    with pytest.raises(RuntimeError, match="device"):
        sae.encode(torch.zeros(2, 3, 32))


def test_bridge_runs_on_the_device(hf_folder):
    from saereport.sources.model_loading import load_model

    model = load_model(hf_folder("llama"))
    with pretending():
        on_cuda(model.model.original_model)
        model.device = CUDA
        a = model.run(torch.ones(2, 12, dtype=torch.long), HOOKS)
        assert {value.device for value in a.values()} == {CUDA}
