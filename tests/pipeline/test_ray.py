"""The engine ray with two workers on this machine: the same bytes, whoever is lost."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray")

from saereport.config.build import make_config
from saereport.pipeline import build
from saereport.pipeline.engine import dispatch
from saereport.pipeline.engine.cluster import RayEngine
from saereport.pipeline.engine.job import Job
from saereport.util.errors import SaereportError
from saereport.util.progress import Relay
from tests.factories import save_hf_model, save_sae
from tests.pipeline.ray_workers import Dying, Light
from tests.pipeline.test_build import Told as Lines
from tests.pipeline.test_build import files

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _workers_find_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Callable[..., RayEngine]]:
    made: list[RayEngine] = []

    def make(**setup: Any) -> RayEngine:
        config = make_config({"engine": "ray", "workers": 2, "device": "cpu"})
        said = setup.pop("said", [])
        setup["folder"] = str(tmp_path)
        made.append(RayEngine(config, lambda: setup, said.append, Light))
        return made[-1]

    yield make
    for one in made:
        one.close()


def squares(engine: RayEngine, first: dict[int, str], n: int = 5) -> list[int]:
    shown: list[int] = []
    job = Job(
        "tests.pipeline.ray_workers:squared",
        n,
        lambda i: {"n": i, "first": first.get(i)},
        lambda _: 1,
        lambda i: f"item {i}",
    )
    found = list(engine.each(job, Relay(shown.append)))
    assert sorted(found) == [(i, i * i) for i in range(n)]
    assert sum(shown) == n
    return [item for item, _ in found]


def test_real_workers_are_lost_full_and_slow_and_each_item_counts_once(
    engine: Callable[..., RayEngine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "LEAST_SLOW", 0.5)
    said: list[str] = []
    ray_engine = engine(said=said)
    assert ray_engine.workers == 2
    squares(ray_engine, {1: "die"})
    assert "A worker was lost; item 1 is done again" in said
    # A straggler: what is begun elsewhere too is finished there.
    (tmp_path / "log").unlink()
    assert squares(ray_engine, {6: "hang"}, n=9)[-1] == 6
    assert "item 6 takes long; it is begun on another worker as well" in said
    lines = (tmp_path / "log").read_text().splitlines()
    assert sorted(int(line.split()[0]) for line in lines) == sorted([*range(9), 6])
    (tmp_path / "let-go").touch()
    # A full disk: the worker is not asked again.
    (tmp_path / "log").unlink()
    (tmp_path / "first-1").unlink()
    squares(ray_engine, {1: "full"}, n=6)
    assert any("is full, and it is used no more; item 1 is done by another" in one for one in said)
    tried = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    [full] = {pid for n, pid in tried if n == "1"} - {tried[-1][1]}
    assert [pid for _, pid in tried].count(full) <= 2


def test_workers_of_another_version_are_named(engine: Callable[..., RayEngine]) -> None:
    with pytest.raises(SaereportError, match=r"A worker on .* cannot be used: It has saereport 0"):
        squares(engine(version="9.9", bench="saereport.pipeline.engine.bench:make_bench"), {})


KILLED = """
import os, signal, sys
from saereport.pipeline.checkpoint import Checkpoint
save, saved = Checkpoint.save, []
def killed(self, arrays):
    save(self, arrays)
    saved.append(self.path)
    if len(saved) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
Checkpoint.save = killed
from saereport.cli.main import main
main(sys.argv[1:])
"""


def test_a_killed_driver_and_a_killed_worker_leave_no_trace_in_the_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_hf_model(tmp_path / "model", "gpt2")
    save_sae(tmp_path / "one", d_in=48)
    save_sae(tmp_path / "two", "topk", d_in=48, hook_name="blocks.2.hook_resid_pre")
    (tmp_path / "text.txt").write_text("It was a dark and stormy night; the rain fell. " * 60)
    settings: dict[str, Any] = {
        "model": "model",
        "saes": [{"path": "one"}, {"path": "two"}],
        "prompts": [{"text": "a dark night"}, {"text": "the rain"}],
        "dataset": "text.txt",
        "latents": "0-3",
        "tokens": 2600,
        "batch_size": 8,
        "device": "cpu",
        "evaluate": 200,
    }
    options = [
        f"--{name.replace('_', '-')}={value}"
        for name, value in settings.items()
        if name not in ("saes", "prompts")
    ]
    options += [
        "--prompt=a dark night",
        "--prompt=the rain",
        "--sae-path=one",
        "--sae-path=two",
        "--engine=ray",
        "--workers=2",
        "--out=rayed",
    ]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, "build", *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    kept = [path.parent.name for path in (tmp_path / "rayed.partial").rglob("checkpoint.npz")]
    assert len(kept) == 2
    monkeypatch.setenv("SAEREPORT_TEST_LOG", str(tmp_path))
    monkeypatch.setattr(build, "RayEngine", functools.partial(RayEngine, worker=Dying))
    told = Lines()
    ray_settings = {**settings, "engine": "ray", "workers": 2}
    build.build(ray_settings, tmp_path / "rayed", progress=told)
    tokens = 2 * 8 * 32
    assert f"Going on from finished shards, after {tokens:,} tokens" in told.lines
    assert any(line.startswith("A worker was lost; shard ") for line in told.lines)
    done_there: dict[str, list[str]] = {}
    for line in (tmp_path / "log").read_text().splitlines():
        task, first = line.split(" ")
        done_there.setdefault(task, []).append(first)
    assert set(done_there) == {"read_shard", "measure_block", "collect_one"}
    assert done_there["collect_one"] == [""] * 2
    # All of the evaluation's tokens are in one block.
    assert done_there["measure_block"] == ["0"]
    firsts = [int(first) for first in done_there["read_shard"]]
    assert not {int(name.split("-")[0]) for name in kept} & set(firsts)
    assert len(firsts) == len(set(firsts)) + 1
    assert not (tmp_path / "rayed.partial").exists()
    build.build(settings, tmp_path / "local")
    assert files(tmp_path / "rayed") == files(tmp_path / "local")
