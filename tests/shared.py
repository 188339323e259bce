"""What is made once for all tests of a run, also where several workers share them.

`pytest -n 2` starts processes of their own, each with its own session: a fixture of scope "session"
is made once in each. What takes longer than a second goes through `shared`: the first to ask makes
it under a lock, the others wait and then read the same files.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def shared(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object], /) -> Path:
    """The folder that `make` has filled; made by the first worker that asks for that name.

    What it holds is read by other tests at the same time: a test that changes it takes a copy.
    """
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder = base / "shared" / name
    folder.parent.mkdir(exist_ok=True)
    done = folder.with_name(f"{name}.done")
    with FileLock(f"{folder}.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder
