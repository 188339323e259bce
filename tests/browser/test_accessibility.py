"""WCAG 2.2 AA on every type of page, by axe-core: both themes, wide and narrow, panels unfolded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from saereport.site import render
from tests.browser.axe import violations
from tests.browser.conftest import Watched, latent_pages

pytestmark = pytest.mark.browser

Make = Callable[..., Watched]
PUBLISHED = Path(__file__).parents[2] / "site"

PAGES = {
    "overview": ("index.html", ""),
    "sae": ("resid-l10/index.html", ""),
    "sae, filtered": ("resid-l10/index.html", "#sort=-density&q=french"),
    "latent": ("resid-l10/l0000.html", "#latent-1342"),
    "transcoder's latent": ("transcoder-l14/l0000.html", "#latent-1799"),
    "attention latent": ("attn-z-l18/l0000.html", ""),
    "blind latent": ("transcoder-l10/l0000.html", "#latent-2080"),
    "circuits": ("circuits/index.html", ""),
    "prompt": ("circuits/the-eiffel-tower.html", ""),
    "induction prompt": ("circuits/repeated-random-tokens.html", ""),
    "graph": ("circuits/the-eiffel-tower-graph.html", ""),
    "compare": ("compare.html", "#pins=resid-l10.47,resid-l10.324,resid-l16.128"),
    "compare, nothing pinned": ("compare.html", ""),
    "pinned": ("resid-l10/l0000.html", "#latent-47&pins=resid-l10.47"),
    "methods": ("methods.html", ""),
    "provenance": ("provenance.html", ""),
}
WINDOWS = [("light", 1360), ("dark", 1360), ("dark", 360), ("light", 360)]

UNFOLD = """() => {
  for (const box of document.querySelectorAll("main details")) box.open = true;
}"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's run with the pages of today."""
    folder = tmp_path_factory.mktemp("accessible") / "report"
    render(PUBLISHED, folder)
    return folder


def settled(page: Any) -> None:
    """Scroll through the page, so that what is drawn when seen is drawn; then unfold everything."""
    for _ in range(2):
        height = page.evaluate("document.documentElement.scrollHeight")
        for top in range(0, height, 2400):
            page.evaluate(f"self.scrollTo(0, {top})")
            page.wait_for_timeout(60)
        page.evaluate(UNFOLD)
    page.wait_for_timeout(300)
    page.evaluate("self.scrollTo(0, 0)")


@pytest.mark.parametrize(("theme", "width"), WINDOWS)
@pytest.mark.parametrize("name", PAGES)
def test_no_page_type_has_a_violation(
    report: Path, watched: Make, name: str, theme: str, width: int
) -> None:
    path, anchor = PAGES[name]
    seen = watched(width=width, theme=theme)
    page = seen.open(report / path, anchor)
    settled(page)
    assert violations(page) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_help_has_no_violation(report: Path, watched: Make, theme: str) -> None:
    page = watched(theme=theme).open(report / "index.html")
    page.keyboard.press("?")
    assert page.evaluate("document.getElementById('keys').open")
    assert violations(page) == []


def test_hostile_names_and_tokens_do_not_break_it(hostile: Path, watched: Make) -> None:
    for path in (hostile / "index.html", *sorted(hostile.glob("*/index.html"))[:1]):
        assert violations(watched().open(path)) == []
    page = watched().open(latent_pages(hostile)[0])
    settled(page)
    assert violations(page) == []


def test_axe_finds_what_is_wrong(report: Path, watched: Make) -> None:
    page = watched().open(report / "index.html")
    page.evaluate("document.querySelector('main').append(document.createElement('button'))")
    assert any(line.startswith("button-name") for line in violations(page))
