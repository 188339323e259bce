"""Pages made by several processes are those that one makes, whatever becomes of the processes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from saereport.run import open_run
from saereport.site import latent_pages, render, report_of, spreading
from saereport.site.panels.registry import PANELS, Panel, register
from saereport.site.parts.registry import Spread, SpreadCall
from saereport.util.errors import UsageError
from tests.synthetic import Shape, write_run

SHAPE = Shape(n_saes=2, n_chosen=70, n_sequences=60, n_vocabulary=600, hostile=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spread") / "run"
    write_run(folder, SHAPE)
    return folder


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latent_pages, "BAND", 16)


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def rendered(run: Path, out: Path, processes: int) -> dict[str, str]:
    render(run, out, shard_size=8, processes=processes)
    return digests(out)


@pytest.fixture(scope="module")
def alone(run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return rendered(run, tmp_path_factory.mktemp("alone") / "out", 1)


@pytest.fixture
def made_here(monkeypatch: pytest.MonkeyPatch) -> list[list[Any]]:
    """The arguments of the batches that this process makes."""
    seen: list[list[Any]] = []
    made = spreading.made_here

    def noted(make: str, arguments: Any, *rest: Any) -> Any:
        seen.append(list(arguments))
        return made(make, arguments, *rest)

    monkeypatch.setattr(spreading, "made_here", noted)
    return seen


def test_several_processes_make_the_bytes_of_one(
    run: Path, alone: dict[str, str], tmp_path: Path, made_here: list[list[Any]]
) -> None:
    assert rendered(run, tmp_path / "out", 2) == alone
    assert made_here == []


@pytest.mark.parametrize("after", [0, 1, 4])
def test_what_a_process_that_ends_leaves_is_made_here(
    run: Path,
    alone: dict[str, str],
    tmp_path: Path,
    made_here: list[list[Any]],
    monkeypatch: pytest.MonkeyPatch,
    after: int,
) -> None:
    asked = spreading._Worker.ask
    answered: list[Any] = []

    def ask(worker: Any, question: Any) -> Any:
        if len(answered) >= after and worker._process is not None:
            worker._process.kill()
            worker._process.wait()
        answer = asked(worker, question)
        answered.extend([answer] if answer is not None else [])
        return answer

    monkeypatch.setattr(spreading._Worker, "ask", ask)
    assert rendered(run, tmp_path / "out", 2) == alone
    assert made_here


def test_without_an_interpreter_everything_is_made_here(
    run: Path,
    alone: dict[str, str],
    tmp_path: Path,
    made_here: list[list[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "nothing"))
    assert rendered(run, tmp_path / "out", 2) == alone
    assert len(made_here) == 2 * 5


def test_a_panel_that_only_this_process_has_is_shown(
    run: Path, tmp_path: Path, made_here: list[list[Any]]
) -> None:
    def build(latent: Any) -> list[Any]:
        return [{"b": "note", "text": f"seen {latent.index}"}]

    register(Panel("by_hand", "By hand", (), build))
    try:
        render(run, tmp_path / "out", shard_size=8, processes=2)
    finally:
        del PANELS["by_hand"]
    assert len(made_here) == 2 * 5
    text = "".join(path.read_text("utf-8") for path in (tmp_path / "out").rglob("d0*.js"))
    assert text.count("seen ") == 2 * SHAPE.n_chosen


def _failing(report: Any, number: int) -> Iterator[Any]:
    raise ValueError(f"number {number}")
    yield


def test_an_error_is_told_where_it_can_be(run: Path, tmp_path: Path) -> None:
    report = report_of(open_run(run))
    spread = Spread(
        f"{__name__}:_failing", (SpreadCall((1,), (), 0), SpreadCall((2,), (), 0)), print
    )
    with (
        spreading.Workers(report, tmp_path, 2) as workers,
        pytest.raises(ValueError, match="number 1"),
    ):
        spreading.carry_out(spread, report, None, workers, print)  # type: ignore[arg-type]


def test_how_many_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreading, "_cores", lambda: 4)
    found = [spreading.how_many(None, n) for n in (0, 1000, 2048, 10**6)]
    assert found == [1, 1, 2, 4]
    assert spreading.how_many(3, 0) == 3
    for n in (0, 65):
        with pytest.raises(UsageError, match="Give 1 to 64"):
            spreading.how_many(n, 10**6)
