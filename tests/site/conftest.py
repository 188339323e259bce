from __future__ import annotations

from pathlib import Path

import pytest

from saereport.run import Run
from saereport.site import render
from tests.synthetic import Shape, write_run

SMALL = Shape(d_sae=96, n_chosen=40, n_sequences=120, n_vocabulary=900, hostile=True, n_saes=3)


@pytest.fixture(scope="session")
def hostile_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with three SAEs whose tokens, labels and title are hostile."""
    path = tmp_path_factory.mktemp("hostile") / "run"
    write_run(path, SMALL)
    return path


@pytest.fixture(scope="session")
def hostile_report(hostile_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("hostile-report") / "report"
    render(hostile_run, out, shard_size=16)
    return out


@pytest.fixture(scope="session")
def single_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("single") / "run"
    write_run(path, Shape(d_sae=64, n_chosen=20, n_sequences=60, n_vocabulary=700))
    return path


@pytest.fixture(scope="session")
def single_report(single_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("single-report") / "report"
    render(single_run, out, shard_size=8)
    return out


@pytest.fixture(scope="module")
def report(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a module's own `run`."""
    out = tmp_path_factory.mktemp("pages") / "report"
    render(run.path, out)
    return out
