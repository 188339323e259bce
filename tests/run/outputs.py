"""Processes that write one output, for tests of locks and of replacing."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

STEPS = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree", "open")
"""What Python tells an audit hook of, before it is done."""


def child(work: Callable[[], None]) -> int:
    """Do something in another process; its number."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    except BaseException as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        os._exit(1)
    os._exit(0)


def ended(pid: int) -> int:
    """Wait for a process: its exit code, or less than 0 if it was killed."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def killed_at(step: int, work: Callable[[], None]) -> bool:
    """Do something in another process that is killed before its n-th step; whether it got there."""

    def run() -> None:
        count = [0]

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            if event in STEPS:
                if count[0] == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                count[0] += 1

        sys.addaudithook(hook)
        work()

    return ended(child(run)) == -signal.SIGKILL


@contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Lose root's rights for a while; everything in the folder belongs to nobody then."""
    if os.geteuid():
        yield
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 65534, 65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def content(folder: Path) -> dict[str, str]:
    """Files below a folder with what is in them."""
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


without_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
