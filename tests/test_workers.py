"""How the tests are divided among workers, and what is made once for all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.shared import shared
from tests.workers import workers

GIB = 2**30


@pytest.mark.parametrize(
    ("cores", "memory", "expected"),
    [(1, 64 * GIB, 0), (2, 24 * GIB, 2), (2, 7 * GIB, 0), (64, 12 * GIB, 3), (64, 512 * GIB, 4)],
)
def test_workers_fit_cores_and_memory(cores: int, memory: int, expected: int) -> None:
    assert workers(cores, memory) == expected


class Factory(pytest.TempPathFactory):
    """The temporary folder of a session or of one of its workers."""

    def __init__(self, base: Path) -> None:
        self._base = base

    def getbasetemp(self) -> Path:
        self._base.mkdir(parents=True, exist_ok=True)
        return self._base


def test_what_is_shared_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "it").write_text("made", encoding="utf-8")

    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    first = shared(Factory(tmp_path / "popen-gw0"), "it", make)
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw1")
    assert shared(Factory(tmp_path / "popen-gw1"), "it", make) == first
    assert (first / "it").read_text(encoding="utf-8") == "made"
    assert made == [first]
    monkeypatch.delenv("PYTEST_XDIST_WORKER")
    assert shared(Factory(tmp_path / "alone"), "it", make) != first


def test_what_could_not_be_made_is_tried_again(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="full"):
        shared(Factory(tmp_path), "it", fail)
    assert list(shared(Factory(tmp_path), "it", lambda folder: None).iterdir()) == []


def fail(folder: Path) -> None:
    (folder / "half").touch()
    raise OSError("full")
