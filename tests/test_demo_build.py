"""The main job on the real model: the same bytes everywhere, and after being killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from saereport.sources.demo import demo_saes

ROOT = Path(__file__).parents[1]


def command(out: Path, tokens: int) -> list[str]:
    saes = demo_saes()
    sae = saes[next(name for name in saes if "resid" in name)]
    return [
        *(sys.executable, "-m", "saereport", "--quiet", "build"),
        *("--sae-path", str(sae), "--model", "demo", "--dataset", "demo"),
        *("--tokens", str(tokens), "--latents", "random:8", "--device", "cpu"),
        *("--batch-size", "16", "--evaluation-tokens", "256", "--out", str(out)),
    ]


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", **changes}


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.model
@pytest.mark.slow
def test_two_builds_in_different_surroundings_are_the_same_bytes(tmp_path: Path) -> None:
    surroundings = [
        {"PYTHONHASHSEED": "1", "TZ": "UTC", "LC_ALL": "C"},
        {"PYTHONHASHSEED": "2", "TZ": "Pacific/Kiritimati", "LC_ALL": "C.UTF-8", "LANG": "de_DE"},
    ]
    made = []
    for i, changes in enumerate(surroundings):
        cwd = tmp_path / f"at {i}"
        cwd.mkdir()
        out = cwd / "a report" if i else Path("report")
        subprocess.run(
            command(out, 4096), check=True, cwd=cwd, env=environment(**changes), timeout=600
        )
        made.append(files(cwd / out))
    assert len(made[0]) > 15
    assert made[0].keys() == made[1].keys()
    for name, content in made[0].items():
        assert content == made[1][name], name


@pytest.mark.slow
@pytest.mark.model
def test_after_kill_9_the_same_command_ends_with_the_same_bytes(tmp_path: Path) -> None:
    tokens = 131_072
    subprocess.run(command(tmp_path / "whole", tokens), check=True, env=environment(), timeout=1200)
    started = subprocess.Popen(command(tmp_path / "killed", tokens), env=environment())
    checkpoint = tmp_path / "killed.partial" / "checkpoint.npz"
    until = time.monotonic() + 600
    while not checkpoint.exists():
        assert started.poll() is None, "it ended before it saved a checkpoint"
        assert time.monotonic() < until
        time.sleep(0.2)
    started.send_signal(signal.SIGKILL)
    started.wait()
    assert not (tmp_path / "killed").exists()
    resumed = subprocess.run(
        [part for part in command(tmp_path / "killed", tokens) if part != "--quiet"],
        check=True,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert "Going on from the checkpoint" in resumed.stderr
    assert files(tmp_path / "killed") == files(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed", "whole"]
