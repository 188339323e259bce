"""The main job on the real model: the same bytes everywhere, and after being killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from saereport.sources.demo import demo_saes

ROOT = Path(__file__).parents[1]
TOKENS = 4096


def command(out: Path, tokens: int) -> list[str]:
    saes = demo_saes()
    sae = saes[next(name for name in saes if "resid" in name)]
    return [
        *(sys.executable, "-m", "saereport", "--quiet", "build"),
        *("--sae-path", str(sae), "--model", "demo", "--dataset", "demo"),
        *("--tokens", str(tokens), "--latents", "random:8", "--device", "cpu"),
        *("--batch-size", "8", "--evaluate", "256", "--out", str(out)),
    ]


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", **changes}


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


STOPPED = """
import sys
from saereport.cli import main as cli
from saereport.pipeline import checkpoint

left = int(sys.argv[1])
write = checkpoint.write_atomically

def stopping(path, data):
    global left
    left -= 1
    if not left:
        print("saving", flush=True)
        sys.stdin.read()
    write(path, data)

checkpoint.write_atomically = stopping
checkpoint.Checkpoint.due = property(lambda self: True)
sys.exit(cli.run(sys.argv[2:]))
"""
"""Saves after every block; when it is about to save for the n-th time it says so and waits."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The report that is made without an interruption."""
    cwd = tmp_path_factory.mktemp("whole")
    changes = {"PYTHONHASHSEED": "1", "TZ": "UTC", "LC_ALL": "C"}
    made = command(Path("report"), TOKENS)
    subprocess.run(made, check=True, cwd=cwd, env=environment(**changes), timeout=1200)
    return files(cwd / "report")


@pytest.mark.model
@pytest.mark.slow
def test_two_builds_in_different_surroundings_are_the_same_bytes(
    tmp_path: Path, whole: dict[str, bytes]
) -> None:
    cwd = tmp_path / "elsewhere"
    cwd.mkdir()
    out = cwd / "a report"
    changes = {"PYTHONHASHSEED": "2", "TZ": "Pacific/Kiritimati", "LC_ALL": "C.UTF-8"}
    env = environment(**changes, LANG="de_DE")
    subprocess.run(command(out, TOKENS), check=True, cwd=cwd, env=env, timeout=1200)
    made = files(out)
    assert len(made) > 15
    assert made.keys() == whole.keys()
    for name, content in made.items():
        assert content == whole[name], name


@pytest.mark.slow
@pytest.mark.model
def test_a_plan_and_the_build_agree_in_stages_and_batches(tmp_path: Path) -> None:
    """What is timed depends on the machine; what is to be done does not."""
    made = command(tmp_path / "report", TOKENS)
    env = environment()
    words = ["plan" if word == "build" else word for word in made]
    told = subprocess.run(
        [*words, "--json"], check=True, env=env, capture_output=True, text=True, timeout=1200
    )
    assert list(tmp_path.iterdir()) == []
    plan = json.loads(told.stdout)
    subprocess.run(made, check=True, env=env, timeout=1200)
    timing = json.loads((tmp_path / "report.timing.json").read_text())
    assert [stage["name"] for stage in plan["stages"]] == list(timing["seconds"])
    assert plan["unknown"] == []
    assert plan["batch_size"] == 8
    run = json.loads((tmp_path / "report" / "run" / "run.json").read_text())
    assert plan["tokens"] == run["text"]["n_tokens"]
    assert plan["context_size"] == run["text"]["context_size"]
    size = sum(len(content) for content in files(tmp_path / "report").values())
    assert plan["disk"]["site_bytes"] == pytest.approx(size, rel=0.5)


@pytest.mark.slow
@pytest.mark.model
def test_after_kill_9_the_same_command_ends_with_the_same_bytes(
    tmp_path: Path, whole: dict[str, bytes]
) -> None:
    words = command(tmp_path / "killed", TOKENS)[3:]
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED, "3", *words],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == b"saving\n", "it ended before it saved a checkpoint"
        started.send_signal(signal.SIGKILL)
    assert [*(tmp_path / "killed.partial" / "stages" / "statistics").glob("saes/*/checkpoint.npz")]
    assert not (tmp_path / "killed").exists()
    resumed = subprocess.run(
        [part for part in command(tmp_path / "killed", TOKENS) if part != "--quiet"],
        check=True,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert "Going on from the checkpoint" in resumed.stderr
    assert files(tmp_path / "killed") == whole
    left = [path.name for path in tmp_path.iterdir() if not path.name.endswith("-lock")]
    assert sorted(left) == ["killed", "killed.kept", "killed.timing.json"]
