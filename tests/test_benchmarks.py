"""Every benchmark runs, at a tiny size. What it measures is asserted nowhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.bench_device import Counting
from benchmarks.peers_environment import VARIABLE, environment
from benchmarks.plot_cost import figure
from benchmarks.synthetic_events import Shape, densities, draws

ROOT = Path(__file__).parents[1]


def benchmark(name: str, *options: str, python: Path | None = None) -> str:
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *options]
    env = {**os.environ, **({VARIABLE: str(python)} if python else {})}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_synthetic_events_have_the_shape_they_were_asked_for():
    shape = Shape(2_000, 20, 64, d_vocab=1_000)
    share = densities(shape, np.random.default_rng(0))
    assert abs(share.sum() - 20) < 0.1
    batches = list(draws(shape, 20_000, 1_000))
    assert sum(one.tokens.size for one in batches) == 20_000 // 64 * 64
    assert [one.first for one in batches[:3]] == [0, 15, 30]
    events = sum(len(one.flat) for one in batches)
    counted = sum(int(one.counted.sum()) for one in batches)
    # An active latent that is drawn twice is active once.
    assert 17 < events / counted < 20
    for one in batches:
        key = one.flat * shape.d_sae + one.latent
        assert (np.diff(key) > 0).all()
        assert one.counted.reshape(-1)[one.flat].all()
        assert one.value.dtype == np.float32
        assert (one.value > 0).all()
    tokens = np.concatenate([one.tokens.reshape(-1) for one in batches])
    assert (tokens == 0).mean() > 20 * (tokens == 100).mean()


def test_statistics():
    record = json.loads(
        benchmark(
            "bench_statistics", "--shape", "tiny", "--tokens", "2k", "--latents", "8", "--json"
        )
    )
    assert record["latents"] == 8
    assert record["tokens"] == 2_000
    assert {"activity", "examples", "tokens", "shared"} <= record["by_statistic"].keys()


def test_the_picture_of_costs_has_every_record():
    measured = [
        {"latents": latents, "tokens": tokens, "wall_s": tokens / 1e4, "peak_mb": 500.0}
        for latents in (64, 24_576)
        for tokens in (100_000, 1_000_000)
    ]
    curve = [{"latents": 64, "ours": {"wall_s": 9.0}, "theirs": {"wall_s": 12.0}}]
    drawn = {trace.name: list(trace.y) for trace in figure(measured, curve).data}
    assert len(drawn) == 6
    assert drawn["24,576 latents, seconds"] == [10.0, 100.0]
    assert drawn["64 latents, GB at the peak"] == [0.5, 0.5]
    assert drawn["SAEDashboard 0.8, seconds"] == [12.0]


@pytest.mark.model
@pytest.mark.slow
def test_collecting():
    said = benchmark("bench_collect", "--tokens", "512", "--rounds", "1")
    assert "512 tokens" in said
    assert "times the forward pass" in said


@pytest.mark.model
@pytest.mark.slow
def test_evaluating():
    said = benchmark("bench_evaluation", "--tokens", "256", "--rounds", "1")
    assert "4 bare passes" in said


@pytest.mark.model
@pytest.mark.slow
def test_steering():
    record = json.loads(benchmark("bench_steering", "--rows", "2", "--new", "3", "--rounds", "1"))
    assert {"generate", "loop", "additive", "orthogonal", "projection_cap"} <= record.keys()


@pytest.mark.slow
def test_dictionaries():
    sizes = {"latents": 300, "lens": 20, "width": 16, "vocabulary": 2_000, "texts": 60}
    options = [word for name, n in sizes.items() for word in (f"--{name}", str(n))]
    record = json.loads(benchmark("bench_dictionaries", *options))
    assert record["latents"] == 300
    for name in ("matching", "lens", "lens with token sets", "probing"):
        assert record[name]["seconds"] > 0


def test_operations_are_counted_by_part():
    mode = Counting()
    x = torch.ones(4, 8)
    with mode:
        (x @ x.T).view(-1)
        with mode.during("forward pass"):
            torch.nonzero(x)
    counts = mode.counts
    assert counts["statistics"].by_name == {"mm": 1}
    assert counts["statistics"].flops == 2 * 4 * 4 * 8
    assert (counts["statistics"].read, counts["statistics"].written) == (2 * 4 * 32, 4 * 16)
    assert (counts["forward pass"].kernels, counts["forward pass"].asks) == (1, 1)


@pytest.mark.model
@pytest.mark.slow
def test_device():
    said = benchmark("bench_device", "--tokens", "256")
    assert "forward pass" in said
    assert "H200" in said


@pytest.mark.model
@pytest.mark.slow
def test_peers(request):
    python = environment(request.config.cache.mkdir("dashboard"))
    said = benchmark("bench_peers", "--curve", "4", "--tokens", "256", python=python)
    assert "SAEDashboard 0.8" in said
    assert "4 latents: the same for" in said
