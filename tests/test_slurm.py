"""The array job of `examples/slurm`: its shell steps, without Slurm."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from saereport.config.build import read_config
from saereport.pipeline import build
from tests.factories import save_hf_model, save_sae
from tests.pipeline.test_build import files

ROOT = Path(__file__).parents[1]
SLURM = ROOT / "examples" / "slurm"

SBATCH = """#!/usr/bin/env bash
# Stands in for Slurm's: runs the tasks of an array at once, one after the other.
set -e
echo "$@" >> "$LOG"
script="${@: -1}"
if [[ "$script" == *collect* ]]; then
    for task in 1 2; do SLURM_ARRAY_TASK_ID=$task SLURM_ARRAY_TASK_COUNT=2 bash "$script" >&2; done
    echo "77;cluster"
else
    bash "$script" >&2
    echo 78
fi
"""


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """An environment with a saereport, a stand-in for sbatch, and a configuration."""
    save_hf_model(tmp_path / "model", "gpt2")
    save_sae(tmp_path / "sae", d_in=48)
    (tmp_path / "text.txt").write_text("It was a dark and stormy night. " * 60)
    (tmp_path / "report.yaml").write_text(
        "model: model\nsaes: [{path: sae}]\ndataset: text.txt\nlatents: 0-3\ntokens: 700\n"
        "batch_size: 8\ndevice: cpu\nevaluate: 200\n"
    )
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for name, text in {
        "saereport": f'#!/bin/sh\nexec "{sys.executable}" -m saereport "$@"\n',
        "sbatch": SBATCH,
    }.items():
        (bin_ / name).write_text(text)
        (bin_ / name).chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{bin_}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "LOG": str(tmp_path / "log"),
        "OMP_NUM_THREADS": "1",
    }


@pytest.mark.slow
def test_the_array_and_the_merge_make_the_report_of_one_process(
    shell: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=shell, check=True, text=True, capture_output=True)

    done = run("bash", str(SLURM / "submit.sh"), "--array=1-2")
    assert done.stdout.split() == ["78"]
    submitted = (tmp_path / "log").read_text().splitlines()
    assert submitted == [
        f"--parsable --array=1-2 {SLURM / 'collect.sbatch'}",
        f"--parsable --dependency=afterok:77 {SLURM / 'merge.sbatch'}",
    ]
    assert "Wrote '" in done.stderr
    # One start of Python less than by the command line.
    build.build(read_config(tmp_path / "report.yaml"), tmp_path / "whole")
    assert files(tmp_path / "report") == files(tmp_path / "whole")


def test_of_sixteen_shards_the_third_alone_can_be_submitted(tmp_path: Path) -> None:
    (tmp_path / "saereport").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "saereport").chmod(0o755)
    array = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "1"}
    asked = {"SHARDS": "16", "PARTS": "few", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", str(SLURM / "collect.sbatch")],
        env={**os.environ, **array, **asked},
        check=True,
        text=True,
        capture_output=True,
    )
    assert done.stdout.split() == ["collect", "report.yaml", "--out", "few", "--shard", "3/16"]
