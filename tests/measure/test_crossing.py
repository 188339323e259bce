"""What leaves the device, and how often the host waits for it, in the statistics of a round."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from saereport.measure import Events, Measurement, Setting, crossing
from tests.measure.test_merging import setting_for
from tests.measure.texts import random_dense, same

WAITS = ("_local_scalar_dense", "nonzero.default", "unique", "masked_select", "bincount", "equal")
"""What a device has to finish its work for."""


class Counted(TorchDispatchMode):
    """Counts what is asked of the device, and what makes the host wait."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels = 0
        self.waits: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func).removeprefix("aten.")
        self.kernels += "view" not in name and "alias" not in name
        masks = func is torch.ops.aten.index.Tensor and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        if masks or name.startswith(WAITS):
            self.waits.append(name)
        return func(*args, **(kwargs or {}))


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No sorting out of what waits: that is once in many rounds."""
    for module in ("candidates", "tokens", "coactivation", "sketch", "order"):
        monkeypatch.setattr(f"saereport.measure.statistics.{module}._WAITING", 1 << 40)


@pytest.mark.parametrize("tracked", ["all", "some"])
def test_the_host_waits_once_a_round(
    patient: None, monkeypatch: pytest.MonkeyPatch, tracked: str
) -> None:
    """For how many events each statistic wants; and the kernels are few."""
    text = random_dense(1, n=40)
    latents = np.arange(text.d_sae) if tracked == "all" else np.array([1, 4, 7])
    measurement = Measurement(setting_for(text, latents=latents))
    asked: list[int] = []

    def numbers(tensors: list[torch.Tensor]) -> list[int]:
        asked.append(len(tensors))
        with torch.utils._python_dispatch._disable_current_modes():
            return [int(tensor) for tensor in tensors]

    def indices(mask: torch.Tensor, size: int) -> torch.Tensor:
        return torch.nonzero_static(mask, size=size).squeeze(1)

    monkeypatch.setattr("saereport.measure.batch.numbers", numbers)
    monkeypatch.setattr("saereport.measure.batch.indices", indices)
    batch = text.batch(8, 40)
    assert batch.n_tracked is None
    n_tracked = int(np.isin(crossing.to_host(batch.latent), latents).sum())
    batch = Events(**{**batch.__dict__, "n_tracked": n_tracked})
    with Counted() as counted:
        measurement.update(batch)
    assert counted.waits == []
    assert len(asked) == 1
    # A round is eight batches or more, and 400 kernels a batch are the limit.
    assert counted.kernels < 1000
    monkeypatch.undo()
    expected = text.measure(measurement.setting, [8, 40])
    same(measurement.result(latents), expected.result(latents))


@pytest.fixture
def on_fake_cuda(monkeypatch: pytest.MonkeyPatch, patient: None) -> Iterator[list[int]]:
    """CUDA without a GPU: tensors hold nothing, so whatever needs to know a number fails."""
    sizes: list[int] = []

    def numbers(tensors: list[torch.Tensor]) -> list[int]:
        assert {tensor.device.type for tensor in tensors} == {"cuda"}
        sizes.append(len(tensors))
        return [7] * len(tensors)

    def to_device(array: np.ndarray, device: Any) -> torch.Tensor:
        kind = torch.from_numpy(np.zeros(1, dtype=array.dtype)).dtype
        return torch.zeros(array.shape, dtype=kind, device=device)

    monkeypatch.setattr("saereport.measure.batch.numbers", numbers)
    modules = ("batch", "statistics.histograms", "statistics.candidates", "statistics.sketch")
    for module in modules:
        monkeypatch.setattr(f"saereport.measure.{module}.to_device", to_device)
    with FakeTensorMode():
        yield sizes


@pytest.mark.parametrize("tracked", [50, 7])
def test_nothing_leaves_the_device(on_fake_cuda: list[int], tracked: int) -> None:
    latents = np.arange(tracked)
    setting = Setting(50, 11, latents, device="cuda", before=2, after=2)
    measurement = Measurement(setting)
    n, context, m = 3, 16, 90
    batch = Events(
        first=6,
        tokens=torch.zeros(n, context, dtype=torch.int32, device="cuda"),
        counted=torch.ones(n, context, dtype=torch.bool, device="cuda"),
        documents=torch.zeros(n, context, dtype=torch.int32, device="cuda"),
        latent=torch.zeros(m, dtype=torch.int32, device="cuda"),
        flat=torch.zeros(m, dtype=torch.int32, device="cuda"),
        value=torch.ones(m, device="cuda"),
        n_counted=n * context,
        bits=(0x3F800000, 0x40800000),
        n_tracked=m if tracked == 50 else 20,
    )
    measurement.update(batch)
    measurement.update(batch)
    assert len(on_fake_cuda) == 2
    for name, accumulator in measurement.accumulators.items():
        for key, value in vars(accumulator).items():
            if isinstance(value, torch.Tensor):
                assert value.device.type == "cuda", (name, key)
