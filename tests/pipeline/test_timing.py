"""How long stages took, in words and in a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from saereport.pipeline.timing import Stopwatch, spoken


def test_each_stage_is_counted_even_when_it_fails() -> None:
    now = iter([0.0, 2.0, 2.0, 65.0, 65.0, 66.5, 66.5, 66.51])
    watch = Stopwatch(clock=lambda: next(now))
    with watch.stage("load"):
        pass
    with pytest.raises(ValueError, match="broken"), watch.stage("statistics"):
        raise ValueError("broken")
    with watch.stage("load"):
        pass
    with watch.stage("blind"):
        pass
    assert watch.seconds == pytest.approx({"load": 3.5, "statistics": 63.0, "blind": 0.01})
    assert watch.lines == [
        "Took 1 min 7 s:",
        "  load            3.5 s   5%",
        "  statistics  1 min 3 s  95%",
        "  blind           0.0 s   0%",
    ]
    watch.estimated = {"statistics": 70.0}
    assert watch.lines[0] == "Took 1 min 7 s, and 1 min 14 s were expected:"
    assert watch.lines[2].endswith("95%  expected 1 min 10 s")
    assert Stopwatch().lines == []


def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    watch = Stopwatch()
    with watch.stage("load"):
        pass
    theirs = tmp_path / "a.timing.json"
    for content in ("{}", "[", '{"format": "mine"}', "[" * 100_000):
        theirs.write_text(content)
        watch.keep(tmp_path / "a")
        assert theirs.read_text() == content
    for _ in range(2):
        watch.keep(tmp_path / "b.html")
        assert json.loads((tmp_path / "b.html.timing.json").read_text())["seconds"].keys() == {
            "load"
        }
    theirs.unlink()
    theirs.symlink_to(tmp_path / "b.html.timing.json")
    watch.keep(tmp_path / "a")
    assert theirs.is_symlink()
    watch.keep(tmp_path / "nowhere" / "a")  # no folder: no error


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 0 s"),
        (3599.9, "1 h 0 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_a_time_for_a_reader(seconds: float, words: str) -> None:
    assert spoken(seconds) == words
