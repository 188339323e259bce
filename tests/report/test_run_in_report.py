"""Whether a report holds its run: by its size, as asked, and never so that it would be lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from saereport.cli.main import run as command
from saereport.config.build import BuildConfig
from saereport.pipeline import build as building
from saereport.report import rendering
from saereport.report.extracting import extract
from saereport.report.rendering import render
from saereport.report.report import open_report
from saereport.run import open_run
from saereport.util.errors import SaereportError, UsageError
from saereport.util.progress import Progress
from tests.synthetic import Shape, write_run

SHAPE = Shape(n_chosen=4, n_sequences=20, n_vocabulary=400)
NOTE = "is not in this report"


class Heard(Progress):
    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_run(tmp_path / "made", SHAPE)
    return tmp_path / "made"


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run is larger than what goes into a report unasked."""
    monkeypatch.setattr(rendering, "RUN_ABOVE", 1000)


def said_on_provenance(report: Path) -> bool:
    return NOTE in (report / "provenance.html").read_text("utf-8")


def test_a_small_run_goes_along(run: Path, tmp_path: Path) -> None:
    heard = Heard()
    made = render(run, tmp_path / "out", progress=heard)
    assert made.run.path == made.path / "run"
    assert not said_on_provenance(made.path)
    assert heard.said == []


@pytest.mark.usefixtures("large")
def test_a_large_one_stays_where_it_is_and_that_is_said(run: Path, tmp_path: Path) -> None:
    heard = Heard()
    made = render(run, tmp_path / "out", progress=heard)
    assert not (made.path / "run").exists()
    assert said_on_provenance(made.path)
    (said,) = heard.said
    assert "not copied" in said
    assert "--with-run" in said
    assert made.run.path == run
    assert "4 latents" in repr(made)
    assert "srcdoc" in made._repr_html_()
    with pytest.raises(SaereportError, match=r"does not hold its run\. Give the run itself"):
        open_report(made.path)
    again = render(run, tmp_path / "out", with_run=True)
    assert again.run.path == again.path / "run"
    assert not said_on_provenance(again.path)


def test_either_can_be_asked_for(run: Path, tmp_path: Path) -> None:
    heard = Heard()
    render(run, tmp_path / "out", with_run=False, progress=heard)
    assert not (tmp_path / "out" / "run").exists()
    assert heard.said == []
    render(run, tmp_path / "one.html", single_file=True, with_run=False)
    assert "x-saereport-run" not in (tmp_path / "one.html").read_text("utf-8")


@pytest.mark.usefixtures("large")
def test_it_is_never_lost(run: Path, tmp_path: Path) -> None:
    report = tmp_path / "out"
    render(run, report, with_run=True)
    assert render(report, report).run.path == report / "run"
    with pytest.raises(UsageError, match="would be lost"):
        render(report, report, with_run=False)
    assert open_run(report).info.saes
    cut = extract(report, tmp_path / "cut", latents=[str(open_run(run).latents(slug_of(run))[0])])
    assert cut.run.path == tmp_path / "cut" / "run"
    single = render(run, tmp_path / "one.html", single_file=True)
    assert single.run.info == open_run(run).info


def test_the_command_line_says_either(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    asked = ["--quiet", "render", str(run), "--out", str(out)]
    assert command([*asked, "--without-run", "--processes", "1"]) == 0
    assert not (out / "run").exists()
    assert command([*asked, "--with-run"]) == 0
    assert (out / "run" / "run.json").is_file()
    assert command([*asked, "--processes", "0"]) == 2
    assert command(["--quiet", "render", str(out), "--out", str(out), "--without-run"]) == 2
    assert (out / "run" / "run.json").is_file()


def slug_of(run: Path) -> str:
    return open_run(run).info.saes[0].slug


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Building without measuring anything."""

    def collect(config: Any, target: Path, *rest: Any, **more: Any) -> Path:
        write_run(target, SHAPE)
        return target

    monkeypatch.setattr(building, "_collect", collect)
    monkeypatch.setattr(building, "_checked", lambda config, progress: config)


CONFIG = BuildConfig(saes=[{"release": "r", "sae_id": "s"}], dataset="d")  # type: ignore[list-item]


@pytest.mark.usefixtures("large", "built")
def test_a_build_leaves_a_large_run_beside_its_report(tmp_path: Path) -> None:
    heard = Heard()
    made = building.build(CONFIG, tmp_path / "out", progress=heard)
    assert made.run.path == tmp_path / "out.run"
    assert not (tmp_path / "out" / "run").exists()
    assert not (tmp_path / "out.partial").exists()
    assert any(f"The run is in '{tmp_path / 'out.run'}'" in said for said in heard.said)
    made.run.verify()
    again = building.build(CONFIG, tmp_path / "out")
    assert again.run.path == tmp_path / "out.run"
    whole = building.build(CONFIG, tmp_path / "out", with_run=True)
    assert whole.run.path == tmp_path / "out" / "run"


@pytest.mark.usefixtures("large", "built")
def test_what_lies_beside_the_report_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "out.run").mkdir()
    (tmp_path / "out.run" / "mine.txt").write_text("mine")
    made = building.build(CONFIG, tmp_path / "out")
    assert made.run.path == tmp_path / "out" / "run"
    with pytest.raises(SaereportError, match="exists and is not a run"):
        building.build(CONFIG, tmp_path / "out", with_run=False)
    assert (tmp_path / "out.run" / "mine.txt").read_text() == "mine"
