"""The repository's own files: citation, workflows, hooks, documentation."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import saereport
from saereport.diff.metrics import METRICS
from saereport.run import TABLES

ROOT = Path(__file__).parents[1]
FLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
EXAMPLES = [ROOT / "examples" / "github" / name for name in ("pages.yml", "pull-request.yml")]
SCHEMAS = {ROOT / "CITATION.cff": "citation-file-format"} | dict.fromkeys(FLOWS, "github-workflows")


def checked(path: Path, schema: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    command += ["--default-filetype", "yaml", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_it_follows_its_published_schema(path: Path) -> None:
    done = checked(path, SCHEMAS[path])
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_citation_without_authors_does_not(tmp_path: Path) -> None:
    values = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    del values["authors"]
    path = tmp_path / "CITATION.cff"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    assert checked(path, "citation-file-format").returncode == 1


def test_the_citation_is_of_this_version() -> None:
    values = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert values["version"] == project["version"] == saereport.__version__
    assert values["license"] == project["license"]


@pytest.mark.parametrize("path", FLOWS, ids=lambda path: path.name)
def test_a_workflow_asks_for_no_more_than_it_needs(path: Path) -> None:
    flow: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert flow["permissions"] == {"contents": "read"}
    events = flow[True]  # `on` is a truth value in YAML 1.1
    assert "pull_request_target" not in str(events)
    wanted = {"deploy": {"pages": "write", "id-token": "write"}, "publish": {"id-token": "write"}}
    for name, job in flow["jobs"].items():
        assert job.get("permissions") == wanted.get(name)
        assert job["timeout-minutes"] <= 90
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False
            assert "${{" not in step.get("run", "")
            assert not re.search(r"password|secrets\.", str(step))


ACTIONS = {
    "actions/checkout": 7,
    "actions/configure-pages": 6,
    "actions/deploy-pages": 5,
    "actions/download-artifact": 8,
    "actions/setup-node": 7,
    "actions/setup-python": 7,
    "actions/upload-artifact": 7,
    "actions/upload-pages-artifact": 5,
}
"""The major versions that run on a supported Node and that Pages takes artifacts of."""


@pytest.mark.parametrize(
    "path", [*FLOWS, *EXAMPLES], ids=lambda path: f"{path.parent.name}-{path.name}"
)
def test_actions_are_of_their_current_major_versions(path: Path) -> None:
    used = re.findall(r"uses: (actions/[a-z-]+)@v(\d+)\s", path.read_text(encoding="utf-8"))
    assert used
    assert [(name, int(major)) for name, major in used] == [
        (name, ACTIONS[name]) for name, _ in used
    ]


def test_only_what_was_built_without_a_token_is_published() -> None:
    flow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8"))
    assert list(flow[True]) == ["push"]
    assert list(flow[True]["push"]) == ["tags"]
    steps = flow["jobs"]["publish"]["steps"]
    assert [step.get("uses", "").split("@")[0] for step in steps] == [
        "actions/download-artifact",
        "pypa/gh-action-pypi-publish",
    ]


@pytest.mark.parametrize(("tag", "code"), [(f"v{saereport.__version__}", 0), ("v9.9.9", 1)])
def test_a_tag_must_name_the_version(tag: str, code: int) -> None:
    flow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8"))
    (step,) = (s for s in flow["jobs"]["build"]["steps"] if "TAG" in s.get("env", {}))
    folder = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-e", "-c", step["run"]],
        cwd=ROOT,
        env={"TAG": tag, "PATH": folder},
        capture_output=True,
        check=False,
    )
    assert done.returncode == code, done.stderr.decode()


def test_the_hooks_run_what_the_makefile_runs() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    local = {
        hook["id"]: hook["entry"]
        for repo in hooks["repos"]
        for hook in repo["hooks"]
        if repo["repo"] == "local"
    }
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for entry in local.values():
        tool = entry.removeprefix(".venv/bin/").split()[0]
        assert f"$(BIN)/{tool}" in makefile
    assert set(local) == {"ruff", "ruff-format", "mypy"}


@pytest.fixture(scope="module")
def documentation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documentation")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    done = subprocess.run(
        [*command, "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "DISABLE_MKDOCS_2_WARNING": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_number_has_a_page(documentation: Path) -> None:
    index = (documentation / "index.html").read_text(encoding="utf-8")
    for name, table in TABLES.items():
        page = (documentation / "numbers" / f"{name}.html").read_text(encoding="utf-8")
        assert f'href="numbers/{name}.html"' in index
        for field in table.schema:
            assert f"<code>{field.name}</code>" in page
    metrics = (documentation / "metrics.html").read_text(encoding="utf-8")
    for name in METRICS:
        assert f"<code>{name}</code>" in metrics


def test_the_interface_is_documented(documentation: Path) -> None:
    pages = "".join(p.read_text(encoding="utf-8") for p in (documentation / "api").glob("*.html"))
    for name in saereport.__all__:
        home = getattr(saereport, name)
        assert f'id="{home.__module__}.{home.__qualname__}"' in pages
    assert dir(saereport) == sorted(["__version__", *saereport.__all__])


def test_the_documentation_asks_no_other_host_for_anything(documentation: Path) -> None:
    loads = re.compile(
        r"""<(?:script|img|iframe)[^>]+src=["']?(https?:)?//|<link[^>]+href=["']?https?:"""
    )
    for page in documentation.rglob("*.html"):
        found = loads.search(page.read_text(encoding="utf-8"))
        assert found is None or "canonical" in found[0], page


def test_paths_in_the_guide_for_contributors_lead_somewhere() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    package = ROOT / "saereport"
    folders = [ROOT, ROOT / "tests", ROOT / "templates", ROOT / "templates" / "scripts"]
    folders += [package, *package.iterdir(), package / "sources" / "saes"]
    named = set(re.findall(r"`((?:[a-z_]+/)+(?:[a-z_.]+)?)`", text))
    assert len(named) > 40
    assert not [name for name in named if not any((folder / name).exists() for folder in folders)]
