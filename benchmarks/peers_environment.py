"""An environment with the real SAEDashboard, which pins older releases of what we need."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

from filelock import FileLock

ROOT = Path(__file__).resolve().parent.parent
VARIABLE = "SAEREPORT_DASHBOARD_PYTHON"
"""Names the Python of one that is there already."""


def pins() -> list[str]:
    """The releases that the extra `exchange` names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    found: list[str] = project["project"]["optional-dependencies"]["exchange"]
    return found


def environment(parent: Path) -> Path:
    """The Python of an environment below a folder, made where it is not there."""
    if given := os.environ.get(VARIABLE):
        return Path(given)
    folder = parent / "-".join(pins()).replace("=", "")
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    done = folder / "complete"
    parent.mkdir(parents=True, exist_ok=True)
    # Two workers, or two runs of the tests, may want it at once.
    with FileLock(f"{folder}.lock"):
        if not done.exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
            # Most of what comes with it is never imported: compiling it all took the longest.
            install = [str(python), "-m", "pip", "install", "--quiet", "--no-compile"]
            subprocess.run([*install, "-c", str(ROOT / "constraints.txt"), *pins()], check=True)
            # SAEDashboard's code does not need them, and ones made for another torch break it.
            uninstall = [str(python), "-m", "pip", "uninstall", "--quiet", "--yes"]
            subprocess.run([*uninstall, "torchvision", "torchaudio"], check=True)
            done.touch()
    return python
