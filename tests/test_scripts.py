"""The tools of the page scripts: what `make` says where they are not, and of a stale bundle."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "templates" / "scripts"
TOOLS = SCRIPTS / "node_modules"


def programs(folder: Path, *names: str) -> Path:
    """A folder to be the whole PATH: some programs of this machine, and no others."""
    folder.mkdir()
    for name in names:
        found = shutil.which(name)
        if found is None:
            pytest.skip(f"there is no {name} here")
        (folder / name).symlink_to(found)
    return folder


def check_scripts(path: Path, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    make = shutil.which("make")
    if make is None:
        pytest.skip("there is no make here")
    return subprocess.run(
        [make, "-C", str(root), "--no-print-directory", "check-scripts"],
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_node_the_check_says_that_it_was_skipped(tmp_path: Path) -> None:
    done = check_scripts(programs(tmp_path / "bin", "sh", "python3"))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "scripts: not checked, there is no Node here\n"


def test_where_the_tools_cannot_be_installed_it_says_so(tmp_path: Path) -> None:
    path = programs(tmp_path / "bin", "sh", "python3")
    for name, code in (("node", 0), ("npm", 1)):
        (path / name).write_text(f"#!/bin/sh\nexit {code}\n")
        (path / name).chmod(0o755)
    fresh = tmp_path / "fresh"
    ignored = shutil.ignore_patterns("node_modules")
    shutil.copytree(SCRIPTS, fresh / "templates" / "scripts", ignore=ignored)
    shutil.copy(ROOT / "Makefile", fresh)
    done = check_scripts(path, fresh)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "scripts: not checked, their tools cannot be installed here\n"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    if not (TOOLS / ".package-lock.json").exists() or shutil.which("node") is None:
        pytest.skip("the tools of the scripts are not installed")
    shutil.copytree(SCRIPTS, tmp_path / "scripts", ignore=shutil.ignore_patterns("node_modules"))
    shutil.copytree(ROOT / "templates" / "static", tmp_path / "static")
    os.symlink(TOOLS, tmp_path / "scripts" / "node_modules")
    return tmp_path / "scripts"


def bundle(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["node", "bundle.js", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


def test_a_stale_bundle_fails_the_check_until_it_is_made_anew(copied: Path) -> None:
    assert bundle(copied, "--check").returncode == 0
    source = copied / "core" / "tip.js"
    source.write_text(source.read_text("utf-8").replace("+ 12", "+ 13"), "utf-8")
    stale = bundle(copied, "--check")
    assert stale.returncode == 1
    assert stale.stderr == "stale: ../static/pages.js, SHA256SUMS; run 'make scripts'\n"
    assert bundle(copied).returncode == 0
    assert bundle(copied, "--check").returncode == 0


def test_modules_that_import_each_other_are_refused(copied: Path) -> None:
    source = copied / "core" / "format.js"
    source.write_text('import "./latents.js";\n' + source.read_text("utf-8"), "utf-8")
    done = bundle(copied, "--check")
    assert done.returncode == 1
    assert "modules import each other" in done.stderr
    assert "core/format.js" in done.stderr
