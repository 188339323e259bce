"""Open the run that a name means: a folder, a single file, or a folder or file in a git revision.

From git only what a run consists of is read (`run.json` and the files that it lists), object by
object: no archive is unpacked, no link is followed and no attribute of the repository is applied.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from saereport.run.bundle import opened_run
from saereport.run.store import RUN_FILE, RUN_FILE_LIMIT, Run, open_run
from saereport.util.errors import SaereportError

LIMIT: Final = 8 * 2**30
"""Bytes that are read from a revision at most."""

_PIECE: Final = 2**20
_LARGE_FILE_POINTER: Final = b"version https://git-lfs.github.com/spec/"


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
            if path == Path(name):
                raise
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


def _from_revision(name: str, folder: Path) -> Path:
    """Write the run or the single file at `REVISION:PATH` into a folder; returns where it is."""
    revision, path = name.split(":", 1)
    if shutil.which("git") is None:
        raise SaereportError(
            f"'{name}' names a git revision, and git is not installed.", "Install git."
        )
    _require_revision(revision, name)
    if "\n" in path:
        raise SaereportError(f"The revision '{revision}' holds no such path.")
    with _Objects(name) as objects:
        kind, size = objects.look(f"{revision}:{path}")
        if kind == "blob":
            target = folder / (Path(path).name or "file")
            objects.copy(target, size, path)
            return target
        if not kind:
            raise SaereportError(
                f"The revision '{revision}' holds no '{path}'.",
                "Paths count from the top of the repository, or from here if they begin with './'.",
            )
        objects.skip(size)
        inside = path.rstrip("/")
        for place in (inside, f"{inside}/run" if inside else "run"):
            start = f"{revision}:{place}/" if place else f"{revision}:"
            kind, size = objects.look(start + RUN_FILE)
            if kind == "blob":
                return _run_from(objects, start, size, folder / "run")
            objects.skip(size)
    raise SaereportError(
        f"'{name}' is not a run or a report: it holds no {RUN_FILE}.",
        "Name the folder that 'saereport collect' or 'saereport build' wrote.",
    )


def _run_from(objects: _Objects, start: str, size: int, target: Path) -> Path:
    """Write a run; `run.json` comes next and says what else there is."""
    if size > RUN_FILE_LIMIT:
        raise SaereportError(f"'{start}{RUN_FILE}' is larger than {RUN_FILE_LIMIT // 2**20} MiB.")
    objects.copy(target / RUN_FILE, size, RUN_FILE)
    # Read with every check of its own, among them that it lists only what a run can hold.
    files = open_run(target).info.files
    if sum(file.bytes for file in files) > LIMIT:
        raise SaereportError(f"'{start}' is larger than {LIMIT // 2**30} GiB.")
    for file in files:
        kind, size = objects.look(start + file.path)
        if kind == "blob":
            objects.copy(target / file.path, size, file.path)
        else:  # a file that is missing is told as in any other run
            objects.skip(size)
    return target


class _Objects:
    """Objects of the git repository that the working directory is in, from one process."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._read = 0
        self._process = subprocess.Popen(
            ["git", "cat-file", "--batch"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def look(self, wanted: str) -> tuple[str, int]:
        """The kind and size of an object whose content comes next; an empty kind for none."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(os.fsencode(wanted) + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._unreadable(wanted) from error
        # `<object> <kind> <size>`, or the name as it was asked for with `missing` or `ambiguous`.
        *_, kind, size = (b"", *self._process.stdout.readline().split(b" "))
        if kind in (b"blob", b"tree", b"commit", b"tag") and size.strip().isdigit():
            return kind.decode(), int(size)
        return "", -1

    def skip(self, size: int) -> None:
        """Pass over the content of what was looked at; nothing where there is none (-1)."""
        for _ in self._pieces(size):
            pass

    def copy(self, target: Path, size: int, path: str) -> None:
        """Write the content of what was looked at.

        Raises:
            SaereportError: It is too large, is kept in git LFS, or git cannot read it.
        """
        if size > LIMIT:
            raise SaereportError(f"'{self._name}' is larger than {LIMIT // 2**30} GiB.")
        target.parent.mkdir(parents=True, exist_ok=True)
        start = b""
        with target.open("wb") as stream:
            for piece in self._pieces(size):
                start = start or piece[: len(_LARGE_FILE_POINTER)]
                stream.write(piece)
        if start == _LARGE_FILE_POINTER:
            raise SaereportError(
                f"'{path}' of '{self._name}' is kept in git LFS.",
                "Check the revision out ('git worktree add') and name its folder.",
            )

    def _pieces(self, size: int) -> Iterator[bytes]:
        assert self._process.stdout is not None
        while size >= 0:
            # One byte more: an end of line follows the content.
            piece = self._process.stdout.read(min(size + 1, _PIECE))
            if not piece:
                raise self._unreadable("it")
            size -= len(piece)
            yield piece if size >= 0 else piece[:-1]

    def _unreadable(self, what: str) -> SaereportError:
        return SaereportError(f"git cannot read {what} of '{self._name}'.", "Try 'git fsck'.")


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


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *arguments], capture_output=True, env=_environment(), check=False)


def _environment() -> dict[str, str]:
    # Messages in one language, and never a question that waits for an answer.
    return {**os.environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}


def _first_line(message: bytes) -> str:
    lines = message.decode(errors="replace").strip().splitlines()
    return lines[0].removeprefix("fatal: ").rstrip(".") if lines else "it gave no reason"
