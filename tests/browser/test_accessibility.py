"""WCAG 2.2 AA on every type of page and in every state of it, by axe-core, in both themes.

The wide window is light and the narrow one dark: colours do not depend on the width. The pages of a
comparison and of a folder of reports are looked at by `test_difference.py` and `test_landing.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from saereport.exchange import export_report, import_files
from saereport.report.rendering import render as render_as
from saereport.run import open_run
from saereport.site import render, report_of
from saereport.site.parts import Page, page_kinds
from tests.browser.axe import violations
from tests.browser.conftest import Watched, latent_pages, until
from tests.sinks import items_of

pytestmark = pytest.mark.browser

Make = Callable[..., Watched]
State = Callable[[Any], None]
WINDOWS = [("light", 1360), ("dark", 360)]
TWO = "#pins=resid-l10.47,resid-l10.324"


UNFOLD = (
    """document.querySelectorAll("main details:not(.unfold)").forEach((box) => box.open = true)"""
)


# ---- what a reader does to a page


def seen_whole(page: Any) -> None:
    """Scroll, so that what is drawn when seen is drawn; then unfold all but further maps."""
    for _ in range(2):
        height = page.evaluate("document.documentElement.scrollHeight")
        for top in range(0, height, 2400):
            page.evaluate(f"self.scrollTo(0, {top})")
            page.wait_for_timeout(40)
        page.evaluate(UNFOLD)
    page.wait_for_timeout(200)
    page.evaluate("self.scrollTo(0, 0)")


def nothing_fits(page: Any) -> None:
    page.fill("#filter", "no such word")
    until(page, "document.getElementById('found').textContent.startsWith('0 of')")


def everything_open(page: Any) -> None:
    """An example with who else reads it, a menu of data, the notes, the tray of pins."""
    page.click("article.current .fold >> nth=0")
    page.wait_for_selector("article.current .also-box select, article.current .also-box p")
    page.click("article.current .data-open >> nth=0")
    page.click(".tray button[aria-expanded]")
    page.wait_for_selector(".tray li .gloss *, .tray li .gloss:not(:empty)")
    page.locator("details.notes").first.evaluate("(box) => (box.open = true)")


def menu_open(page: Any) -> None:
    page.click(".share")
    assert page.locator(".share-menu button").count() == 3


def help_open(page: Any) -> None:
    page.keyboard.press("?")
    assert page.evaluate("document.getElementById('keys').open")


def node_pinned(page: Any) -> None:
    page.locator(".node.k-latent").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".g-panel h4")


def by_keyboard_in_a_map(page: Any) -> None:
    page.locator(".c-heat").first.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(".c-card dl")


PAGES: dict[str, tuple[str, str, tuple[State, ...]]] = {
    "overview": ("index.html", "", (menu_open, help_open)),
    "sae": ("resid-l10/index.html", "", (seen_whole, nothing_fits)),
    "sae, filtered": ("resid-l10/index.html", "#sort=-density&q=french", ()),
    "latent": ("resid-l10/l0000.html", "#latent-47", (seen_whole,)),
    "latent, all open": ("resid-l10/l0000.html", "#latent-47&" + TWO[1:], (everything_open,)),
    "transcoder's latent": ("transcoder-l14/l0000.html", "", (seen_whole,)),
    "attention latent": ("attn-z-l18/l0000.html", "", (seen_whole, help_open)),
    "blind latent": ("transcoder-l10/l0000.html", "#latent-2080", (seen_whole,)),
    "circuits": ("circuits/index.html", "", (seen_whole,)),
    "prompt": ("circuits/the-eiffel-tower.html", "", (seen_whole, by_keyboard_in_a_map)),
    "induction prompt": ("circuits/repeated-random-tokens.html", "", (seen_whole,)),
    "graph": ("circuits/the-eiffel-tower-graph.html", "", (seen_whole, node_pinned)),
    "compare, two": ("compare.html", TWO, (seen_whole,)),
    "compare, four": ("compare.html", TWO + ",resid-l16.128,resid-l10.331", ()),
    "compare, nothing pinned": ("compare.html", "", ()),
    "methods": ("methods.html", "", (seen_whole,)),
    "provenance": ("provenance.html", "", (seen_whole,)),
}


LISTED = {
    "overview": "overview",
    "sae": "sae",
    "latents": "latent",
    "circuits": "circuits",
    "prompt": "prompt",
    "graph": "graph",
    "compare": "compare, two",
    "methods": "methods",
    "provenance": "provenance",
}
"""Kinds of pages that `PAGES` looks at with what a reader does to them, and where."""


def first_pages(run: Path) -> dict[str, str]:
    """Path of the first page of each kind that the report of a run has."""
    report = report_of(open_run(run))
    pages = [item for item in items_of(report) if isinstance(item, Page)]
    return {page.kind: page.path for page in reversed(pages)}


def test_every_kind_of_page_is_looked_at(published: Path, watched: Make) -> None:
    """Those of `LISTED` below; a kind that another part adds is looked at here."""
    found = first_pages(published)
    assert LISTED.keys() <= found.keys() <= page_kinds().keys()
    for kind, name in LISTED.items():
        assert f'data-page="{page_kinds()[kind].acts_as}"' in (
            published / PAGES[name][0]
        ).read_text("utf-8")
    for kind in found.keys() - LISTED.keys():
        seen = watched(width=820)
        page = seen.open(published / found[kind])
        seen_whole(page)
        assert violations(page) == [], kind
        seen.check()


@pytest.mark.slow
@pytest.mark.parametrize(("theme", "width"), WINDOWS)
@pytest.mark.parametrize("name", PAGES)
def test_no_page_type_has_a_violation(
    published: Path, watched: Make, name: str, theme: str, width: int
) -> None:
    path, anchor, states = PAGES[name]
    seen = watched(width=width, theme=theme)
    page = seen.open(published / path, anchor)
    if not states:
        assert violations(page) == []
    for state in states:
        state(page)
        assert violations(page) == [], state.__name__
    assert seen.problems == []


@pytest.mark.parametrize("name", PAGES)
def test_no_page_has_a_violation_as_it_opens(published: Path, watched: Make, name: str) -> None:
    """Nothing unfolded yet, in a window between a phone's and a desk's."""
    path, anchor, _ = PAGES[name]
    page = watched(width=820).open(published / path, anchor)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(("theme", "width"), WINDOWS)
def test_a_report_in_one_file(
    tmp_path: Path, plain: Path, watched: Make, theme: str, width: int
) -> None:
    single = render_as(plain / "run", tmp_path / "one.html", single_file=True).path
    seen = watched(width=width, theme=theme)
    page = seen.open(single)
    assert violations(page) == []
    page.click("#rows th a")
    page.wait_for_selector("article.current .panels")
    seen_whole(page)
    assert violations(page) == []
    seen.check()


@pytest.mark.parametrize(("theme", "width"), WINDOWS)
def test_an_imported_report(
    tmp_path: Path, plain: Path, watched: Make, theme: str, width: int
) -> None:
    export_report(plain / "run", tmp_path / "files", format="neuronpedia")
    import_files([tmp_path / "files"], tmp_path / "run")
    render(tmp_path / "run", tmp_path / "report")
    seen = watched(width=width, theme=theme)
    for path in (
        *sorted(tmp_path.glob("report/*/index.html"))[:1],
        *latent_pages(tmp_path / "report")[:1],
    ):
        page = seen.open(path)
        seen_whole(page)
        assert violations(page) == []


def test_hostile_names_and_tokens_do_not_break_it(hostile: Path, watched: Make) -> None:
    for path in (hostile / "index.html", *sorted(hostile.glob("*/index.html"))[:1]):
        assert violations(watched().open(path)) == []
    page = watched().open(latent_pages(hostile)[0])
    seen_whole(page)
    assert violations(page) == []


def test_axe_finds_what_is_wrong(published: Path, watched: Make) -> None:
    page = watched().open(published / "index.html")
    page.evaluate("document.querySelector('main').append(document.createElement('button'))")
    assert any(line.startswith("button-name") for line in violations(page))


CUT_OFF = """() => {
  const nav = document.querySelector(".nav");
  const cut = [...nav.children].filter((link) => link.scrollWidth > link.clientWidth + 1);
  const room = nav.scrollWidth <= nav.clientWidth + 1 || getComputedStyle(nav).overflowX === "auto";
  return [...cut.map((link) => link.textContent), ...(room ? [] : ["the bar"])];
}"""


@pytest.mark.parametrize(("page", "axe_at"), [("resid-l16/index.html", 800), ("index.html", 1090)])
def test_the_bar_has_room_between_phone_and_desk(
    published: Path, watched: Make, page: str, axe_at: int
) -> None:
    view = watched(1360)
    view.open(published / page)
    for width in (360, 600, 761, 800, 900, 1000, 1080, 1081, 1200, 1360):
        view.page.set_viewport_size({"width": width, "height": 700})
        assert view.page.evaluate(CUT_OFF) == [], width
        until(view.page, "document.documentElement.scrollWidth <= innerWidth")
    view.page.set_viewport_size({"width": axe_at, "height": 700})
    assert violations(view.page) == []
    view.check()
