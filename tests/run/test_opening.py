"""A name to a run: folders, reports, single files, git revisions; errors in one line."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from saereport.cli import main as cli
from saereport.run import open_run, opened
from saereport.run.bundle import bundle
from saereport.util.errors import SaereportError
from tests.synthetic import Shape, write_run

SMALL = Shape(n_chosen=4, d_sae=8, n_sequences=6, context=16, n_vocabulary=400)


def git(folder: Path, *arguments: str) -> None:
    names = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(
        ["git", *names, *arguments], cwd=folder, check=True, capture_output=True, env=environment
    )


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Commit 1 holds seed 0, the working tree seed 1; a report, a bare run, other files."""
    folder = tmp_path_factory.mktemp("repository")
    git(folder, "init", "-q", "-b", "main")
    write_run(folder / "site" / "run", SMALL)
    write_run(folder / "docs" / "bare", SMALL)
    (folder / "site" / "index.html").write_text("not read", encoding="utf-8")
    (folder / "site" / "run" / "tables" / "link.parquet").symlink_to("/etc/passwd")
    (folder / "one.html").write_text(single(open_run(folder / "docs" / "bare")), encoding="utf-8")
    (folder / "note.txt").write_text("text", encoding="utf-8")
    (folder / "no-run.html").write_text("<!DOCTYPE html><p>A page.", encoding="utf-8")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    git(folder, "tag", "first")
    shutil.rmtree(folder / "site")
    write_run(folder / "site" / "run", Shape(**{**SMALL.__dict__, "seed": 1}))
    return folder


def single(run: object) -> str:
    return f"<!DOCTYPE html>\n{bundle(run)}\n</script>"  # type: ignore[arg-type]


@pytest.fixture
def inside(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(repository)
    return repository


@pytest.mark.parametrize("name", ["HEAD:site", "first:site/run", "main:docs/bare", "HEAD:one.html"])
def test_a_revision_holds_what_was_committed(inside: Path, name: str) -> None:
    with opened(name) as run:
        run.verify()
        assert run.info.text.source["seed"] == 0
        assert sorted(p.name for p in run.path.rglob("*link*")) == []
        folder = run.path
    assert not folder.exists()


def test_commands_read_what_was_committed(
    inside: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("HEAD:one.html", "first:site"):
        assert cli.run(["info", name, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["text"]["source"]["seed"] == 0
    with opened("first:site") as run:
        latent = int(run.table("activity", run.info.saes[0].slug).column("latent")[1].as_py())
    asked = ["--latents", str(latent), "--out", str(tmp_path / "part")]
    assert cli.run(["extract", "first:site", *asked]) == 0
    part = open_run(tmp_path / "part")
    assert part.info.text.source["seed"] == 0
    assert [sae.n_chosen for sae in part.info.saes] == [1]


def test_paths_count_from_the_top_or_from_here(
    inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(inside / "docs")
    for name in ("HEAD:docs/bare", "HEAD:./bare"):
        with opened(name) as run:
            assert run.info.title == "Synthetic report"


@pytest.mark.parametrize("name", ["site", "site/run", "./site"])
def test_a_folder_is_the_working_tree(inside: Path, name: str) -> None:
    with opened(name) as run:
        assert run.info.text.source["seed"] == 1


def test_a_single_file(inside: Path) -> None:
    with opened("one.html") as run:
        run.verify()


def test_what_exists_is_never_a_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "HEAD:site", SMALL)
    monkeypatch.chdir(tmp_path)
    with opened("HEAD:site") as run:
        assert run.info.text.source["seed"] == 0


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere", "no run or report 'nowhere'"),
        ("note.txt", "is a file"),
        ("docs", "holds no run.json"),
        ("HEAD:nowhere", "holds no 'nowhere'"),
        ("HEAD:note.txt", "is a file"),
        ("HEAD:no-run.html", "'HEAD:no-run.html'"),
        ("HEAD:docs", "holds no run.json"),
        ("unheard-of:site", "no git revision 'unheard-of'"),
        ("--upload-pack=touch x:site", "no git revision"),
        (":site", "no git revision ''"),
        ("HEAD:../../etc", "holds no"),
        ("HEAD:/etc/passwd", "holds no"),
    ],
)
def test_errors_say_what_is_wrong(inside: Path, name: str, says: str) -> None:
    with pytest.raises(SaereportError, match=says) as caught, opened(name):
        pass
    assert "\n" not in str(caught.value)
    assert not (inside / "x").exists()


def test_outside_any_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(SaereportError, match="not a git repository"), opened("HEAD:site"):
        pass


def test_without_git(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SaereportError, match="git is not installed"), opened("HEAD:site"):
        pass


def test_large_files_kept_elsewhere(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"
    path = repository / "docs" / "bare" / "tables" / "sequences.parquet"
    kept = path.read_bytes()
    path.write_text(pointer, encoding="utf-8")
    git(repository, "add", "docs")
    git(repository, "commit", "-q", "-m", "pointer")
    path.write_bytes(kept)
    git(repository, "add", "docs")
    git(repository, "commit", "-q", "-m", "back")
    monkeypatch.chdir(repository)
    with pytest.raises(SaereportError, match="git LFS"), opened("HEAD~1:docs/bare"):
        pass


def test_a_damaged_run_is_found(tmp_path: Path) -> None:
    write_run(tmp_path / "run", SMALL)
    path = next((tmp_path / "run" / "saes").rglob("activity.parquet"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with (
        opened(str(tmp_path / "run")) as run,
        pytest.raises(SaereportError, match="SHA-256"),
    ):
        run.verify()


@pytest.mark.parametrize(("change", "says"), [("missing", "missing"), ("link", "SHA-256")])
def test_a_revision_that_lacks_a_file(
    repository: Path, monkeypatch: pytest.MonkeyPatch, change: str, says: str
) -> None:
    git(repository, "checkout", "-q", "-b", change, "main")
    path = repository / "docs" / "bare" / "tables" / "sequences.parquet"
    path.unlink()
    if change == "link":
        path.symlink_to("vocabulary.parquet")
    git(repository, "add", "docs")
    git(repository, "commit", "-q", "-m", change)
    git(repository, "checkout", "-q", "-f", "main")
    monkeypatch.chdir(repository)
    with opened(f"{change}:docs/bare") as run, pytest.raises(SaereportError, match=says):
        run.verify()


def test_a_folder_is_named_in_a_message_and_nothing_else_is_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    for name in ("run/", ""):
        with (
            pytest.raises(SaereportError, match=r"is not a run or a report: it holds no run\.json"),
            opened(name),
        ):
            pass
