"""Batched derivatives: both modes against one another and `jacrev`, budgets, memory running out."""

from __future__ import annotations

import pytest
import torch

from saereport.circuits.gradients import derivatives
from saereport.circuits.gradients.derivatives import (
    Budget,
    Probes,
    auto_memory,
    budget_for,
    by_forward_mode,
    by_reverse_mode,
    in_chunks,
    jacobian,
    prefixes,
)
from saereport.util.errors import SaereportError
from tests.sources.test_devices_fake import pretending

PLENTY = Budget(memory=1 << 30, per_token=1, per_pair=1)
CPU = torch.device("cpu")


def causal(width=5, out=7, seed=0):
    """A causal function `[length, width] -> [length, out]`, not linear."""
    generator = torch.Generator().manual_seed(seed)
    one = torch.randn(width, out, generator=generator, dtype=torch.float64)
    return lambda x: torch.tanh(torch.cumsum(x @ one, dim=0)) * 2


def probes(positions, width, seed):
    generator = torch.Generator().manual_seed(seed)
    shape = (len(positions), width)
    return Probes(positions, torch.randn(shape, generator=generator, dtype=torch.float64))


def expected(through, at, inputs, outputs):
    whole = torch.func.jacrev(through)(at)
    rows = [
        [
            outputs.vectors[j]
            @ whole[outputs.positions[j], :, inputs.positions[i]]
            @ inputs.vectors[i]
            for i in range(len(inputs))
        ]
        for j in range(len(outputs))
    ]
    return torch.tensor(rows, dtype=torch.float64)


CASE = (
    causal(),
    torch.randn(6, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64),
    probes([0, 1, 1, 3, 3, 3, 5], 5, 1),
    probes([1, 2, 2, 2, 4, 4], 7, 2),
)


@pytest.mark.parametrize("memory", [1, 40, 1 << 30])
@pytest.mark.parametrize("mode", [by_reverse_mode, by_forward_mode, jacobian])
def test_modes_and_budgets_agree_with_the_plain_jacobian(mode, memory):
    done = []
    found = mode(*CASE, Budget(memory, per_token=1, per_pair=1), advance=done.append)
    torch.testing.assert_close(found, expected(*CASE))
    assert sum(done) == found.numel()


@pytest.mark.parametrize("fewest", [1, 2, 100])
def test_grouping_changes_nothing(monkeypatch, fewest):
    monkeypatch.setattr(derivatives, "FEWEST", fewest)
    torch.testing.assert_close(by_reverse_mode(*CASE, PLENTY), expected(*CASE))


@pytest.mark.parametrize("mode", [by_reverse_mode, by_forward_mode])
def test_later_activation_of_the_last_position_only(mode):
    through, at, inputs, _ = CASE
    outputs = probes([5, 5], 7, 2)
    found = mode(lambda x: through(x)[-1:], at, inputs, outputs, PLENTY)
    torch.testing.assert_close(found, expected(through, at, inputs, outputs))


def test_the_cheaper_mode_is_taken(monkeypatch):
    taken = []
    monkeypatch.setattr(derivatives, "by_forward_mode", lambda *a, **k: taken.append("forward"))
    monkeypatch.setattr(derivatives, "by_reverse_mode", lambda *a, **k: taken.append("reverse"))
    through, at = CASE[:2]
    for n_inputs, n_outputs in ((2, 50), (50, 2), (50, 50)):
        inputs, outputs = probes([0] * n_inputs, 5, 1), probes([4] * n_outputs, 7, 2)
        jacobian(through, at, inputs, outputs, PLENTY)
    assert taken == ["forward", "reverse", "reverse"]


@pytest.mark.parametrize("mode", [by_reverse_mode, by_forward_mode])
def test_what_does_not_come_through_is_refused(mode):
    _, at, inputs, outputs = CASE
    with pytest.raises(SaereportError, match="nothing leads from"):
        mode(lambda x: torch.ones(len(x), 7, dtype=x.dtype), at, inputs, outputs, PLENTY)


def test_prefixes_hold_every_output_once_and_end_at_its_position():
    positions = [0] * 3 + [1] * 30 + [2] * 5 + [3] * 2 + [9] * 40
    groups = prefixes(positions)
    assert [i for _, start, stop in groups for i in range(start, stop)] == list(range(80))
    for length, start, stop in groups:
        assert length == max(positions[start:stop]) + 1
    assert (10, 40, 80) in groups
    assert len(groups) < 5  # few outputs share a pass


def test_budgets():
    budget = Budget(memory=1000, per_token=10, per_pair=1, per_row=50)
    assert budget.rows(5) == 1000 // (50 + 5 * (10 + 5))
    assert budget.rows(1000) == 1
    assert Budget(1 << 60, 1, 1).rows(5) == derivatives.MOST


def test_a_budget_bounds_the_batch_of_a_model(tiny):
    small, large = budget_for(tiny, 1 << 20), budget_for(tiny, 1 << 24)
    assert small.rows(32) < large.rows(32)
    assert budget_for(tiny, 1 << 20, logits=100_000).rows(32) == 1


def test_memory_to_use_is_a_modest_power_of_two():
    found = auto_memory(CPU)
    assert found == 1 << (found.bit_length() - 1)
    assert 1 << 24 <= found <= 1 << 31


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory."),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory"
    ),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_chunks_halve_when_memory_runs_out(error):
    asked = []

    def work(start, stop):
        asked.append(stop - start)
        if stop - start > 3:
            raise error
        return torch.arange(start, stop)

    parts = list(in_chunks(20, 16, work, CPU))
    assert torch.cat([part for _, _, part in parts]).tolist() == list(range(20))
    assert [(start, stop) for start, stop, _ in parts] == [(i, i + 2) for i in range(0, 20, 2)]
    assert asked[:4] == [16, 8, 4, 2]


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_one_that_does_not_fit_is_an_error(error):
    def work(start, stop):
        raise error

    with pytest.raises(SaereportError, match="not even hold one derivative"):
        list(in_chunks(4, 4, work, CPU))


def test_other_errors_pass():
    def work(start, stop):
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        list(in_chunks(4, 4, work, CPU))


def test_batches_of_products_stay_on_the_device():
    cuda = torch.device("cuda:0")
    with pretending():
        some = Probes([0, 2, 2], torch.ones(3, 5, device=cuda))
        spread = some.spread(range(3))
        assert (spread.device, spread.shape) == (cuda, (3, 3, 5))
        products = some.dot(torch.ones(4, 3, 5, device=cuda), range(3))
        assert (products.device, products.shape) == (cuda, (4, 3))
