from __future__ import annotations

import hashlib
import re

import pytest

from saereport.site import assets

FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function|srcdoc|"
    r"\bfetch\(|XMLHttpRequest|\bimport\b|https?://(?!www\.w3\.org)"
)
OWN_SCRIPTS = sorted((assets.templates() / "static").glob("*.js"))


def test_vendored_files_are_what_was_published() -> None:
    folder = assets.templates() / "vendor"
    lines = (folder / "SHA256SUMS").read_text().split("\n")
    sums = dict(reversed(line.split()) for line in lines if line)
    assert set(sums) == set(assets.VENDORED)
    for name, digest in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_every_own_script_is_used() -> None:
    assert {path.name for path in OWN_SCRIPTS} == {assets.EARLY, *assets.SCRIPTS}


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
    assert not re.search(r"<script(?![^>]* src=)", text)
    assert not re.search(r"=\{\{", text), "an attribute without quotes"
