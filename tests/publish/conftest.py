"""A small report to check and to spoil."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from saereport.site import render
from tests.synthetic import Shape, write_run
from tests.synthetic_circuits import prompts


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two SAEs and some prompts with hostile words, four latents a page."""
    folder = tmp_path_factory.mktemp("publish")
    shape = Shape(d_sae=32, n_chosen=8, n_sequences=40, n_vocabulary=300, hostile=True, n_saes=2)
    write_run(folder / "run", shape, prompts)
    render(folder / "run", folder / "report", shard_size=4)
    return folder / "report"


@pytest.fixture
def report(made: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may spoil."""
    return Path(shutil.copytree(made, tmp_path / "report"))
