from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pytest

from saereport.publish import landing
from saereport.site import assets, difference

FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function|srcdoc|"
    r"\bfetch\(|XMLHttpRequest|\bimport\b|https?://(?!www\.w3\.org)"
)
OWN_SCRIPTS = sorted((assets.templates() / "static").glob("*.js"))
SOURCES = assets.templates() / "scripts"


def test_vendored_files_are_what_was_published() -> None:
    folder = assets.templates() / "vendor"
    lines = (folder / "SHA256SUMS").read_text().split("\n")
    sums = dict(reversed(line.split()) for line in lines if line)
    assert set(sums) == set(assets.VENDORED)
    for name, digest in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_every_own_script_and_style_is_used() -> None:
    scripts = {assets.EARLY, *assets.SCRIPTS, *landing.SCRIPTS, difference.SCRIPT}
    styles = {*assets.STYLES, *landing.STYLES, *difference.STYLES, "single.css"}
    assert {path.name for path in OWN_SCRIPTS} == scripts
    assert {path.name for path in (assets.templates() / "static").glob("*.css")} == styles


def test_the_bundled_scripts_are_made_from_the_sources_of_today() -> None:
    """`make scripts` writes both the bundles and the list; this needs no Node."""
    lines = (SOURCES / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    listed = {path: sum_ for sum_, _, path in (line.partition("  ") for line in lines)}
    sources = {}
    for folder, folders, files in os.walk(SOURCES):
        folders[:] = [name for name in folders if name != "node_modules"]
        for name in set(files) - {"SHA256SUMS"}:
            sources[(Path(folder) / name).relative_to(SOURCES).as_posix()] = Path(folder) / name
    bundles = {f"../static/{path.name}": path for path in OWN_SCRIPTS}
    found = {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in (sources | bundles).items()
    }
    assert found == listed, "a bundle is stale: run 'make scripts'"


def test_a_report_holds_what_its_pages_use_and_no_more(tmp_path: Path) -> None:
    assets.copy_assets(tmp_path / "assets")
    copied = {path.name for path in (tmp_path / "assets").iterdir()}
    vendored = {name.lower() for name in assets.VENDORED}
    assert copied == {*assets.STYLES, assets.EARLY, *assets.SCRIPTS, *vendored}
    others = {"landing", "difference", "single"}
    assert not {name for name in copied if name.partition(".")[0] in others}


@pytest.mark.parametrize("name", assets.STYLES)
def test_every_class_of_a_style_is_made_somewhere(name: str) -> None:
    """A rule for a class that nothing makes is dead."""
    style = (assets.templates() / "static" / name).read_text(encoding="utf-8")
    package = Path(assets.__file__).parents[1]
    makers = [*OWN_SCRIPTS, *assets.templates().glob("*.html"), *package.rglob("*.py")]
    made = set(re.findall(r"[\w-]+", " ".join(path.read_text(encoding="utf-8") for path in makers)))
    plain = re.sub(r"/\*.*?\*/|\{[^{}]*\}", "{}", style, flags=re.DOTALL)
    wanted = set(re.findall(r"\.(-?[a-zA-Z_][\w-]*)", plain))
    # Classes that a script puts together: a step of a scale, a kind of node, a mark, a sample.
    counted = {found for found in wanted if re.fullmatch(r"[adekmnp]\d|[kds]-\w+|mark-\w+", found)}
    assert wanted - counted - made == set()


@pytest.mark.parametrize("path", OWN_SCRIPTS, ids=lambda path: path.name)
def test_scripts_make_no_markup_from_text(path: object) -> None:
    text = path.read_text(encoding="utf-8")  # type: ignore[attr-defined]
    assert not FORBIDDEN.search(text)
    assert '"use strict";' in text


@pytest.mark.parametrize("path", sorted(assets.templates().glob("*.html")), ids=lambda p: p.name)
def test_templates_trust_nothing(path: object) -> None:
    text = path.read_text(encoding="utf-8")  # type: ignore[attr-defined]
    assert "|safe" not in text.replace(" ", "")
    assert "autoescape" not in text
    assert not re.search(r"\sstyle=|\son\w+=|javascript:", text)
    own = text.replace("<script>{{ script }}</script>", "").replace(
        "<script>{{ early }}</script>", ""
    )
    assert not re.search(r"<script(?![^>]* src=)", own), "a script that is not one of our files"
    assert not re.search(r"=\{\{", text), "an attribute without quotes"


FIXED = re.compile(r"[\w-]+:[^;{}]*?(?<![\w.])(?:[4-9]|\d{2,})(?:\.\d+)?px")
SCREEN = sorted(
    path for path in (assets.templates() / "static").glob("*.css") if path.name != "print.css"
)


@pytest.mark.parametrize("path", SCREEN, ids=lambda path: path.name)
def test_lengths_follow_the_text_size(path: Path) -> None:
    """A reader who sets larger text gets larger boxes: lengths are in rem, windows in em.

    Hairlines are in pixels, and so are paper and what stands inside the drawing of a graph.
    """
    text = re.sub(r"^@media print \{.*?^\}", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    lines = [line for line in text.split("\n") if not line.startswith(("@media print", ".node"))]
    assert FIXED.findall("\n".join(lines)) == []
