"""The check of a site: nothing against what we make, and something against each thing planted."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import time
import tracemalloc
from pathlib import Path

import pytest

from saereport.cli import main as cli
from saereport.publish import Finding, check
from saereport.publish.data import MOST_FINDINGS, check_data
from saereport.publish.findings import errors
from saereport.publish.limits import check_names
from saereport.publish.links import Site
from saereport.publish.manifests import check_manifests
from saereport.publish.page import ReadPage, read_page
from saereport.publish.policy import check_policy
from saereport.publish.styles import style_references
from saereport.report.rendering import render
from saereport.site.csp import policy
from saereport.util.errors import SaereportError


def told(findings: tuple[Finding, ...], path: str = "") -> list[tuple[int, str, str]]:
    """Line, rule and severity of what was found in a file, checksums apart."""
    return [
        (found.line, found.rule, found.severity)
        for found in findings
        if found.path == path and found.rule != "manifest"
    ]


def shard(report: Path) -> Path:
    return sorted(report.glob("*/l0000.html"))[0]


def change(path: Path, old: str, new: str) -> int:
    """Replace the first `old` of a file, and return its line."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1


def test_a_fresh_report_has_no_finding(made: Path) -> None:
    assert [str(finding) for finding in check(made)] == []
    assert len(list(made.rglob("*.html"))) > 8


def test_many_processes_find_the_same(report: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change(shard(report), "<main", '<main style="top:0"')
    monkeypatch.setattr("saereport.publish.checking.ENOUGH_FOR_PROCESSES", 2)
    assert check(report, processes=2) == check(report)
    assert errors(check(report)) == 2


PLANTED = [
    ('<p onclick="x()">', "policy", "error"),
    ('<p style="top:0">', "policy", "error"),
    ("<script>self.x=1</script>", "policy", "error"),
    ("<style>p{}</style>", "policy", "error"),
    ('<img alt="" src="https://x.org/a.png">', "external", "error"),
    ('<img alt="" srcset="//x.org/a 2x">', "external", "error"),
    ('<a href="https://x.org/">x</a>', "external", "error"),
    ('<a href="\\\\x.org">x</a>', "external", "error"),
    ('<a href=" java&#10;script:x()">x</a>', "external", "error"),
    ('<a href="mailto:a@b">x</a>', "external", "error"),
    ('<a href="https://www.neuronpedia.org/a">x</a>', "external", "error"),
    ('<a rel="noreferrer" href="https://www.neuronpedia.org.x.org/">x</a>', "external", "error"),
    ('<form action="send"></form>', "external", "error"),
    ('<iframe src="https://www.neuronpedia.org/a"></iframe>', "external", "error"),
    ('<svg><use href="//x.org/#a"></use></svg>', "external", "error"),
    ('<a href="/methods.html">x</a>', "link", "error"),
    ('<a href="../../x.html">x</a>', "link", "error"),
    ('<a href="gone.html">x</a>', "link", "error"),
    ('<a href="../Methods.html">x</a>', "link", "error"),
    ('<a href="../methods.html#gone">x</a>', "anchor", "error"),
    ('<a href="../methods.html#q=x">x</a>', "anchor", "error"),
    ('<a href="../report.js#gone">x</a>', "anchor", "error"),
    ('<a href="#latent-999999">x</a>', "anchor", "error"),
    ('<a href="../methods">x</a>', "link", "warning"),
    ('<a href="../">x</a>', "link", "warning"),
]
RIGHT = [
    "<b></i></b>",
    '<a rel="noreferrer" href="https://www.neuronpedia.org/gpt2-small/8-res-jb/1">x</a>',
    '<a href="index.html#q=city&amp;sort=-max">x</a>',
    '<a href="../methods.html#pins=a.1">x</a>',
    '<a href="#main">x</a>',
    '<a href="../%69ndex.html">x</a>',
]


def test_each_planted_fault_is_found_where_it_is(report: Path) -> None:
    page = shard(report)
    expected = []
    lines = [*RIGHT, *(written for written, _, _ in PLANTED)]
    first = change(page, '<main id="main">', '<main id="main">\n' + "\n".join(lines) + "\n") + 1
    for place, (written, rule, severity) in enumerate(PLANTED, start=first + len(RIGHT)):
        assert "\n" not in written
        expected.append((place, rule, severity))
    assert told(check(report), page.relative_to(report).as_posix()) == expected


def test_a_latent_on_another_page_needs_a_script(report: Path) -> None:
    page, other = sorted(report.glob("*/l*.html"))[:2]
    latent = other.read_text().split('id="latent-', 1)[1].split('"', 1)[0]
    line = change(page, '<main id="main">', f'<main id="main"><a href="#latent-{latent}">x</a>')
    found = told(check(report), page.relative_to(report).as_posix())
    assert found == [(line, "anchor", "warning")]


def page_with(policy: str, before: str = "") -> ReadPage:
    return read_page(
        f'<!doctype html><html lang="en"><head>{before}<meta http-equiv="Content-Security-Policy" '
        f'content="{policy}"><title>x</title></head><body></body></html>'.encode()
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("default-src 'none'", "default-src 'self'"),
        ("script-src 'self'", "script-src 'self' 'unsafe-inline'"),
        ("script-src 'self'", "script-src 'self' https://x.org"),
        ("script-src 'self'", "script-src 'self' data:"),
        ("; form-action 'none'", ""),
        ("form-action 'none'", "form-action 'none'; frame-src https://x.org"),
        ("form-action 'none'", "form-action 'none'; connect-src *"),
        ("form-action 'none'", "form-action 'none'; report-uri https://x.org"),
    ],
)
def test_a_policy_that_lets_something_in_is_found(old: str, new: str) -> None:
    ours = policy(embed_neuronpedia=False)
    assert old in ours
    assert list(check_policy("x.html", page_with(ours))) == []
    assert list(check_policy("x.html", page_with(policy(embed_neuronpedia=True)))) == []
    (found,) = check_policy("x.html", page_with(ours.replace(old, new)))
    assert (found.line, found.rule, found.severity) == (1, "policy", "error")


@pytest.mark.parametrize(
    "trick", ["<!-->", "<!--->", "<!-- --!>", "<textarea></textarea x>", "<![CDATA[x>"]
)
def test_a_link_that_only_browsers_see_is_found(report: Path, trick: str) -> None:
    page = report / "methods.html"
    change(page, '<main id="main">', f'<main id="main">{trick}<a href="https://x.org/">x</a>-->')
    assert "external" in {rule for _, rule, _ in told(check(report), "methods.html")}


@pytest.mark.parametrize(
    "trick", ["<noscript>{}</noscript>", "<!--{}", "<textarea>{}", "<svg>{}</svg>", "<b>{}</b>"]
)
def test_a_policy_that_browsers_do_not_heed_is_none(trick: str) -> None:
    meta = (
        f'<meta http-equiv="Content-Security-Policy" content="{policy(embed_neuronpedia=False)}">'
    )
    page = read_page(f"<!doctype html><html><head>{trick.format(meta)}".encode())
    assert list(check_policy("x.html", page))


def test_a_page_says_that_it_is_utf_8() -> None:
    for head, n in (("<meta charset=utf-8>", 0), ("<meta charset=iso-2022-jp>", 1)):
        assert len(read_page(f"<!doctype html>{head}".encode()).faults) == n
    assert len(read_page("<!doctype html><p>ü".encode("utf-16")).faults) == 1


def test_the_policy_is_there_and_first() -> None:
    ours = policy(embed_neuronpedia=False)
    (found,) = check_policy("x.html", page_with(ours, before='<meta charset="utf-8">'))
    assert "not the first" in found.message
    (found,) = check_policy("x.html", read_page(b"<!doctype html><title>x</title>"))
    assert "has no Content-Security-Policy" in found.message


def test_a_style_sheet_asks_nobody(report: Path) -> None:
    sheet = report / "assets/print.css"
    sheet.write_text(
        "/* url(https://a.org/x)\n*/\n"
        "@import 'https://b.org/x.css';\n"
        "p { background: url(data:image/png;base64,AA); }\n"
        "q { background: \\75rl(https://c.org/x); }\n"
        'b { background: url("gone.png"); }\n'
        "i { background: url(print.css); }\n"
    )
    found = told(check(report), "assets/print.css")
    assert found == [(3, "external", "error"), (5, "external", "error"), (6, "link", "error")]


def test_a_row_without_its_page_is_found(report: Path) -> None:
    table = shard(report).with_name("latents.js")
    lines = table.read_text(encoding="utf-8").split("\n")
    line = next(i for i, text in enumerate(lines) if text.startswith("["))
    lines[line] = "[987654321" + lines[line][lines[line].index(",") :]
    table.write_text("\n".join(lines), encoding="utf-8")
    found = told(check(report), table.relative_to(report).as_posix())
    assert found == [(line + 1, "anchor", "error")]


def test_data_that_names_no_page_is_found(report: Path) -> None:
    script = next(
        path
        for path in sorted((report / "circuits").glob("*.js"))
        if ".html#latent-" in path.read_text(encoding="utf-8")
    )
    line = change(script, ".html#latent-", ".html#latent-987654")
    found = told(check(report), script.relative_to(report).as_posix())
    assert found == [(line, "anchor", "error")]


ABSENT = (
    ('"at":"{slug}/l0000.html#latent-987654"', "anchor"),
    ('"cell":{{"text":"x","href":"gone.html"}}', "link"),
    ('"cell":{{"href":"methods.html#gone"}}', "anchor"),
    ('"cell":{{"href":"https://evil.example/\\u003cx"}}', "external"),
    ('"cell":{{"href":" java\\nscript:x()"}}', "external"),
    ('"cell":{{"href":"https://www.neuronpedia.org/x"}}', ""),
    ('"cell":{{"href":"methods.html"}}', ""),
    ('"text":"\\"href\\":\\"gone.html\\""', ""),
)
"""What the data of a plug-in that is not installed may say, and what is found."""


def test_data_of_an_absent_plug_in_is_looked_into(report: Path) -> None:
    slug = shard(report).parent.name
    lines = [said.format(slug=slug) for said, _ in ABSENT]
    (report / "lab").mkdir()
    text = "(self.saereport=self.saereport||[]).push({\n" + ",\n".join(lines) + "\n});\n"
    (report / "lab/index.js").write_text(text)
    (report / "lab/other.js").write_text(text.removeprefix("("))
    found = told(check(report), "lab/index.js")
    assert found == [(i, rule, "error") for i, (_, rule) in enumerate(ABSENT, 2) if rule]
    assert told(check(report), "lab/other.js") == []


def test_data_inside_of_one_file_is_looked_into(made: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    render(made, page, single_file=True)
    slug = shard(made).parent.name
    lines = ",\n".join(said.format(slug=slug).replace("<", "\\u003c") for said, _ in ABSENT)
    block = f'<script type="application/json" data-path="lab/index.js">[{{\n{lines}\n}}]</script>'
    line = change(page, "</body>", f"{block}\n</body>")
    row = ',"rows":[\n[987654321,'
    at = change(page, row.replace("987654321,", ""), row + "0],\n[") + 1
    found = [one for one in told(check(page), "report.html") if one[2] == "error"]
    # A page that is not there is a place that is not in the file.
    rules = [rule.replace("link", "anchor") for _, rule in ABSENT]
    planted = [(i, rule, "error") for i, rule in enumerate(rules, line + 2) if rule]
    assert found == [(at, "anchor", "error"), *planted]


def test_data_takes_no_more_memory_than_a_piece(tmp_path: Path) -> None:
    """One line, as long as a file can be; with an address across the border of two pieces."""
    good = b'{"token":12345678,"text":"x"},'
    start = b"(self.saereport=self.saereport||[]).push(["
    path = tmp_path / "x.js"
    with path.open("wb") as stream:
        stream.write(start + good * (2**25 // len(good)))
        stream.write(b" " * (2**20 - 12 - stream.tell() % 2**20) + b'{"href":"gone.html"}]);')
    site = Site(frozenset({"x.js", "report.js", "methods.html"}), {})
    tracemalloc.start()
    with path.open("rb") as stream:
        found = list(check_data("x.js", stream, site))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert {(f.line, f.rule) for f in found} == {(1, "link")}
    assert peak < 24 * 2**20


def test_a_script_that_is_wrong_everywhere_is_not_told_without_end() -> None:
    text = b"(self.saereport=self.saereport||[]).push([" + b'{"href":"gone.html"}\n' * 10_000
    found = list(check_data("x.js", io.BytesIO(text), Site(frozenset({"x.js", "report.js"}), {})))
    assert len(found) == MOST_FINDINGS


def test_checksums(report: Path) -> None:
    (report / "methods.html").unlink()
    script = report / "report.js"
    script.write_bytes(script.read_bytes()[:-1] + b" ")
    (report / "vocabulary.js").write_bytes(b"")
    (report / "notes.txt").write_bytes(b"mine")
    found = {
        (f.path, f.severity, f.message.split(",")[0].split(":")[0])
        for f in check(report)
        if f.rule == "manifest"
    }
    assert found == {
        ("notes.txt", "warning", "no manifest lists this file"),
        ("report.js", "error", "changed since it was made"),
        ("report.json", "error", "it lists 'methods.html'"),
        ("vocabulary.js", "error", "changed since it was made"),
    }


@pytest.mark.parametrize(
    "text", ["", "[]", "[" * 100_000, '{"format":"saereport-report","version":9}', "\xff", "{}"]
)
def test_a_manifest_that_is_none(report: Path, text: str) -> None:
    (report / "report.json").write_bytes(text.encode("latin-1"))
    (found,) = check_manifests(report, {"report.json": 1})
    assert (found.path, found.rule, found.severity) == ("report.json", "manifest", "error")


@pytest.mark.parametrize(
    ("path", "severity"),
    [
        ("a b.html", "error"),
        ("aux.js", "error"),
        ("sub/com1", "error"),
        ("ends.", "error"),
        ("_draft.js", "error"),
        ("_draft/x.js", "error"),
        ("ünder.js", "error"),
        ("x#y.js", "error"),
        ("x%41.js", "error"),
        ("a\\b.js", "error"),
        ("Run.json", "warning"),
        (".env", "warning"),
        ("x" * 121, "warning"),
        ("/".join(["x" * 60] * 3), "warning"),
        ("CNAME", ""),
        ("README.md", ""),
        ("auxiliary.js", ""),
    ],
)
def test_names(path: str, severity: str) -> None:
    found = list(check_names({path: 1}))
    assert {finding.severity for finding in found} == ({severity} if severity else set())


def test_names_that_differ_in_case() -> None:
    found = [f for f in check_names({"A/x.js": 1, "a/y.js": 1}) if f.severity == "error"]
    assert [(f.path, f.rule) for f in found] == [("a", "name")]
    assert [f.path for f in check_names({"_a.js": 1, ".nojekyll": 0})] == []


def test_sizes(report: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (report / "large.bin").open("wb") as stream:
        stream.truncate(101 * 2**20)
    with (report / "middling.bin").open("wb") as stream:
        stream.truncate(51 * 2**20)
    found = [(f.path, f.severity) for f in check(report) if f.rule == "size"]
    assert found == [("large.bin", "error"), ("middling.bin", "warning")]
    monkeypatch.setattr("saereport.publish.limits.SITE_BYTES", 2**20)
    assert ("", "error") in [(f.path, f.severity) for f in check(report) if f.rule == "size"]


def test_pages_of_every_spelling_are_looked_into(report: Path) -> None:
    text = '<script src="https://evil.example/x.js"></script>'
    for name in ("Z.HTML", "x.xhtml", "y.svg"):
        (report / name).write_text(text, encoding="utf-8")
    found = check(report)
    for name in ("Z.HTML", "x.xhtml", "y.svg"):
        assert any(f.path == name and f.rule == "policy" for f in found if f.severity == "error")
    assert any(f.path == "Z.HTML" and "evil.example" in f.message for f in found)


def test_what_is_no_file_of_the_site(report: Path) -> None:
    (report / "elsewhere").symlink_to(report.parent)
    (report / ".git").mkdir()
    found = {(f.path, f.rule, f.severity) for f in check(report)}
    assert found == {("elsewhere", "name", "error"), (".git", "name", "error")}


def test_reports_side_by_side_and_no_report(report: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    shutil.copytree(report, site / "one")
    shutil.copytree(report, site / "two")
    assert check(site) == ()
    (tmp_path / "nothing").mkdir()
    assert {f.rule for f in check(tmp_path / "nothing")} == {"manifest", "link"}
    with pytest.raises(SaereportError, match="There is no site"):
        check(tmp_path / "gone")


def test_a_single_file(tmp_path: Path) -> None:
    code = "self.x=1"
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    good = (
        '<!doctype html><html lang="en"><head>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta charset="utf-8"><title>x</title></head><body>\n'
        f'<script>{code}</script><script type="application/json">{{}}</script></body></html>'
    )
    page = tmp_path / "report.html"
    page.write_text(good)
    assert check(page) == ()
    page.write_text(good.replace("self.x", "self.y"))
    assert told(check(page), "report.html") == [(2, "policy", "error")]
    page.write_text(good.replace("<body>", '<body><a href="other.html">x</a>'))
    assert told(check(page), "report.html") == [(1, "link", "error")]


def test_a_report_in_one_file(made: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    render(made, page, single_file=True)
    assert errors(check(page)) == 0
    paths = read_page(page.read_bytes()).parts
    assert {"index.html", "methods.html", "report.js"} <= paths.keys()
    sae = next(path for path, kind in paths.items() if kind == "sae")
    good = [f'<a href="#{sae}#q=city">x</a>', '<a href="#methods.html">x</a>']
    bad = [
        '<a href="#methods.html#q=city">x</a>',
        '<a href="#gone.html">x</a>',
        f'<a href="#{sae.replace("index", "l0000")}#latent-999999">x</a>',
    ]
    line = change(page, "</body>", "\n".join(["", *good, *bad, "</body>"])) + 1
    found = [finding for finding in told(check(page), "report.html") if finding[2] == "error"]
    places = range(line + len(good), line + len(good) + len(bad))
    assert found == [(place, "anchor", "error") for place in places]


def test_the_command(report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "findings.json"
    arguments = ["--quiet", "publish-check", str(report), "--json", str(out)]
    assert cli.run(arguments) == 0
    assert json.loads(out.read_text())["findings"] == []
    (report / "notes.txt").write_bytes(b"")
    assert cli.run(arguments) == 0
    assert "notes.txt: warning: no manifest lists this file [manifest]" in capsys.readouterr().out
    line = change(report / "index.html", "<main", "<main onclick=x")
    assert cli.run(arguments) == 3
    said = capsys.readouterr()
    assert f"index.html:{line}: error: " in said.out
    assert said.err.startswith("saereport: 2 errors, 1 warning in ")
    value = json.loads(out.read_text())
    assert (value["errors"], value["warnings"], len(value["findings"])) == (2, 1, 3)
    assert cli.run([*arguments[:3], "--json", "-"]) == 3
    said = capsys.readouterr()
    assert json.loads(said.out) == value
    assert f"index.html:{line}: error: " in said.err
    assert cli.run([*arguments[:3], "--json", str(report / "inside.json")]) == 2
    assert not (report / "inside.json").exists()
    assert cli.run(["publish-check", str(tmp_path / "gone")]) == 1


HEAD = '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>x</title></head><body>'
SLOW = {
    "deep": "<div>" * 60_000,
    "formatting": "".join(f"<b id=a{i}>" for i in range(20_000)),
    "lists": "<ul><li>" * 20_000,
    "misnested": "<b><i></b>" * 20_000,
    "in a table": "<table>" + "a<b>" * 20_000,
    "comments": "<!--" * 40_000,
    "long comment": f"<!--{'a--b' * 40_000}-->",
    "tags": '<div a="' * 20_000,
    "tags without quotes": "<div a=" * 20_000,
    "attributes": f"<div {' '.join(f'a{i}=1' for i in range(20_000))}>",
    "value": f"<div a={'<' * 60_000}>",
    "styles": f"<style>{'url(' * 40_000}</style>",
}
"""What took minutes: each is read in a few seconds at most, and found to be wrong."""


@pytest.mark.parametrize("case", SLOW)
def test_no_page_takes_time_that_grows_with_its_square(case: str, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(HEAD + SLOW[case], encoding="utf-8")
    start = time.process_time()
    assert [found for found in check(tmp_path / "index.html") if found.severity == "error"]
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    ("sheet", "found"),
    [
        ("c{d:url(q", ["q"]),
        ("@import'x'", ["x"]),
        ("@im\\70ort url(y)", ["y"]),
        ("a{b:image-set('z' 1x, url(w) 2x)}", ["z", "w"]),
        ("a{b:U\\52L( 'v' )}", ["v"]),
        ("a{b:[(c{d:src('u')})]}", ["u"]),
        # What browsers throw away asks nobody.
        ("a{b:url(https://x.y/ z)} c{d:url(ok)}", ["ok"]),
        ("/* url(no) */ a{content:'url(no)'}", []),
    ],
)
def test_addresses_of_a_style_sheet_are_those_that_browsers_read(
    sheet: str, found: list[str]
) -> None:
    assert [one.url for one in style_references(sheet)] == found
