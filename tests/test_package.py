"""The built wheel, in an empty folder and an environment of its own, without torch."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from saereport.report.rendering import render
from tests.synthetic import Shape, write_run

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.package


@dataclass
class Installed:
    python: Path
    folder: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        return subprocess.run(
            [str(self.python), "-m", *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder / "env", with_pip=True)
    python = folder / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--no-compile", str(wheel)]
    subprocess.run(install, check=True)
    (folder / "work").mkdir()
    return Installed(python, folder / "work")


def test_the_wheel_holds_what_it_needs_and_nothing_of_the_repository(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for needed in (
        "saereport/py.typed",
        "saereport/config/start.yaml",
        "saereport/_templates/base.html",
        "saereport/_templates/static/pages.js",
        "saereport/_templates/vendor/plotly-cartesian.min.js",
        "saereport/demo/report.yaml",
    ):
        assert needed in names, needed
    assert any(name.endswith("sae_weights.safetensors") for name in names)
    assert any(name.startswith("saereport/demo/text/") for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("licenses/NOTICE.md") for name in names)
    assert not [name for name in names if name.split("/")[0] in ("tests", "site", "benchmarks")]
    assert not [name for name in names if "__pycache__" in name]
    assert not [name for name in names if "node_modules" in name or "/scripts/" in name]


def test_it_renders_the_same_bytes_without_torch(installed: Installed, tmp_path: Path) -> None:
    assert installed.run("pip", "show", "torch").returncode != 0
    write_run(tmp_path / "run", Shape())
    made = installed.run("saereport", "render", str(tmp_path / "run"), "--out", "report")
    assert made.returncode == 0, made.stderr
    render(tmp_path / "run", tmp_path / "here")
    there = installed.folder / "report"
    ours = {p.relative_to(tmp_path / "here") for p in (tmp_path / "here").rglob("*")}
    assert ours == {p.relative_to(there) for p in there.rglob("*")}
    for path in ours:
        if (there / path).is_file():
            assert (there / path).read_bytes() == (tmp_path / "here" / path).read_bytes(), path


def test_what_needs_torch_says_how_to_get_it(installed: Installed) -> None:
    asked = installed.run("saereport", "demo", "--out", "demo")
    assert asked.returncode == 1
    assert asked.stderr.count("\n") == 1
    assert "pip install 'saereport[collect]'" in asked.stderr
    assert not (installed.folder / "demo").exists()


def test_info_and_init_work_there(installed: Installed, tmp_path: Path) -> None:
    write_run(tmp_path / "run", Shape())
    info = installed.run("saereport", "info", str(tmp_path / "run"))
    assert info.returncode == 0
    assert "latents shown" in info.stdout
    assert installed.run("saereport", "init").returncode == 0
    assert (installed.folder / "report.yaml").is_file()
