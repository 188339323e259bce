"""A report in one file: its form, read with a parser that is not ours."""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup

from saereport.report.rendering import render
from saereport.run import open_run
from saereport.run.bundle import unbundled
from saereport.site import report_of, single_write, write
from saereport.site.layout import FolderLayout, SingleLayout
from saereport.site.parts import Page
from saereport.site.parts.compare import Place
from saereport.site.single import SingleSink
from saereport.util.errors import SaereportError, UsageError
from saereport.util.progress import Progress
from tests.synthetic import Shape, write_run
from tests.synthetic_circuits import prompts as circuits
from tests.synthetic_graph import GraphShape, graphs

SHAPE = Shape(
    d_sae=40,
    n_chosen=33,
    n_sequences=30,
    n_vocabulary=700,
    n_saes=2,
    n_top=2,
    per_interval=1,
    per_quantile=0,
    list_length=4,
    hostile=True,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("single") / "run"
    write_run(folder, SHAPE, circuits)
    return folder


@pytest.fixture(scope="module")
def report(run: Path) -> Path:
    render(run, run.parent / "report")
    return run.parent / "report"


@pytest.fixture(scope="module")
def html(run: Path) -> str:
    made = render(run, run.parent / "report.html", single_file=True)
    return made.path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def soup(html: str) -> Any:
    return BeautifulSoup(html, "html.parser")


def sha(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def texts(tag: Any) -> list[str]:
    return [str(text) for text in tag.find_all(string=True)]


def directives(soup: Any) -> dict[str, set[str]]:
    policy = soup.find("meta", {"http-equiv": "Content-Security-Policy"})["content"]
    parts = (part.split() for part in policy.split(";"))
    return {name: set(values) for name, *values in parts}


def test_the_policy_comes_first_and_names_every_script_and_style(soup: Any) -> None:
    assert soup.head.find_all(True)[0].get("http-equiv") == "Content-Security-Policy"
    rules = directives(soup)
    assert set(rules) == {
        *("default-src", "script-src", "style-src", "img-src", "base-uri", "form-action")
    }
    assert rules["default-src"] == {"'none'"}
    scripts = [script for script in soup.find_all("script") if not script.get("type")]
    plotly = soup.find("script", {"data-path": "assets/plotly-cartesian.min.js"})
    assert rules["script-src"] == {sha(script.string) for script in [*scripts, plotly]}
    assert rules["style-src"] == {sha(style.string) for style in soup.find_all("style")} | {sha("")}
    assert len(scripts) == 2
    assert not soup.find_all(style=True)
    assert not soup.find_all(lambda tag: any(name.startswith("on") for name in tag.attrs))


def test_nothing_refers_to_another_file(soup: Any, html: str) -> None:
    assert not soup.find_all(src=True)
    assert not soup.find_all(["iframe", "object", "embed", "base", "form", "img"])
    links = [link["href"] for link in soup.find_all(["a", "link"], href=True)]
    assert {link.split(":")[0] for link in links if not link.startswith("#")} <= {"https", "data"}
    styles = "".join(style.string for style in soup.find_all("style"))
    assert "url(" not in styles
    assert "@import" not in styles


def test_every_link_leads_somewhere_and_no_id_is_there_twice(soup: Any) -> None:
    ids = [tag["id"] for tag in soup.find_all(id=True)]
    assert len(set(ids)) == len(ids)
    for link in soup.find_all("a", href=re.compile("^#")):
        if link.find_parent("template") is None:
            assert link["href"][1:] in ids, link["href"]
    pages = {section["data-path"] for section in soup.find_all("section", {"data-path": True})}
    for link in soup.find_all("a", href=re.compile("^#")):
        target = link["href"][1:].split("#")[0]
        assert target in {*pages, "main"} or link.has_attr("download")
    for name in ("for", "aria-labelledby", "aria-describedby", "aria-controls"):
        for tag in soup.find_all(attrs={name: True}):
            assert set(tag[name].split()) <= set(ids), tag


def test_every_page_is_there_with_its_text_and_its_data(soup: Any, report: Path) -> None:
    paths = {
        path.relative_to(report).as_posix(): path
        for path in report.rglob("*.html")
        if "run" not in path.relative_to(report).parts
    }
    sections = {s["data-path"]: s for s in soup.find_all("section", {"data-path": True})}
    assert set(sections) == set(paths)
    assert next(iter(sections)) == "index.html"
    for path, file in paths.items():
        page = BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser")
        assert sections[path].get_text() == page.find("main").get_text(), path
        assert sections[path]["data-kind"] == page.html["data-page"]
        assert sections[path]["data-title"] == page.title.string
        frame = soup.find("template", {"id": sections[path]["data-frame"]})
        assert texts(frame.find("header")) == texts(page.find("header"))
        needed = sections[path].get("data-needs", "").split()
        assert all(soup.find("script", {"data-path": name}) for name in needed)
        assert "report.js" in needed


def test_data_is_what_the_scripts_of_the_folder_hold(soup: Any, report: Path) -> None:
    paths = {
        path.relative_to(report).as_posix()
        for path in report.rglob("*.js")
        if path.relative_to(report).parts[0] != "assets"
    }
    blocks = {
        block["data-path"]: block.string
        for block in soup.find_all("script", {"data-path": re.compile(r"\.js$")})
        if block["type"] == "application/json"
    }
    assert set(blocks) == paths
    for path, text in blocks.items():
        source = (report / path).read_text(encoding="utf-8")
        records = json.loads(text)
        assert [f'"kind":"{r["kind"]}"' in source for r in records] == [True] * len(records)
        assert len(records) == source.count("self.saereport||[]).push(")
        assert "<" not in text


def test_the_same_run_gives_the_same_bytes_and_can_be_taken_out_again(
    run: Path, html: str, tmp_path: Path
) -> None:
    other = render(run, tmp_path / "a folder" / "other name.html", single_file=True)
    assert other.path.read_text(encoding="utf-8") == html
    again = render(other, tmp_path / "again.html", single_file=True)
    assert again.path.read_bytes() == other.path.read_bytes()
    with unbundled(again.path) as inside:
        files = [file for file in run.rglob("*") if file.is_file()]
        for file in files:
            assert (inside.path / file.relative_to(run)).read_bytes() == file.read_bytes()
    for path in (str(run), str(tmp_path)):
        assert path not in html


def test_downloads_are_data_in_the_file(tmp_path: Path) -> None:
    write_run(tmp_path / "run", SHAPE, graphs(GraphShape(hostile=True)))
    render(tmp_path / "run", tmp_path / "report")
    report = report_of(open_run(tmp_path / "run"))
    sink = SingleSink(report)
    write(report, sink, Progress(quiet=True))
    made = sink.finished(bundled="")
    soup = BeautifulSoup(made.html, "html.parser")
    (link,) = soup.find_all("a", download=True)
    block = soup.find("script", {"id": link["href"][1:]})
    expected = tmp_path / "report" / "circuits" / "small-graph.json"
    assert json.loads(block.string) == json.loads(expected.read_text(encoding="utf-8"))
    assert "the run itself" not in dict(made.parts)
    assert 0.9 * made.size < sum(size for _, size in made.parts) <= made.size


@pytest.mark.parametrize("content", [None, "<p>mine", "folder", '<meta name="generator">'])
def test_only_a_report_in_one_file_is_replaced(
    run: Path, tmp_path: Path, content: str | None
) -> None:
    out = tmp_path / "x.html"
    if content == "folder":
        out.mkdir()
    elif content is not None:
        out.write_text(content)
    if content is None:
        render(run, out, single_file=True)
        first = out.read_bytes()
        render(run, out, single_file=True)
        assert out.read_bytes() == first
    else:
        with pytest.raises(SaereportError, match=r"x\.html"):
            render(run, out, single_file=True)
        assert out.is_dir() or out.read_text() == content
    assert list(tmp_path.iterdir()) == [out]


def test_a_page_of_a_report_is_not_replaced(run: Path, report: Path) -> None:
    before = (report / "index.html").read_bytes()
    with pytest.raises(SaereportError, match="not a report in one file"):
        render(run, report / "index.html", single_file=True)
    assert (report / "index.html").read_bytes() == before


def test_it_is_called_html(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="HTML file"):
        render(run, tmp_path / "report", single_file=True)


@pytest.mark.parametrize("limit", [100_000, 1_000_000])
def test_too_large_a_file_is_refused_and_the_old_one_stays(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    out = tmp_path / "x.html"
    render(run, out, single_file=True)
    before = out.read_bytes()
    monkeypatch.setattr(single_write, "REFUSE_ABOVE", limit)
    with pytest.raises(SaereportError, match=r"more than \d\.\d MB: .*the run itself") as caught:
        render(run, out, single_file=True)
    assert "extract" in str(caught.value)
    assert "--force" in str(caught.value)
    assert out.read_bytes() == before
    out.unlink()
    render(run, out, single_file=True, force=True)
    assert out.read_bytes() == before


def test_a_large_file_is_written_with_a_word_about_it(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(single_write, "WARN_ABOVE", 1_000_000)
    render(run, tmp_path / "x.html", single_file=True, progress=Progress())
    said = capsys.readouterr().err
    assert re.search(r"The file has \d\.\d MB: .*latents of \S+ \d\.\d MB", said)


def test_the_embed_adds_one_host(run: Path, tmp_path: Path) -> None:
    made = render(run, tmp_path / "x.html", single_file=True, neuronpedia_embed=True)
    rules = directives(BeautifulSoup(made.path.read_text(encoding="utf-8")[:4000], "html.parser"))
    assert rules["frame-src"] == {"https://www.neuronpedia.org"}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("s/l0001.html#latent-3", "#s/l0001.html#latent-3"),
        ("index.html", "#index.html"),
        ("#here", "#s/index.html#here"),
        ("https://www.neuronpedia.org/#y", "https://www.neuronpedia.org/#y"),
    ],
)
def test_addresses_in_one_file(address: str, expected: str) -> None:
    layout = SingleLayout()
    assert layout.href("s/index.html", address) == expected
    assert layout.at("s/index.html", "here") == "s/index.html#here"


@pytest.mark.parametrize(
    ("here", "address", "expected"),
    [
        ("s/index.html", "s/l0001.html#latent-3", "l0001.html#latent-3"),
        ("s/index.html", "index.html", "../index.html"),
        ("index.html", "s/index.html", "s/index.html"),
        ("s/index.html", "#here", "#here"),
        ("s/index.html", "t/x.html#a", "../t/x.html#a"),
        ("s/index.html", "https://www.neuronpedia.org/#y", "https://www.neuronpedia.org/#y"),
    ],
)
def test_addresses_in_a_folder(here: str, address: str, expected: str) -> None:
    assert FolderLayout().href(here, address) == expected


def test_a_link_to_what_is_not_there_stops_the_building(run: Path) -> None:
    report = report_of(open_run(run))
    sink = SingleSink(report)
    write(report, sink, Progress(quiet=True))
    fields = {"places": [Place("s/none.html", "an SAE", "")]}
    sink.add(Page("extra/index.html", "compare", fields=fields))
    with pytest.raises(ValueError, match=r"extra/index\.html.*s/none\.html"):
        sink.finished(bundled="")
