"""An environment with the real SAEDashboard: one that is there, or one made for the tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.peers_environment import environment

SIDE = Path(__file__).with_name("dashboard_side.py")

Side = Callable[..., None]


@pytest.fixture(scope="session")
def dashboard_side(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Side:
    """Runs `dashboard_side.py` with the Python of an environment that has sae-dashboard.

    The environment variable SAEREPORT_DASHBOARD_PYTHON names one; without it a virtual
    environment is made once and kept in pytest's cache.
    """
    python = str(environment(request.config.cache.mkdir("dashboard")))

    def run(*arguments: object) -> None:
        folder = tmp_path_factory.mktemp("side")
        env = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline"}
        command = [python, str(SIDE), *map(str, arguments)]
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]

    return run
