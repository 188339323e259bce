"""Run the `run:` steps of a GitHub workflow in a shell, as a runner would, without GitHub.

And what a pull request does there: change one latent of a run.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from saereport.util.files import sha256_of

FOLDER = Path(__file__).parents[2] / "examples/github"
_EXPRESSION = re.compile(r"\$\{\{\s*([a-z_.]+)\s*\}\}", re.IGNORECASE)


def workflow(name: str) -> dict[str, Any]:
    """A workflow as YAML; `on` is a truth value in YAML 1.1, and becomes a word again."""
    value = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    assert isinstance(value, dict)
    value["on"] = value.pop(True, None)
    return value


@dataclass
class Runner:
    """A machine that runs jobs in a folder.

    Attributes:
        home: The checked-out repository.
        outside: Where the runner keeps its own files, and the commands that stand in for others.
        context: What expressions in `env:` mean.
        said: What the steps printed, by name.
    """

    home: Path
    outside: Path
    context: dict[str, str]
    said: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.bin = self.outside / "bin"
        self.bin.mkdir(parents=True)
        self.summary = self.outside / "summary.md"
        self.summary.touch()
        self.command("saereport", f'exec "{sys.executable}" -m saereport "$@"')
        self.command(
            "python",
            'if [ "$1 $2 $3" = "-m pip install" ]; then shift 3; echo "$*" >> "$LOG"; exit 0; fi\n'
            f'exec "{sys.executable}" "$@"',
        )

    def command(self, name: str, script: str) -> None:
        """Put a command before all others on the PATH."""
        path = self.bin / name
        path.write_text(f"#!/usr/bin/env bash\n{script}\n")
        path.chmod(0o755)

    @property
    def log(self) -> list[str]:
        """What the stand-ins were asked for."""
        path = self.outside / "log"
        return path.read_text().splitlines() if path.exists() else []

    def run(self, name: str, job: str) -> int:
        """Run the shell steps of a job until one fails; returns that one's exit code, or 0."""
        flow = workflow(name)
        for step in flow["jobs"][job]["steps"]:
            if "run" not in step:
                continue
            code = self.step(step, {**flow.get("env", {}), **flow["jobs"][job].get("env", {})})
            if code:
                return code
        return 0

    def step(self, step: dict[str, Any], shared: dict[str, Any]) -> int:
        """Run one step; returns its exit code."""
        assert "${{" not in step["run"], "an expression in a script is an injection"
        output = self.outside / "output"
        output.write_text("")
        given = {**shared, **step.get("env", {})}
        environment = {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "HOME": str(self.outside),
            "PYTHONPATH": str(FOLDER.parents[1]),
            "LOG": str(self.outside / "log"),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_REPOSITORY": self.context["github.repository"],
            **{key: self._meant(str(value)) for key, value in given.items()},
        }
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=self.home,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.said[step.get("name", "")] = done.stdout + done.stderr
        for line in output.read_text().splitlines():
            key, _, value = line.partition("=")
            self.context[f"steps.{step['id']}.outputs.{key}"] = value
        return done.returncode

    def _meant(self, text: str) -> str:
        return _EXPRESSION.sub(lambda found: self.context[found[1]], text)


def change_one_latent(run: Path) -> tuple[str, int]:
    """Make one latent three times as dense; returns the SAE and the latent."""
    path = next(run.glob("saes/*/activity.parquet"))
    table = pq.read_table(path)
    place = table.num_rows // 2
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    columns["n_active"][place] = 3 * columns["n_active"][place] + 3
    columns["density"][place] = 3 * columns["density"][place] + 0.001
    pq.write_table(pa.table(columns, schema=table.schema), path)
    info = json.loads((run / "run.json").read_text(encoding="utf-8"))
    for entry in info["files"]:
        if entry["path"] == path.relative_to(run).as_posix():
            entry.update(bytes=path.stat().st_size, sha256=sha256_of(path))
    (run / "run.json").write_text(json.dumps(info), encoding="utf-8")
    return path.parent.name, columns["latent"][place]
