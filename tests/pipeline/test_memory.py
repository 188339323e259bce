import pytest
import torch

from saereport.pipeline.memory import MemoryProfiler, as_lines, largest_objects


class Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Linear(1000, 3000, bias=False)
        self.tied = torch.nn.Linear(1000, 3000, bias=False)
        self.tied.weight = self.inner.weight
        self.scale = torch.nn.Parameter(torch.zeros(100))


def test_the_largest_are_named_once_each_with_their_size() -> None:
    model = Model()
    loose = torch.zeros(7, 500_001)
    view = loose[:2]
    rows = largest_objects("stage", limit=1000)
    mine = {row.name: row for row in reversed(rows)}
    assert mine["tensor 7x500001"].bytes == 7 * 500_001 * 4
    assert mine["Model.inner"].bytes == 3_000_000 * 4
    assert mine["Model.inner"].kind == "Linear"
    assert mine["Model"].kind == "(whole)"
    assert mine["Model"].bytes == 3_000_000 * 4 + 100 * 4
    assert "Model.tied" not in mine
    assert "tensor 2x500001" not in mine
    assert [row.bytes for row in rows] == sorted((row.bytes for row in rows), reverse=True)
    assert view.shape == (2, 500_001)
    assert model.tied.weight.device.type == "cpu"


def test_the_peak_of_a_stage_is_its_own() -> None:
    profiler = MemoryProfiler(True, torch.device("cpu"))
    with profiler.stage("large"):
        block = torch.ones(50_000_000)
    del block
    with profiler.stage("small"):
        torch.ones(10)
    profile = profiler.profile()
    assert profile is not None
    large, small = profile.peaks
    assert large.process_bytes - small.process_bytes > 100_000_000
    assert large.device_bytes is None
    lines = as_lines(profile)
    assert any("large" in line and "tensor 50000000" in line for line in lines)


def test_nothing_is_looked_at_unless_asked() -> None:
    profiler = MemoryProfiler(False, torch.device("cpu"))
    with profiler.stage("x"):
        pass
    assert profiler.profile() is None


def test_wrappers_of_derivatives_are_passed_over() -> None:
    kept = []

    def square(x: torch.Tensor) -> torch.Tensor:
        kept.append(x)  # outlives the derivative, as in a reference cycle
        return x * x

    torch.func.jvp(square, (torch.ones(3),), (torch.ones(3),))
    torch.func.vmap(torch.func.grad(lambda x: square(x).sum()))(torch.ones(2, 3))
    with pytest.raises((NotImplementedError, RuntimeError)):
        assert all(tensor.untyped_storage().data_ptr() for tensor in kept)
    assert largest_objects("stage", 5)
