"""The landing page: what it says, where it links, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from saereport.cli import main as cli
from saereport.publish import check, index
from saereport.publish.findings import errors
from saereport.publish.reports import summarize
from saereport.run import open_run
from saereport.run.figures import figures_of
from saereport.site import numbers
from saereport.util.errors import SaereportError
from tests.test_demo_build import files


@pytest.fixture
def reports(made: Path, tmp_path: Path) -> Path:
    """A folder with two reports, one of them in a folder of its own."""
    shutil.copytree(made, tmp_path / "all/first")
    shutil.copytree(made, tmp_path / "all/deeper/second one")
    retitle(tmp_path / "all/deeper/second one", "</title><script>self.stolen=1</script>\u202e")
    return tmp_path / "all"


def retitle(report: Path, title: str) -> None:
    path = report / "run/run.json"
    value = json.loads(path.read_text(encoding="utf-8"))
    value["title"] = title
    path.write_text(json.dumps(value), encoding="utf-8")


def soup(page: Path) -> BeautifulSoup:
    return BeautifulSoup(page.read_text(encoding="utf-8"), "html5lib")


def test_it_says_what_the_manifests_say(reports: Path) -> None:
    page = soup(index([reports / "first"], reports, title="Mine"))
    info = open_run(reports / "first").info
    names = [head.get_text() for head in page.select("thead th")]
    lines = [
        dict(zip(names, [cell.get_text() for cell in row.select("th, td")], strict=True))
        for row in page.select("#rows tr")
    ]
    assert len(lines) == len(info.saes) == 2
    for line, sae in zip(lines, info.saes, strict=True):
        assert sae.l0 is not None
        assert sae.n_dead is not None
        assert line["Layer"] == str(sae.layer)
        assert line["Latents"] == numbers.count(sae.d_sae)
        assert line["Shown"] == numbers.count(sae.n_chosen)
        assert line["L0"] == numbers.value(sae.l0.mean)
        assert line["Never active"] == numbers.percent(sae.n_dead / sae.d_sae)
        figures = figures_of(open_run(reports / "first"), sae.slug)
        for name, figure in (
            ("Explained variance", figures["explained_variance"]),
            ("CE recovered", figures["ce_recovered"]),
        ):
            assert float(line[name].replace("−", "-")) == pytest.approx(figure.value, abs=6e-4)
        assert line["Tokens"] == numbers.count(info.text.n_counted)
        assert line["Architecture"] == sae.architecture
    assert page.select_one("h1").get_text() == "Mine"  # type: ignore[union-attr]


def test_it_links_to_the_reports_and_still_does_when_all_is_moved(
    reports: Path, tmp_path: Path
) -> None:
    index([reports], reports)
    assert {f.rule for f in check(reports)} == {"name", "manifest"}
    moved = reports.rename(tmp_path / "elsewhere")
    hrefs = [str(a["href"]) for a in soup(moved / "index.html").select("main a[href]")]
    assert "first/index.html" in hrefs
    assert "deeper/second%20one/index.html" in hrefs
    assert [f for f in check(moved) if f.rule in ("link", "anchor", "external", "html")] == []


def test_reports_beside_the_page(reports: Path) -> None:
    page = index([reports], reports / "page")
    hrefs = {str(a["href"]) for a in soup(page).select("main .card a")}
    assert hrefs == {"../first/index.html", "../deeper/second%20one/index.html"}


def test_a_folder_whose_name_is_no_utf8_is_linked(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    shutil.copytree(made, folder)
    index([folder], tmp_path)
    assert 'href="caf%E9/index.html"' in (tmp_path / "index.html").read_text("utf-8")


def test_copies_make_one_folder_with_everything(made: Path, tmp_path: Path) -> None:
    for name in ("x/demo", "y/Demo", "z/landing"):
        shutil.copytree(made, tmp_path / name)
    (tmp_path / "x/demo/notes.txt").write_text("not the report's")
    out = tmp_path / "out/site"
    index([tmp_path / name for name in "xyz"], out, copy=True)
    assert sorted(path.name for path in out.iterdir()) == [
        *(".nojekyll", "Demo-2", "demo", "index.html", "landing", "landing-2", "landing.json")
    ]
    assert not (out / "demo/notes.txt").exists()
    assert {f.severity for f in check(out)} == {"warning"}
    first = files(out)
    index([tmp_path / name for name in "xyz"], out, copy=True)
    assert files(out) == first


def test_equal_reports_give_equal_bytes_anywhere(reports: Path, tmp_path: Path) -> None:
    index([reports], reports)
    other = Path(shutil.copytree(reports, tmp_path / "an other"))
    before = files(other)
    index([other / "first", other], other)
    index([other], other)
    assert files(other) == before


def test_hostile_words_stay_words(reports: Path) -> None:
    page = index([reports], reports, title="<img src=x onerror=self.stolen=1>")
    html = page.read_text(encoding="utf-8")
    assert not {"\u202e", "\u2066", "\x1b"} & set(html)
    assert soup(page).select("script:not([src]), main img, main script") == []
    assert "</title><script>self.stolen=1</script><U+202E>" in soup(page).get_text()
    assert [f for f in check(reports) if f.path == "index.html"] == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema_version": 99}, "schema version"),
        ({"text": None}, "damaged"),
        ({"model": {"n_layers": -1}}, "damaged"),
        ({"model": {"n_layers": 10**30}}, "damaged"),
        ({"text": {"n_counted": -5}}, "damaged"),
        ({"saes": [{"d_sae": -1}]}, "damaged"),
        ({"saes": [{"n_dead": 10**9}]}, "n_dead is more than d_sae"),
        ({"saes": [{"l0": {"mean": 1e300, "width": 1, "histogram": []}}]}, "damaged"),
        ({"saes": [{"slug": "../../x"}]}, "damaged"),
    ],
)
def test_a_run_that_cannot_be_is_refused(
    made: Path, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    report = tmp_path / "report"
    (report / "run").mkdir(parents=True)
    shutil.copyfile(made / "report.json", report / "report.json")
    value = json.loads((made / "run/run.json").read_text(encoding="utf-8"))
    assert summarized(made)
    for key, new in change.items():
        if isinstance(new, dict):
            value[key].update(new)
        elif isinstance(new, list):
            value[key][0].update(new[0])
        else:
            value[key] = new
    (report / "run/run.json").write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(SaereportError, match=said):
        index([report], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report"]


def summarized(report: Path) -> bool:
    return len(summarize(report).rows) == 2


@pytest.mark.parametrize("text", ["", "[" * 100_000, "{}", '{"format":"saereport-report"}'])
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report/report.json").write_text(text)
    with pytest.raises(SaereportError):
        index([tmp_path / "report"], tmp_path)


def test_a_manifest_that_lists_what_lies_outside_is_refused(made: Path, tmp_path: Path) -> None:
    report = Path(shutil.copytree(made, tmp_path / "report"))
    (tmp_path / "secret").write_text("x")
    value = json.loads((report / "report.json").read_text())
    value["files"][0]["path"] = "../secret"
    (report / "report.json").write_text(json.dumps(value))
    with pytest.raises(SaereportError, match="outside"):
        index([report], tmp_path / "out", copy=True)
    assert not (tmp_path / "out").exists()


def test_a_link_in_a_report_is_not_followed(made: Path, tmp_path: Path) -> None:
    report = Path(shutil.copytree(made, tmp_path / "report"))
    (tmp_path / "secret").write_text("x")
    (report / "methods.html").unlink()
    os.symlink(tmp_path / "secret", report / "methods.html")
    with pytest.raises(SaereportError, match="is a link, which is not followed"):
        index([report], tmp_path / "out", copy=True)
    assert not (tmp_path / "out").exists()


def test_what_is_foreign_stays(reports: Path, made: Path) -> None:
    before = files(made)
    with pytest.raises(SaereportError, match="is not a landing page"):
        index([made], made)
    with pytest.raises(SaereportError, match="inside the report"):
        index([made], made / "new", copy=True)
    with pytest.raises(SaereportError, match="is not a landing page"):
        index([reports], made, copy=True)
    assert files(made) == before
    (reports / "landing").mkdir()
    (reports / "landing/mine.txt").write_text("mine")
    with pytest.raises(SaereportError, match="not the page's"):
        index([reports], reports)
    assert (reports / "landing/mine.txt").read_text() == "mine"
    assert sorted(path.name for path in reports.iterdir()) == ["deeper", "first", "landing"]


def test_what_a_copy_would_lose_is_refused(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    index([made], out, copy=True)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(SaereportError, match=r"such as 'notes.txt'"):
        index([made], out, copy=True)
    assert (out / "notes.txt").read_text() == "mine"


def test_reports_elsewhere_need_copies(made: Path, tmp_path: Path) -> None:
    with pytest.raises(SaereportError, match="--copy"):
        index([made], tmp_path / "site")
    with pytest.raises(SaereportError, match="holds no report"):
        index([tmp_path], tmp_path)
    with pytest.raises(SaereportError, match="There is no folder"):
        index([tmp_path / "gone"], tmp_path)


def test_the_command(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["index", str(reports), "--out", str(reports), "--title", "Ours"]
    assert cli.run(arguments) == 0
    assert f"Open {reports / 'index.html'}" in capsys.readouterr().err
    assert cli.run(["index", "--out", str(reports)]) == 2
    assert cli.run(["index", str(reports / "gone"), "--out", str(reports)]) == 1


@pytest.mark.parametrize("level", ["folder", "file", "run"])
def test_no_linked_folder_is_published(made: Path, tmp_path: Path, level: str) -> None:
    """A link in a report and an entry of its manifest would publish any file of the machine."""
    report = Path(shutil.copytree(made, tmp_path / "report"))
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "passwd").write_text("root")
    value = json.loads((report / "report.json").read_text())
    digest = hashlib.sha256(b"root").hexdigest()
    if level == "run":
        (report / "run").rename(tmp_path / "run")
        (report / "run").symlink_to(tmp_path / "run")
    elif level == "folder":
        (report / "linked").symlink_to(secret)
        value["files"].append({"path": "linked/passwd", "bytes": 4, "sha256": digest})
    else:
        (report / "linked").mkdir()
        (report / "linked" / "passwd").symlink_to(secret / "passwd")
        value["files"].append({"path": "linked/passwd", "bytes": 4, "sha256": digest})
    (report / "report.json").write_text(json.dumps(value))
    with pytest.raises(SaereportError, match="is a link, which is not followed"):
        index([report], tmp_path / "out", copy=True)
    assert not (tmp_path / "out").exists()
    assert errors(check(report))


def test_a_copy_is_what_the_manifest_lists(made: Path, tmp_path: Path) -> None:
    report = Path(shutil.copytree(made, tmp_path / "report"))
    page = report / "methods.html"
    page.write_bytes(page.read_bytes().replace(b"</body>", b"<!-- </body>", 1)[:-5])
    with pytest.raises(SaereportError, match="not the file that its manifest lists"):
        index([report], tmp_path / "out", copy=True)
    assert not (tmp_path / "out").exists()
