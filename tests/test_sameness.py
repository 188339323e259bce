"""Equal inputs give equal bytes wherever and however they are used; a failure changes nothing."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from saereport.cli import main as cli
from saereport.run import open_run
from saereport.util.errors import SaereportError
from tests.run.fuzzing import SHAPE, good
from tests.synthetic import write_run

SLUG = "synthetic-l3-residual"
OUTPUTS: dict[str, tuple[str, ...]] = {
    "report": ("render", "{run}", "--out", "{out}"),
    "single.html": ("render", "{run}", "--single-file", "--out", "{out}"),
    "cut": ("extract", "{run}", "--latents", f"{SLUG}:all", "--out", "{out}"),
    "cut.html": ("extract", "{run}", "--latents", f"{SLUG}:all", "--out", "{out}"),
    "batches": ("export", "{run}", "--format", "saedashboard", "--out", "{out}"),
    "lines": ("export", "{run}", "--format", "neuronpedia", "--out", "{out}"),
    "taken": ("import", "{files}", "--out", "{out}"),
    "taken-run": ("import", "{files}", "--run-only", "--out", "{out}"),
    "diff.html": ("diff", "{before}", "{run}", "--html", "{out}"),
    "diff.json": ("diff", "{before}", "{run}", "--json", "{out}"),
    "diff.md": ("diff", "{before}", "{run}", "--markdown", "{out}"),
    "gates.xml": (
        *("diff", "{before}", "{run}", "--junit", "{out}"),
        *("--fail-on", "latents.removed > 9999"),
    ),
    "index": ("index", "{reports}", "--copy", "--out", "{out}"),
}
"""Every output that has a command, and the command."""
WORLDS = (
    {"PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo", "LANG": "C", "LC_ALL": "C"},
    {
        "PYTHONHASHSEED": "31337",
        "TZ": "America/Los_Angeles",
        "LANG": "tr_TR.UTF-8",
        "COLUMNS": "40",
    },
)


def hashes(place: Path) -> dict[str, str]:
    """SHA-256 of a file, or of every file below a folder."""
    files = [place] if place.is_file() else [p for p in sorted(place.rglob("*")) if p.is_file()]
    return {
        p.relative_to(place).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files
    }


def inputs(folder: Path) -> Path:
    """What the commands read."""
    good(folder / "run", graph=False)
    write_run(folder / "before", SHAPE)
    assert call(folder, "export", "{run}", "--format", "saedashboard", "--out", "files-all") == 0
    shutil.copytree(folder / "files-all" / SLUG, folder / "files")
    assert call(folder, "render", "{run}", "--out", "reports/one") == 0
    assert call(folder, "render", "{before}", "--out", "reports/two") == 0
    return folder


def words(command: tuple[str, ...], out: str) -> list[str]:
    places = {name: name for name in ("run", "before", "files", "reports")}
    return [word.format(**places, out=out) for word in command]


def call(folder: Path, *command: str) -> int:
    """Run a command in this process, in a folder; its exit code."""
    here = Path.cwd()
    os.chdir(folder)
    try:
        return cli.run(["--quiet", *words(command, "")])
    finally:
        os.chdir(here)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return inputs(tmp_path_factory.mktemp("same"))


PROGRAM = """
import json, sys
from saereport.cli import main as cli
for words in json.loads(sys.argv[1]):
    code = cli.run(["--quiet", *words])
    assert code == 0, (words, code)
"""


@pytest.mark.slow
def test_everything_is_the_same_in_another_world(made: Path, tmp_path: Path) -> None:
    """Other folders, other hash seeds, other time zones and languages: the same bytes."""
    found = []
    for number, world in enumerate(WORLDS):
        folder = tmp_path / ("a" if number == 0 else "a longer name ü") / "here"
        shutil.copytree(made, folder)
        asked = [words(command, f"out/{name}") for name, command in OUTPUTS.items()]
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, json.dumps(asked)],
            cwd=folder,
            env={**os.environ, **world},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        found.append({name: hashes(folder / "out" / name) for name in OUTPUTS})
        for path in [p for p in (folder / "out").rglob("*") if p.is_file()]:
            assert str(folder).encode() not in path.read_bytes(), f"{path} names its folder"
    for name in OUTPUTS:
        assert found[0][name], name
        assert found[0][name] == found[1][name], f"{name} is not the same"


def late_damage(folder: Path) -> None:
    """Damage what is read late: the tables of the last SAE, and the last of the imported files."""
    path = folder / "run" / "saes" / "synthetic-l9-transcoder" / "logit_lens.parquet"
    path.write_bytes(path.read_bytes()[:-40] + b"x" * 40)
    (folder / "files" / "batch-1.json").write_text('{"features": 3}', encoding="utf-8")
    for report in sorted((folder / "reports").iterdir())[1:]:
        (report / "report.json").write_text("{", encoding="utf-8")
        (report / "run" / "run.json").write_text("{", encoding="utf-8")


@pytest.mark.parametrize("name", [n for n in OUTPUTS if not n.startswith("cut")])
def test_what_fails_late_leaves_the_old_output(
    made: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "here"
    shutil.copytree(made, folder)
    command = words(OUTPUTS[name], f"out/{name}")
    assert call(folder, *command) == 0
    before = hashes(folder / "out")
    assert before
    late_damage(folder)
    capsys.readouterr()
    assert call(folder, *command) == 1
    said = capsys.readouterr().err.strip()
    assert said.startswith("saereport: ")
    assert "\n" not in said
    assert "Traceback" not in said
    assert hashes(folder / "out") == before


def test_a_cut_that_fails_late_leaves_the_old_one(made: Path, tmp_path: Path) -> None:
    """The cut reads only what it keeps, so the damage must be there."""
    folder = tmp_path / "here"
    shutil.copytree(made, folder)
    for name in ("cut", "cut.html"):
        command = words(OUTPUTS[name], f"out/{name}")
        assert call(folder, *command) == 0
    before = hashes(folder / "out")
    path = folder / "run" / "saes" / SLUG / "token_statistics.parquet"
    path.write_bytes(path.read_bytes()[:-40] + b"x" * 40)
    for name in ("cut", "cut.html"):
        assert call(folder, *words(OUTPUTS[name], f"out/{name}")) == 1
    assert hashes(folder / "out") == before


def no_room(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("report", "saereport.site.write_manifest"),
        ("single.html", "saereport.util.files.os.fsync"),
        ("cut", "saereport.util.files.os.fsync"),
        ("cut.html", "saereport.util.files.os.fsync"),
        ("taken-run", "saereport.util.files.os.fsync"),
        ("diff.html", "saereport.util.files.os.fsync"),
        ("diff.json", "saereport.util.files.os.fsync"),
        ("diff.md", "saereport.util.files.os.fsync"),
        ("gates.xml", "saereport.util.files.os.fsync"),
        ("batches", "saereport.exchange.exporting.canonical_json"),
        ("index", "saereport.util.files.swap"),
    ],
)
def test_a_full_disk_leaves_the_old_output(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, where: str
) -> None:
    folder = tmp_path / "here"
    shutil.copytree(made, folder)
    command = words(OUTPUTS[name], f"out/{name}")
    assert call(folder, *command) == 0
    before = hashes(folder / "out")
    with monkeypatch.context() as patched:
        patched.setattr(where, no_room)
        # A single file whose bytes would be the same is not written again, and needs no room.
        assert call(folder, *command) == (0 if name == "single.html" else 1)
    assert hashes(folder / "out") == before
    assert call(folder, *command) == 0
    assert hashes(folder / "out") == before


@pytest.mark.slow
def test_the_input_is_never_written_to(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    shutil.copytree(made, folder)
    before = hashes(folder)
    for name, command in OUTPUTS.items():
        assert call(folder, *words(command, f"out/{name}")) == 0
    shutil.rmtree(folder / "out")
    assert hashes(folder) == before
    with pytest.raises(SaereportError):
        open_run(folder / "out")
