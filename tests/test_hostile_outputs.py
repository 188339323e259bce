"""Hostile words in every output that is no page of a report: they are shown, and do nothing."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from saereport.cli import main as cli
from saereport.report.rendering import render
from saereport.report.report import open_report
from saereport.run import open_run
from saereport.util.errors import SaereportError
from tests.diff.edited import edited, times
from tests.run.fuzzing import SHAPE
from tests.synthetic import Shape, write_run
from tests.synthetic_circuits import prompts

HOSTILE = Shape(**{**SHAPE.__dict__, "hostile": True, "n_vocabulary": 700})
SLUG = "synthetic-l3-residual"
ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
"""Characters that act on a terminal or on the text around them."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hostile run, and the same with every maximum and every top token's value changed."""
    folder = tmp_path_factory.mktemp("hostile-outputs")
    write_run(folder / "before", HOSTILE, prompts)
    latents = open_run(folder / "before").table("activity", SLUG)["latent"].to_pylist()
    changes = {("activity", SLUG): times("max", latents[3], 3)}
    edited(folder / "before", folder / "after", changes)
    return folder


def said(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """What a command that ends well, or at a gate, prints."""
    code = cli.run([*map(str, words), "--quiet"])
    captured = capsys.readouterr()
    assert code in (0, 3), captured.err
    return captured.out + captured.err


def test_the_terminal_is_only_written_on(capsys: pytest.CaptureFixture[str], runs: Path) -> None:
    before, after = runs / "before", runs / "after"
    commands = (
        ("info", before),
        ("diff", before, after, "--fail-on", "latents.changed > 0"),
        ("diff", before, after, "--markdown", "-"),
        ("diff", before, after, "--junit", "-", "--fail-on", "latents.changed > 0"),
        ("check", before, "--fail-on", "max > 0"),
    )
    for words in commands:
        text = said(capsys, *words)
        assert len(text) > 40
        assert not ACTS.search(text), ascii(text[:2000])


def test_machines_get_one_document(
    capsys: pytest.CaptureFixture[str], runs: Path, tmp_path: Path
) -> None:
    targets = {kind: tmp_path / f"out.{kind}" for kind in ("json", "junit", "markdown", "html")}
    options = [word for kind, path in targets.items() for word in (f"--{kind}", str(path))]
    gates = ("--fail-on", "latents.changed > 0")
    said(capsys, "diff", runs / "before", runs / "after", *options, *gates)
    made = json.loads(targets["json"].read_text(encoding="utf-8"))
    assert made["saes"][0]["changed"]
    ElementTree.parse(targets["junit"])
    for path in targets.values():
        text = path.read_text(encoding="utf-8")
        assert not {"\u202e", "\u2066", "\x1b", "\x00"} & set(text), path.name


class Elements(HTMLParser):
    """The elements of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append((tag, dict(attrs)))


def test_a_notebook_gets_one_frame(runs: Path, tmp_path: Path) -> None:
    render(runs / "before", tmp_path / "one.html", single_file=True)
    found = Elements(open_report(tmp_path / "one.html")._repr_html_()).names
    frames = [attributes for name, attributes in found if name == "iframe"]
    assert len(frames) == 1
    assert "allow-same-origin" not in (frames[0]["sandbox"] or "")
    assert not [name for name, _ in found if name in ("script", "img", "svg")]
    assert not [key for _, attributes in found for key in attributes if key.startswith("on")]


def test_what_is_wrong_is_said_in_visible_words(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    error = SaereportError("There is no '\x1b[31mred\x07\u202e'.", "Look\nfor another.")
    assert str(error) == "There is no '<0x1B>[31mred<0x07><U+202E>'. Look for another."
    code = cli.run(["render", str(tmp_path / "\x1b[2J"), "--out", str(tmp_path / "out")])
    text = capsys.readouterr().err
    assert code == 1
    assert "<0x1B>[2J" in text
    assert not ACTS.search(text)


def test_a_hostile_title_in_run_json_stays_in_its_line(
    capsys: pytest.CaptureFixture[str], runs: Path, tmp_path: Path
) -> None:
    info = json.loads((runs / "before" / "run.json").read_text(encoding="utf-8"))
    odd = "x\x1b]0;stolen\x07\r\nsecond line\u2028third"
    run = tmp_path / "run"
    run.mkdir()
    for name in ("release", "sae_id", "architecture", "hook_in", "label", "selection"):
        info["saes"][0][name] = odd
    info["title"] = info["model"]["name"] = odd
    info["files"] = []
    (run / "run.json").write_text(json.dumps(info), encoding="utf-8")
    text = said(capsys, "info", run)
    assert not ACTS.search(text)
    assert not [line for line in text.splitlines() if line.startswith("second line")]
