"""Reports as objects in a notebook."""

import gc
import os
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

import saereport
from saereport.report import report as notebook
from saereport.report.rendering import render
from saereport.report.report import Report, open_report
from saereport.run.store import open_run
from saereport.run.writing import retitle
from saereport.util.errors import SaereportError
from tests.synthetic import Shape, write_run

SHAPE = Shape(d_sae=32, n_chosen=3, n_sequences=12, n_vocabulary=800, n_top=2, hostile=True)
TITLE = "'\"></iframe><script>self.stolen=1</script> & &#39; \u202e"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("notebook") / "run"
    write_run(folder, SHAPE)
    retitle(open_run(folder), TITLE)
    return folder


@pytest.fixture(scope="module")
def folder(run: Path) -> Report:
    return render(run, run.parent / "report")


@pytest.fixture(scope="module")
def single(run: Path) -> Report:
    return render(run, run.parent / "report.html", single_file=True)


def test_a_report_is_a_path(folder: Report, single: Report) -> None:
    assert os.fspath(folder) == str(folder) == str(folder.path)
    assert folder / "index.html" == folder.page
    assert single.page == single.path
    assert Path(folder).is_dir()
    assert open_report(folder) == folder
    assert saereport.open_report is open_report


def test_it_says_what_it_holds(folder: Report, single: Report) -> None:
    for report in (folder, single):
        assert report.run.info.title == TITLE
        assert "1 SAEs, 3 latents" in repr(report)
        assert "\u202e" not in repr(report)
        assert str(report.path) in repr(report)


def test_the_run_of_a_single_file_is_there_for_as_long_as_the_report(single: Report) -> None:
    report = open_report(single.path)
    inside = report.run.path
    report.run.verify()
    assert inside.is_dir()
    del report
    gc.collect()
    assert not inside.exists()


def test_the_frame_holds_the_whole_report_and_nothing_leaves_it(
    folder: Report, single: Report
) -> None:
    shown = []
    for report in (folder, single):
        soup = BeautifulSoup(report._repr_html_(), "html.parser")
        (frame,) = soup.find_all(True)
        assert frame.name == "iframe"
        assert set(frame["sandbox"]) == {"allow-scripts", "allow-downloads", "allow-popups"}
        assert set(frame.attrs) == {
            *("sandbox", "title", "width", "height", "frameborder", "srcdoc")
        }
        shown.append(frame["srcdoc"])
    text = single.path.read_text(encoding="utf-8")
    at = text.index('<script type="application/x-saereport-run"')
    assert shown[0] == shown[1] == text[:at] + text[at:].partition("</script>\n")[2]
    assert "x-saereport-run" not in shown[0]


def test_a_large_report_is_summed_up(
    folder: Report, single: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebook, "INLINE_LIMIT", 1000)
    for report in (folder, single):
        soup = BeautifulSoup(report._repr_html_(), "html.parser")
        assert {tag.name for tag in soup.find_all(True)} == {"div", "p", "strong", "ul", "li"}
        said = soup.get_text()
        assert "self.stolen" in said
        assert "\u202e" not in said
        assert "too large for a notebook" in said
        assert "3 of 32 latents" in said


def test_a_run_without_pages_says_what_to_do(run: Path) -> None:
    report = open_report(run)
    assert "saereport.render" in report._repr_html_()
    assert "<iframe" not in report._repr_html_()


def test_pages_that_are_not_ours_are_not_shown(run: Path, folder: Report, tmp_path: Path) -> None:
    """What is shown is made from the run, whatever lies in the folder; or else nothing is."""
    report = render(run, tmp_path / "report")
    (report / "index.html").write_text("<script>self.stolen = 1</script>")
    assert report._repr_html_() == folder._repr_html_()
    (report / "report.json").write_text('{"saereport": "0.0.0"}')
    shown = report._repr_html_()
    assert "<iframe" not in shown
    assert "in a browser" in shown
    (folder.path / "run" / "tables" / "vocabulary.parquet").rename(tmp_path / "away")
    try:
        assert "<iframe" not in Report(folder.path)._repr_html_()
    finally:
        (tmp_path / "away").rename(folder.path / "run" / "tables" / "vocabulary.parquet")


def test_what_cannot_be_opened_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "x.html").write_text("<p>")
    for path in (tmp_path / "x.html", tmp_path / "none", tmp_path):
        with pytest.raises(SaereportError):
            open_report(path)
