"""The array job of `examples/slurm`: its shell steps, without Slurm."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
        "model: model\nsaes: [{path: sae}]\ndataset: text.txt\nlatents: 0-3\ntokens: 1500\n"
        "batch_size: 8\ndevice: cpu\nevaluation_tokens: 200\n"
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
    shell: dict[str, str], tmp_path: Path
) -> None:
    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=tmp_path, env=shell, check=True, text=True, capture_output=True
        )

    done = run("bash", str(SLURM / "submit.sh"), "--array=1-2")
    assert done.stdout.split() == ["78"]
    submitted = (tmp_path / "log").read_text().splitlines()
    assert submitted == [
        f"--parsable --array=1-2 {SLURM / 'collect.sbatch'}",
        f"--parsable --dependency=afterok:77 {SLURM / 'merge.sbatch'}",
    ]
    assert "Wrote '" in done.stderr
    # Of sixteen shards the third alone.
    shell.update(SHARDS="16", SLURM_ARRAY_TASK_ID="3", SLURM_ARRAY_TASK_COUNT="1", PARTS="few")
    run("bash", str(SLURM / "collect.sbatch"))
    assert (tmp_path / "few" / "shard-03-of-16" / "part.json").exists()
    run("saereport", "build", "report.yaml", "--out", "whole")
    assert files(tmp_path / "report") == files(tmp_path / "whole")
