"""The example workflows: valid, careful, and each of their scripts run in a shell."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from saereport.diff.gatefile import read_gates
from tests.publish.workflows import FOLDER, Runner, change_one_latent, workflow
from tests.synthetic import Shape, write_run

NAMES = ("pages.yml", "pull-request.yml")
SHAPE = Shape(d_sae=32, n_chosen=8, n_sequences=40, n_vocabulary=300)

GH = r"""
printf '%s\n' "$*" >> "$LOG"
[ -n "$GH_TOKEN" ] || exit 4
comments="$(dirname "$LOG")/comments"
mkdir -p "$comments"
for part in "$@"; do case "$part" in body=@*) body="${part#body=@}";; esac; done
case "$*" in
  *"--paginate"*) ls "$comments" ;;
  *"--method POST"*) cp "$body" "$comments/7001" ;;
  *"--method PATCH repos/me/mine/issues/comments/7001 "*) cp "$body" "$comments/7001" ;;
  *) exit 5 ;;
esac
"""
"""Stands in for `gh`: one issue, whose comments are files named by their ids."""


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def commit(folder: Path, message: str) -> str:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message)
    return git(folder, "rev-parse", "HEAD").strip()


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """A repository with a committed run and gates, as its pull request begins."""
    home = tmp_path / "home"
    home.mkdir()
    git(home, "init", "-q", "-b", "main")
    write_run(home / "run", SHAPE)
    shutil.copyfile(FOLDER / "gates.yml", home / "gates.yml")
    base = commit(home, "The report")
    made = Runner(
        home,
        tmp_path / "outside",
        {
            "github.repository": "me/mine",
            "github.server_url": "https://github.com",
            "github.run_id": "42",
            "github.token": "secret",
            "github.event.pull_request.base.sha": base,
            "github.event.pull_request.number": "12",
        },
    )
    made.command("gh", GH)
    return made


@pytest.mark.parametrize("name", NAMES)
def test_github_would_take_it(name: str) -> None:
    done = subprocess.run(
        ["check-jsonschema", "--builtin-schema", "vendor.github-workflows", str(FOLDER / name)],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": _own_path()},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _own_path() -> str:
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def test_the_schema_check_can_fail(tmp_path: Path) -> None:
    text = (FOLDER / "pages.yml").read_text(encoding="utf-8").replace("runs-on:", "run-on:")
    (tmp_path / "pages.yml").write_text(text)
    command = ["check-jsonschema", "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run(
        [*command, str(tmp_path / "pages.yml")],
        capture_output=True,
        check=False,
        env={"PATH": _own_path()},
    )
    assert done.returncode == 1


@pytest.mark.parametrize("name", NAMES)
def test_it_asks_for_no_more_than_it_needs(name: str) -> None:
    flow = workflow(name)
    assert flow["permissions"] == {"contents": "read"}
    assert "pull_request_target" not in str(flow["on"])
    wanted: dict[str, Any] = {
        "deploy": {"pages": "write", "id-token": "write"},
        "comment": {"actions": "read", "pull-requests": "write"},
    }
    for job, value in flow["jobs"].items():
        assert value.get("permissions") == wanted.get(job)
        assert value["timeout-minutes"] <= 60
        for step in value["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"])
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False
            # What strangers write reaches a script through its environment only.
            assert "${{" not in step.get("run", "")
    if name == "pull-request.yml":
        assert "head.repo.full_name == github.repository" in flow["jobs"]["comment"]["if"]
        assert not any("checkout" in str(step) for step in flow["jobs"]["comment"]["steps"])


def test_the_gates_can_be_read() -> None:
    gates = read_gates(FOLDER / "gates.yml").gates
    assert len(gates) == 8
    assert [gate.severity for gate in gates].count("warn") == 1


def test_pages_renders_a_committed_run(runner: Runner) -> None:
    assert runner.run("pages.yml", "build") == 0, runner.said
    assert (runner.home / "_site/index.html").is_file()
    assert runner.log == ["saereport==0.1.0"]


def test_pages_builds_where_no_run_is_committed(runner: Runner) -> None:
    shutil.rmtree(runner.home / "run")
    runner.command("saereport", 'printf "%s\\n" "$*" >> "$LOG"')
    assert runner.run("pages.yml", "build") == 0, runner.said
    assert runner.log == [
        "saereport[collect]==0.1.0",
        "--quiet build report.yaml --out _site",
        "--quiet publish-check _site",
    ]


def test_pages_does_not_publish_what_the_check_refuses(runner: Runner) -> None:
    assert runner.run("pages.yml", "build") == 0, runner.said
    check = next(s for s in workflow("pages.yml")["jobs"]["build"]["steps"] if "Check" in str(s))
    (runner.home / "_site/methods.html").unlink()
    assert runner.step(check, {}) == 3
    assert "methods.html" in runner.said[check["name"]]


def test_a_changed_latent_fails_the_gate_and_is_named_in_the_comment(runner: Runner) -> None:
    slug, latent = change_one_latent(runner.home / "run")
    # A pull request cannot loosen the gates for itself.
    (runner.home / "gates.yml").write_text("gates: []\n")
    commit(runner.home, "Change one latent")
    assert runner.run("pull-request.yml", "compare") == 3, runner.said
    assert runner.context["steps.diff.outputs.gate"] == "3"
    out = runner.home / "out"
    for name in ("diff.md", "diff.html", "diff.json", "junit.xml", "report/index.html"):
        assert (out / name).stat().st_size > 0, name
    failed = ElementTree.parse(out / "junit.xml").getroot().findall(".//failure")
    assert failed
    assert runner.summary.read_text() == (out / "diff.md").read_text()
    assert str(latent) in runner.summary.read_text()

    assert runner.run("pull-request.yml", "comment") == 0, runner.said
    comment = runner.outside / "comments/7001"
    text = comment.read_text()
    assert text.startswith("<!-- saereport diff -->\n")
    assert re.search(rf"\b{latent}\b", text)
    assert slug in text
    assert "https://github.com/me/mine/actions/runs/42" in text

    # The next push brings the same comment up to date.
    (out / "diff.md").write_text("Nothing changed.\n")
    assert runner.run("pull-request.yml", "comment") == 0, runner.said
    assert [path.name for path in comment.parent.iterdir()] == ["7001"]
    assert "Nothing changed." in comment.read_text()
    assert [line for line in runner.log if "--method" in line][-1].startswith("api --method PATCH")


@pytest.mark.slow
def test_a_pull_request_that_changes_nothing_passes(runner: Runner) -> None:
    (runner.home / "README.md").write_text("words\n")
    commit(runner.home, "Words")
    assert runner.run("pull-request.yml", "compare") == 0, runner.said
    assert runner.context["steps.diff.outputs.gate"] == "0"


@pytest.mark.slow
def test_the_first_report_has_nothing_to_compare_with(runner: Runner) -> None:
    git(runner.home, "rm", "-rq", "run")
    runner.context["github.event.pull_request.base.sha"] = commit(runner.home, "No report")
    write_run(runner.home / "run", SHAPE)
    commit(runner.home, "The first")
    assert runner.run("pull-request.yml", "compare") == 0, runner.said
    assert "no report to compare with" in runner.summary.read_text()


def test_a_damaged_run_is_an_error_and_no_comment(runner: Runner) -> None:
    (runner.home / "run/run.json").write_text("{}")
    commit(runner.home, "Broken")
    assert runner.run("pull-request.yml", "compare") == 1
    assert "steps.diff.outputs.gate" not in runner.context
