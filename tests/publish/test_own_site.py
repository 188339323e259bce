"""This repository does to itself what it offers: its published report is checked and gated."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from saereport.cli import main as cli
from saereport.diff.gatefile import read_gates
from saereport.publish import check
from saereport.util.files import sha256_of
from tests.publish.workflows import change_one_latent

ROOT = Path(__file__).parents[2]
SITE = ROOT / "site"
GATES = ROOT / ".ci/gates.yml"


def test_the_published_report_is_fit_to_be_published() -> None:
    assert [str(finding) for finding in check(SITE)] == []


def test_it_passes_its_gates_and_a_changed_latent_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(SITE / "run", tmp_path / "run"))
    arguments = ["--quiet", "diff", str(SITE), str(run), "--gates", str(GATES)]
    assert cli.run(arguments) == 0
    slug, latent = change_one_latent(run)
    assert sha256_of(run / "run.json") != sha256_of(SITE / "run/run.json")
    capsys.readouterr()
    assert cli.run(arguments) == 3
    said = capsys.readouterr()
    assert re.search(rf"{re.escape(slug)}.*\b{latent}\b|\b{latent}\b.*{re.escape(slug)}", said.out)


def test_ci_rebuilds_gates_and_checks() -> None:
    steps = (ROOT / ".ci/run").read_text()
    assert re.search(r"^make .*\bgate\b", steps, re.MULTILINE)
    # Every test, once: the fast ones, and what they leave out.
    asked = re.findall(r"\b(?:check|fast|test[\w-]*)(?=[ \n])", re.sub("#.*", "", steps))
    assert asked == ["fast", "test-others"]
    makefile = (ROOT / "Makefile").read_text()
    assert '\nfast: $(VENV)/.installed-dev\n\t$(PYTEST) -m "$(FAST)"\n' in makefile
    assert '\t$(PYTEST) -m "not network and not ($(FAST))"\n' in makefile
    recipe = makefile.split("\ngate:", 1)[1].split("\n\n", 1)[0]
    assert "saereport demo --out ci-output/demo" in recipe
    assert "saereport diff site ci-output/demo --gates .ci/gates.yml" in recipe
    assert "saereport publish-check site" in recipe
    errors = [gate for gate in read_gates(GATES).gates if gate.severity == "error"]
    assert len(errors) == 9
