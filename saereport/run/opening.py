"""Open the run that a name means: a folder, a single file, or a folder or file in a git revision.

From git only what a run consists of is read (`run.json` and its Parquet files), object by object:
no archive is unpacked, no link is followed and no attribute of the repository is applied.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from saereport.errors import SaereportError
from saereport.names import SLUG
from saereport.run.bundle import opened_run
from saereport.run.store import RUN_FILE, Run

RUN_PATH = re.compile(
    rf"{re.escape(RUN_FILE)}|tables/[a-z0-9_]+\.parquet|saes/{SLUG}/[a-z0-9_]+\.parquet"
)
"""Paths that a run can hold; nothing else is ever written from a revision."""

LIMIT = 8 * 2**30
"""Bytes that are read from a revision at most."""

_LARGE_FILE_POINTER = b"version https://git-lfs.github.com/spec/"


@contextmanager
def opened(name: str) -> Iterator[Run]:
    """The run that a name means, for as long as the block lasts.

    Args:
        name: A run's folder, a report's folder, a report in a single file (`.html`), or
            `REVISION:PATH` of any of them in the git repository that the working directory is in.
            As in git, the path counts from the repository's top unless it begins with `./`. A
            path that exists is never taken for a revision.

    Raises:
        SaereportError: There is no such thing, it is damaged, or git cannot read it.
    """
    with ExitStack() as stack:
        path = Path(name)
        if not path.exists() and ":" in name:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="saereport-")))
            path = _from_revision(name, folder)
        _require_report(path, name)
        try:
            run = stack.enter_context(opened_run(path))
        except SaereportError as error:
            # What was taken out of git lies in a folder that the user has never seen.
            raise SaereportError(error.message.replace(str(path), name), error.hint) from error
        yield run


def _require_report(path: Path, name: str) -> None:
    if path.is_file() and path.suffix.lower() not in (".html", ".htm"):
        raise SaereportError(
            f"'{name}' is a file, and not a report in a single file (.html).",
            "Give the folder of a run or a report.",
        )
    if not path.exists():
        raise SaereportError(
            f"There is no run or report '{name}'.",
            "Give a folder, a single file, or REVISION:PATH of one in git.",
        )


@dataclass(frozen=True)
class _Blob:
    path: str
    object: str
    size: int


def _from_revision(name: str, folder: Path) -> Path:
    """Write the run or the single file at `REVISION:PATH` into a folder; returns where it is."""
    revision, path = name.split(":", 1)
    if shutil.which("git") is None:
        raise SaereportError(
            f"'{name}' names a git revision, and git is not installed.", "Install git."
        )
    _require_revision(revision, name)
    found = _git("rev-parse", "--verify", "--quiet", f"{revision}:{path}")
    if found.returncode:
        raise SaereportError(
            f"The revision '{revision}' holds no '{path}'.",
            "Paths count from the top of the repository, or from here if they begin with './'.",
        )
    thing = found.stdout.decode().strip()
    if _text("cat-file", "-t", thing) == "blob":
        target = folder / (Path(path).name or "file")
        blob = _Blob(path, thing, int(_text("cat-file", "-s", thing)))
        _write([(blob, target)], name)
        return target
    blobs = _run_files(thing)
    if not blobs:
        raise SaereportError(
            f"'{name}' is not a run or a report: it holds no {RUN_FILE}.",
            "Name the folder that 'saereport collect' or 'saereport build' wrote.",
        )
    target = folder / "run"
    _write([(blob, target / blob.path) for blob in blobs], name)
    return target


def _require_revision(revision: str, name: str) -> None:
    inside = _git("rev-parse", "--git-dir")
    if inside.returncode:
        raise SaereportError(
            f"'{name}' is not there, and names no git revision: {_first_line(inside.stderr)}.",
            "Give a folder, or work inside the repository.",
        )
    # A name that begins with a dash would be read as an option.
    known = (
        not revision.startswith("-")
        and not _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").returncode
    )
    if not known:
        raise SaereportError(
            f"There is no git revision '{revision}' here.",
            "If it is on a server, get it by 'git fetch'; a shallow clone holds only the last "
            "commits.",
        )


def _run_files(tree: str) -> list[_Blob]:
    """The files of the run in a tree, or of the run inside the report that the tree is."""
    top = _blobs(tree)
    if any(blob.path == RUN_FILE for blob in top):
        return top
    inside = _git("rev-parse", "--verify", "--quiet", f"{tree}:run")
    if inside.returncode:
        return []
    blobs = _blobs(inside.stdout.decode().strip())
    return blobs if any(blob.path == RUN_FILE for blob in blobs) else []


def _blobs(tree: str) -> list[_Blob]:
    listing = _checked("ls-tree", "-r", "-z", "--long", "--full-tree", tree)
    blobs = []
    for entry in listing.split(b"\0"):
        if not entry:
            continue
        about, _, raw = entry.partition(b"\t")
        mode, kind, thing, size = about.decode().split()
        path = raw.decode("utf-8", errors="replace")
        if kind == "blob" and mode in ("100644", "100755") and RUN_PATH.fullmatch(path):
            blobs.append(_Blob(path, thing, int(size)))
    return blobs


def _write(targets: list[tuple[_Blob, Path]], name: str) -> None:
    total = sum(blob.size for blob, _ in targets)
    if total > LIMIT:
        raise SaereportError(f"'{name}' is larger than {LIMIT // 2**30} GiB.")
    for blob, target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as stream:
            done = subprocess.run(
                ["git", "cat-file", "blob", blob.object],
                stdout=stream,
                stderr=subprocess.PIPE,
                env=_environment(),
                check=False,
            )
        if done.returncode:
            raise SaereportError(
                f"git cannot read '{blob.path}' of '{name}': {_first_line(done.stderr)}."
            )
        with target.open("rb") as written:
            if written.read(len(_LARGE_FILE_POINTER)) == _LARGE_FILE_POINTER:
                raise SaereportError(
                    f"'{blob.path}' of '{name}' is kept in git LFS.",
                    "Check the revision out ('git worktree add') and name its folder.",
                )


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *arguments], capture_output=True, env=_environment(), check=False)


def _checked(*arguments: str) -> bytes:
    done = _git(*arguments)
    if done.returncode:
        raise SaereportError(f"git {arguments[0]} failed: {_first_line(done.stderr)}.")
    return done.stdout


def _text(*arguments: str) -> str:
    return _checked(*arguments).decode().strip()


def _environment() -> dict[str, str]:
    # Messages in one language, and never a question that waits for an answer.
    return {**os.environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}


def _first_line(message: bytes) -> str:
    lines = message.decode(errors="replace").strip().splitlines()
    return lines[0].removeprefix("fatal: ").rstrip(".") if lines else "it gave no reason"
