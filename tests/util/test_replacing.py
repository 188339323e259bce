"""Two writers of one output, kills at every step, and outputs that cannot be replaced."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from saereport.util import locks, replacing
from saereport.util.errors import SaereportError, UsageError
from saereport.util.files import (
    folder_in_place_of,
    require_apart,
    reserved,
    strangers,
    target_folder,
    write_atomically,
)
from saereport.util.locks import all_locked, beside, locked
from tests.run.outputs import as_nobody, child, content, ended, killed_at, without_fork

FILES = 6


def fill(target: Path, word: str) -> None:
    """Write an output of several files that all say the same word."""
    with folder_in_place_of(target) as folder:
        (folder / "deep").mkdir()
        for n in range(FILES):
            (folder / ("deep" if n % 2 else ".") / f"{n}.txt").write_text(word)


def words(target: Path) -> set[str]:
    found = content(target)
    assert len(found) == FILES
    return set(found.values())


@pytest.fixture(params=["exchange", "two renames"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Systems that can exchange two names, and systems that cannot."""
    if request.param == "two renames":
        monkeypatch.setattr(replacing, "_exchanger", lambda: None)
    return str(request.param)


@without_fork
@pytest.mark.parametrize("before", [False, True])
def test_of_two_writers_one_is_refused_and_nothing_is_mixed(
    tmp_path: Path, way: str, before: bool
) -> None:
    target = tmp_path / "out"
    if before:
        fill(target, "old")
    fork = multiprocessing.get_context("fork")
    for _ in range(8):
        start = fork.Barrier(2)
        results = fork.SimpleQueue()

        def work(word: str, start: object = start, results: object = results) -> None:
            start.wait()  # type: ignore[attr-defined]
            try:
                fill(target, word)
                results.put((word, ""))  # type: ignore[attr-defined]
            except SaereportError as error:
                results.put((word, str(error)))  # type: ignore[attr-defined]

        both = [child(lambda word=word: work(word)) for word in ("one", "two")]  # type: ignore[misc]
        assert [ended(pid) for pid in both] == [0, 0]
        said = dict(results.get() for _ in both)
        written = {word for word, trouble in said.items() if not trouble}
        assert written
        assert len(words(target)) == 1
        assert words(target) <= written
        assert all("is being written by" in text for text in said.values() if text)
        assert [path.name for path in tmp_path.iterdir()] == ["out"]


@without_fork
def test_who_holds_an_output_is_named(tmp_path: Path) -> None:
    ready, done = multiprocessing.Event(), multiprocessing.Event()

    def hold() -> None:
        sys.argv = ["/usr/bin/saereport", "render", "run", "\x1b[31m"]
        with locked(tmp_path / "new" / "out"):
            ready.set()
            done.wait()

    pid = child(hold)
    ready.wait()
    for inside in ("out", "out/run"):
        with pytest.raises(SaereportError) as caught, locked(tmp_path / "new" / inside):
            pass
        assert f"is being written by process {pid} (saereport render run" in str(caught.value)
        assert " since 2" in str(caught.value)
        assert "\x1b" not in str(caught.value)
    done.set()
    assert ended(pid) == 0
    assert not (tmp_path / "new").exists()


def test_another_thread_is_another_writer(tmp_path: Path) -> None:
    said = []

    def other() -> None:
        try:
            write_atomically(tmp_path / "out" / "x", b"")
        except SaereportError as error:
            said.append(str(error))

    (tmp_path / "out").mkdir()
    with locked(tmp_path / "out"), all_locked([tmp_path / "a", tmp_path / "out" / "y"]):
        write_atomically(tmp_path / "out" / "x", b"mine")
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(said) == 1
    assert f"process {os.getpid()}" in said[0]
    assert (tmp_path / "out" / "x").read_bytes() == b"mine"


@without_fork
def test_a_kill_at_any_step_leaves_the_old_or_the_new(tmp_path: Path, way: str) -> None:
    target = tmp_path / "out"
    mine = tmp_path / "mine"
    for name in (".out.old", ".out.writing"):
        mine.mkdir()
        (mine / "thesis.txt").write_text("keep")
        mine.rename(tmp_path / name)
    fill(target, "0")
    step, killed = 0, True
    while killed:
        word = words(target)
        killed = killed_at(step, lambda step=step: fill(target, str(step + 1)))  # type: ignore[misc]
        if way == "exchange":
            assert words(target) <= word | {str(step + 1)}
        # The next one to look finds it whole, and what was in the making is gone.
        with reserved(target):
            assert words(target) <= word | {str(step + 1)}
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            ".out.old",
            ".out.writing",
            "out",
        ]
        step += 1
    assert step > 20
    assert words(target) == {str(step)}
    assert {*content(tmp_path / ".out.old").values()} == {"keep"}


@without_fork
def test_a_kill_while_a_file_is_written(tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    write_atomically(target, b"0")
    step, killed = 0, True
    while killed:
        killed = killed_at(step, lambda: write_atomically(target, b"1" * 99))
        assert target.read_bytes() in (b"0", b"1" * 99)
        with reserved(target):
            pass
        assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
        step += 1
    assert step > 3


def test_what_came_in_the_meantime_is_not_lost(tmp_path: Path) -> None:
    target = tmp_path / "out"
    fill(target, "old")

    def check(path: Path) -> None:
        if path.exists() and strangers(path, content(path).keys() - {"notes.txt"}):
            raise SaereportError("there are notes")

    with pytest.raises(SaereportError, match="notes"), folder_in_place_of(target, check):
        (target / "notes.txt").write_text("keep")
    assert (target / "notes.txt").read_text() == "keep"
    (target / "link").symlink_to(tmp_path)
    assert strangers(target, content(target)) == ["link"]


@without_fork
def test_where_the_file_system_knows_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "_system_lock", lambda descriptor: None)
    target = tmp_path / "out"
    owner = beside(target, "owner")
    gone = child(lambda: None)
    ended(gone)
    record = {**locks._record(), "pid": gone}
    owner.write_text(json.dumps(record))
    fill(target, "after a process that is gone")
    # The number of a process may be given to another one later.
    owner.write_text(json.dumps({**locks._record(), "began": "1"}))
    fill(target, "after one of the same number")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    for other in (locks._record(), {**record, "host": "elsewhere"}, {}):
        owner.write_text(json.dumps(other))
        with pytest.raises(SaereportError, match=f"remove '{owner}'"):
            fill(target, "no")
    assert words(target) == {"after one of the same number"}


def test_what_is_in_the_way_of_a_lock(tmp_path: Path) -> None:
    beside(tmp_path / "out", "lock").symlink_to(tmp_path / "secret")
    with pytest.raises(SaereportError, match="is in the way"):
        fill(tmp_path / "out", "x")
    assert not (tmp_path / "secret").exists()
    long = tmp_path / ("n" * 250)
    fill(long, "x")
    assert words(long) == {"x"}


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that others can reach, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    replacing._open_up(folder)
    shutil.rmtree(folder)


def test_folders_that_are_not_to_be_written_are_replaced_all_the_same(
    open_folder: Path, way: str
) -> None:
    target = open_folder / "out"
    fill(target, "old")
    with as_nobody(open_folder):
        (target / "deep").chmod(0o555)
        target.chmod(0o555)
        for word in ("new", "newer"):
            fill(target, word)
            assert words(target) == {word}
        assert [path.name for path in open_folder.iterdir()] == ["out"]


def test_an_output_that_cannot_be_replaced_is_told_first(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(target: Path, said: str) -> None:
        with pytest.raises(SaereportError, match=said), reserved(target):
            pytest.fail("something was begun")

    (open_folder / "shut").mkdir()
    (open_folder / "file").write_text("")
    fill(open_folder / "theirs" / "out", "x")
    with as_nobody(open_folder / "file"):
        refused(open_folder / "shut" / "out", "can be written into .*shut.: Permission denied")
        refused(open_folder / "new" / "out", "Permission denied")
    if not os.geteuid():
        with as_nobody(open_folder / "file"):
            os.seteuid(0)
            os.chown(open_folder / "theirs", 65534, 65534)
            os.seteuid(65534)
            refused(open_folder / "theirs" / "out", "belongs to someone else")
    refused(open_folder / "file" / "out", "file' is a file")
    (open_folder / "loop").symlink_to(open_folder / "loop")
    for path in ("loop", "loop/out"):
        with pytest.raises(SaereportError, match="leads back to itself"):
            target_folder(open_folder / path)
    with pytest.raises(SaereportError, match="too long"):
        target_folder(open_folder / ("n" * 300))
    with pytest.raises(SaereportError, match="the folder you are in"):
        target_folder(".")
    with pytest.raises(UsageError, match="which is read"):
        require_apart(open_folder / "theirs" / "new", [open_folder / "theirs"])
    with monkeypatch.context() as patch:
        patch.setattr("os.path.ismount", lambda path: True)
        refused(open_folder / "theirs" / "out", "root of a file system")
    with monkeypatch.context() as patch:
        patch.setattr(replacing.shutil, "disk_usage", lambda path: SimpleNamespace(free=2**20))
        refused(open_folder / "out", "has 1 MiB left, and 'out' needs 16 MiB")


def test_a_link_to_a_folder_means_the_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    fill(target_folder(tmp_path / "link"), "x")
    assert (tmp_path / "link").is_symlink()
    assert words(tmp_path / "real") == {"x"}


def test_the_disk_that_is_full_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system names the file that was copied from, or none; neither is where room is wanted."""
    (tmp_path / "source").mkdir()
    for error in (
        OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "source/a")),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Quota exceeded"),
    ):
        with pytest.raises(SaereportError) as caught, folder_in_place_of(tmp_path / "out"):
            raise error
        assert f"disk that holds '{tmp_path}'" in str(caught.value)
        assert f"'{tmp_path / 'out'}' could not be written" in str(caught.value)
    free = {Path(tempfile.gettempdir()): 0}
    monkeypatch.setattr(
        replacing.shutil, "disk_usage", lambda path: SimpleNamespace(free=free.get(path, 2**40))
    )
    with pytest.raises(SaereportError, match="set TMPDIR"), folder_in_place_of(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    """A process that is killed leaves a file, and nobody has to remove it."""
    code = (
        "import os, pathlib, signal\n"
        "from saereport.util.locks import locked\n"
        f"with locked(pathlib.Path({str(tmp_path / 'out')!r})):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    assert [path.name for path in tmp_path.iterdir()] == [".out.saereport-lock"]
    fill(tmp_path / "out", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
