"""Files in a folder of unknown origin: no link at any level, no pipe, nothing outside."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from saereport.util import inside
from saereport.util.errors import SaereportError
from saereport.util.inside import (
    check_paths,
    copy_inside,
    files_below,
    holds,
    open_inside,
    read_inside,
    sha256_inside,
)


@pytest.fixture(params=[True, False], ids=["from folder to folder", "by whole paths"])
def folder(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(inside, "_STEPS", request.param)
    made = tmp_path / "report"
    (made / "a" / "b").mkdir(parents=True)
    (made / "a" / "b" / "file").write_text("own")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("secret")
    (made / "to-file").symlink_to(tmp_path / "outside" / "file")
    (made / "to-folder").symlink_to(tmp_path / "outside")
    (made / "a" / "within").symlink_to(made / "a" / "b")
    (made / "dangling").symlink_to(tmp_path / "nothing")
    os.mkfifo(made / "pipe")
    return made


def test_an_ordinary_file_is_read(folder: Path) -> None:
    assert read_inside(folder, "a/b/file") == b"own"
    assert holds(folder, "a/b/file")
    assert sha256_inside(folder, "a/b/file") == hashlib.sha256(b"own").hexdigest()
    assert list(files_below(folder)) == ["a/b/file"]
    link = folder.parent / "link"
    link.symlink_to(folder)
    assert read_inside(link, "a/b/file") == b"own", "what the user names may be a link"
    with pytest.raises(FileNotFoundError):
        open_inside(folder, "a/b/none")
    with pytest.raises(SaereportError, match="is larger"):
        read_inside(folder, "a/b/file", limit=2)


@pytest.mark.parametrize("path", ["to-file", "to-folder/file", "a/within/file", "dangling"])
def test_no_link_is_followed_at_any_level(folder: Path, path: str) -> None:
    with pytest.raises(SaereportError, match="is a link, which is not followed"):
        open_inside(folder, path)
    assert not holds(folder, path)
    with pytest.raises(SaereportError, match="link"):
        copy_inside(folder, path, folder.parent / "copy", size=6, sha256="")


@pytest.mark.parametrize("path", ["pipe", "a", "a/b/file/x"])
def test_what_is_no_file_is_not_waited_for(folder: Path, path: str) -> None:
    with pytest.raises(SaereportError, match="not a file that can be read"):
        open_inside(folder, path)


OUTSIDE = (
    "../outside/file",
    "a/../../outside/file",
    "/etc/passwd",
    "//etc/passwd",
    "./a",
    "a//b",
    "",
    "a/",
    "C:/x",
    "C:x",
    "a\\..\\x",
    "a/nul",
    "con.txt",
    "x.",
    "x ",
    "...",
    "a\0b",
    "a\nb",
    "file:stream",
)


@pytest.mark.parametrize("path", OUTSIDE)
def test_no_path_leaves_the_folder_on_any_system(folder: Path, path: str) -> None:
    with pytest.raises(SaereportError, match="no path below"):
        open_inside(folder, path)
    with pytest.raises(SaereportError, match="outside of it"):
        check_paths(["a/b", path], "'report.json'")


@pytest.mark.parametrize("pair", [("a/B", "A/b"), ("a", "a"), ("a/b/c", "a/b"), ("X/y", "x")])
def test_no_two_paths_are_one_file_on_any_system(pair: tuple[str, str]) -> None:
    with pytest.raises(SaereportError, match=r"twice|as a file and as a folder"):
        check_paths(pair, "'report.json'")
    assert check_paths(("a/b", "a/c", "ab"), "'report.json'") == ("a/b", "a/c", "ab")


def test_a_copy_is_what_was_listed(folder: Path) -> None:
    copy = folder.parent / "copy"
    right = hashlib.sha256(b"own").hexdigest()
    for size, sha256 in ((2, right), (4, right), (3, "0" * 64)):
        assert not copy_inside(folder, "a/b/file", copy, size=size, sha256=sha256)
        copy.unlink()
    assert copy_inside(folder, "a/b/file", copy, size=3, sha256=right)
    assert copy.read_text() == "own"
