"""Rendering anew writes only what is not as it was."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from saereport.report.rendering import render
from saereport.run import open_run
from saereport.run.writing import retitle
from saereport.site import folder as folders
from tests.synthetic import Shape, write_run

LONG_AGO = 1_000_000_000


def aged(path: Path) -> dict[str, bytes]:
    """Every file of a report, all of which are old from now on."""
    found = {}
    for file in sorted(path.rglob("*")):
        if file.is_file():
            os.utime(file, (LONG_AGO, LONG_AGO))
            found[file.relative_to(path).as_posix()] = file.read_bytes()
    return found


def rewritten(path: Path) -> set[str]:
    return {
        file.relative_to(path).as_posix()
        for file in path.rglob("*")
        if file.is_file() and file.stat().st_mtime != LONG_AGO
    }


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_run(tmp_path / "run", Shape(d_sae=64, n_chosen=20, n_sequences=60, n_vocabulary=700))
    return tmp_path / "run"


@pytest.mark.parametrize("links", [True, False])
def test_pages_that_are_as_they_were_keep_their_times(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:

        def refuse(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr("saereport.util.files.os.link", refuse)
    out = tmp_path / "report"
    render(run, out)
    before = aged(out)
    render(run, out)
    assert rewritten(out) == set()
    assert aged(out) == before
    # Something that some pages say and others do not.
    labels = next((run / "saes").rglob("explanations.parquet"))
    rows = pq.read_table(labels)
    assert rows.num_rows > 0
    retitle(open_run(run), "Another title")
    render(run, out)
    changed = rewritten(out)
    assert "index.html" in changed
    assert "run/run.json" in changed
    assert not {name for name in changed if name.endswith((".parquet", ".css", ".js"))} - {
        name for name in changed if before[name] != (out / name).read_bytes()
    }
    assert {name for name, data in before.items() if (out / name).read_bytes() != data} == changed
    assert isinstance(rows, pa.Table)
    other = tmp_path / "other"
    render(run, other)
    assert aged(other) == aged(out)
    assert folders.MANIFEST in before


def test_a_file_that_someone_changed_is_written_again(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    render(run, out)
    before = aged(out)
    (out / "index.html").write_bytes(before["index.html"].replace(b"<html", b"<HTML", 1))
    render(run, out)
    assert rewritten(out) == {"index.html"}
    assert aged(out) == before


def test_a_report_in_one_file_is_left_when_it_is_the_same(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    render(run, out, single_file=True)
    os.utime(out, (LONG_AGO, LONG_AGO))
    render(run, out, single_file=True)
    assert out.stat().st_mtime == LONG_AGO
