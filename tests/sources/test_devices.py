"""Devices and number formats by name."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import saereport
from saereport.sources.devices import (
    DTYPES,
    dtype_name,
    float64_of,
    is_out_of_memory,
    resolve_device,
    resolve_dtype,
)
from saereport.util.errors import SaereportError, UsageError


@pytest.fixture
def machine(monkeypatch):
    def with_devices(cuda=0, mps=False, current=0):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: current)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return with_devices


def test_auto_takes_the_best(machine):
    machine()
    assert resolve_device() == torch.device("cpu")
    machine(mps=True)
    assert resolve_device("auto") == torch.device("mps")
    machine(cuda=2, mps=True, current=1)
    assert resolve_device("AUTO") == torch.device("cuda:1")


def test_named_devices(machine):
    machine(cuda=2, mps=True)
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("cuda") == torch.device("cuda:0")
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    assert resolve_device("mps") == torch.device("mps")


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("gpu", UsageError, "'gpu' is not a device"),
        ("cpu:1", UsageError, "is not a device"),
        ("cuda", SaereportError, "No CUDA device can be used"),
        ("mps", SaereportError, "no MPS device"),
    ],
)
def test_devices_that_are_not_there(machine, name, kind, said):
    machine()
    with pytest.raises(kind, match=said):
        resolve_device(name)


def test_device_number_out_of_range(machine):
    machine(cuda=2)
    with pytest.raises(SaereportError, match="no device cuda:5: this machine has 2"):
        resolve_device("cuda:5")


def test_dtypes():
    for name, dtype in DTYPES.items():
        assert resolve_dtype(name) is dtype
        assert resolve_dtype(str(dtype)) is dtype
        assert dtype_name(dtype) == name
    assert resolve_dtype("bf16") is torch.bfloat16
    assert resolve_dtype(torch.float16) is torch.float16
    with pytest.raises(UsageError, match="Did you mean 'float32'"):
        resolve_dtype("flaot32")


@pytest.mark.parametrize(
    ("error", "yes"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("shapes do not match"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_out_of_memory(error, yes):
    assert is_out_of_memory(error) is yes


def test_real_out_of_memory_is_recognised():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(("device", "where"), [("mps", "cpu"), ("cuda", "cuda"), ("cpu", "cpu")])
def test_float64_is_made_where_there_are_such_numbers(device, where):
    with FakeTensorMode():
        found = float64_of(torch.empty(3, device=device))
    assert (found.dtype, found.device.type) == (torch.float64, where)


def test_float64_holds_the_same_numbers():
    x = torch.tensor([0.1, -3.0])
    assert float64_of(x).tolist() == x.tolist()


def test_float64_is_asked_for_where_a_device_may_not_have_it():
    """Apple's MPS has none: `float64_of` alone may ask for it, or who holds a file's tensors."""
    package = Path(saereport.__file__).parent
    found = {
        path.name
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "double"
    }
    assert found == {"devices.py", "scaling.py"}
