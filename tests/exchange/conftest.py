"""An environment with the real SAEDashboard: one that is there, or one made for the tests."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[2]
SIDE = Path(__file__).with_name("dashboard_side.py")
VARIABLE = "SAEREPORT_DASHBOARD_PYTHON"

Side = Callable[..., None]


def pins() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    return project["project"]["optional-dependencies"]["exchange"]


@pytest.fixture(scope="session")
def dashboard_side(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Side:
    """Runs `dashboard_side.py` with the Python of an environment that has sae-dashboard.

    The environment variable SAEREPORT_DASHBOARD_PYTHON names one; without it a virtual
    environment is made once and kept in pytest's cache.
    """
    python = os.environ.get(VARIABLE) or str(environment(request.config.cache))

    def run(*arguments: object) -> None:
        folder = tmp_path_factory.mktemp("side")
        env = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline"}
        command = [python, str(SIDE), *map(str, arguments)]
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]

    return run


def environment(cache: pytest.Cache) -> Path:
    """A virtual environment with the pins of the extra `exchange`, and the torch of the tests."""
    name = "-".join(pins()).replace("=", "")
    folder = cache.mkdir("dashboard") / name
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    done = folder / "complete"
    # Two workers, or two runs of the tests, may want it at once.
    with FileLock(f"{folder}.lock"):
        if not done.exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
            # Most of what comes with it is never imported: compiling it all took the longest.
            install = [str(python), "-m", "pip", "install", "--quiet", "--no-compile"]
            subprocess.run([*install, "-c", str(ROOT / "constraints.txt"), *pins()], check=True)
            # SAEDashboard's code does not need it, and one made for another torch breaks it.
            uninstall = [str(python), "-m", "pip", "uninstall", "--quiet", "--yes", "torchvision"]
            subprocess.run(uninstall, check=True)
            done.touch()
    return python
