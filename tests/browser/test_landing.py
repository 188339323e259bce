"""The landing page in Chromium: filters, sorting, the address, themes, both widths."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from saereport.publish import index
from tests.browser.axe import violations
from tests.browser.conftest import Watched, until, url_of

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def landing(hostile: Path, plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page over a report of three SAEs with hostile words, and one of one SAE."""
    folder = tmp_path_factory.mktemp("landing") / "all reports #1"
    shutil.copytree(hostile, folder / "hostile #1")
    shutil.copytree(plain, folder / "plain")
    return index([folder], folder, title="</title><script>self.stolen=1</script>")


def shown(page: Any, column: int) -> list[str]:
    found: list[str] = page.evaluate(
        """(column) => Array.from(document.querySelectorAll("#rows tr:not([hidden])"))
        .map((row) => row.cells[column].textContent)""",
        column,
    )
    return found


def test_sort_by_any_column_and_back(watched: Callable[..., Watched], landing: Path) -> None:
    seen = watched()
    page = seen.open(landing)
    at_first = shown(page, 0)
    assert len(at_first) == 4
    heads = page.locator("thead button")
    assert heads.count() == 14
    for column in range(14):
        heads.nth(column).click()
        once = shown(page, column)
        heads.nth(column).click()
        assert shown(page, column) == sorted_as(page, column, once)
    heads.nth(6).click()
    widths = [int(text.replace(",", "")) for text in shown(page, 6)]
    assert widths == sorted(widths, reverse=True)
    assert page.locator("thead th").nth(6).get_attribute("aria-sort") == "descending"
    assert page.evaluate("location.hash") == "#sort=-width"
    seen.check()


def sorted_as(page: Any, column: int, once: list[str]) -> list[str]:
    """The other order: groups of equal values turn, each keeps its own order."""
    groups: list[list[str]] = []
    for text in once:
        if groups and groups[-1][0] == text:
            groups[-1].append(text)
        else:
            groups.append([text])
    return [text for group in reversed(groups) for text in group]


def test_filters_are_in_the_address(watched: Callable[..., Watched], landing: Path) -> None:
    seen = watched()
    page = seen.open(landing)
    page.fill("#filter", "Transcoder topk")
    until(page, "location.hash === '#q=Transcoder+topk'")
    assert len(shown(page, 0)) == 1
    assert page.text_content("#found") == "1 of 4 SAEs"
    page.fill("#filter", "no such word")
    until(page, "!document.getElementById('nothing').hidden")
    page.fill("#filter", "")
    until(page, "location.hash === ''")
    page.select_option("[data-filter=layer]", "3")
    assert set(shown(page, 3)) == {"3"}
    page.click("thead button >> nth=8")
    address = url_of(page)
    assert address.endswith("#layer=3&sort=-l0")
    again = watched()
    again.page.goto(address)
    assert shown(again.page, 0) == shown(page, 0)
    for odd in ("#layer=99&sort=constructor&q=%", "#sort=-__proto__&model=%3Cb%3E", "#reports"):
        again.open(landing, odd)
        again.page.reload()
        assert again.page.locator("#rows tr").count() == 4
    seen.check()
    again.check()


def test_its_links_open_the_reports(watched: Callable[..., Watched], landing: Path) -> None:
    seen = watched()
    page = seen.open(landing)
    hrefs = page.evaluate("Array.from(document.querySelectorAll('main a'), (a) => a.href)")
    assert len(hrefs) == 4 + 4 + 2
    for href in dict.fromkeys(hrefs):
        page.goto(href)
        assert page.locator("h1").count() >= 1
    seen.check()


def test_keys_and_themes(watched: Callable[..., Watched], landing: Path) -> None:
    seen = watched(theme="dark")
    page = seen.open(landing)
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.keyboard.press("?")
    assert page.evaluate("document.getElementById('keys').open")
    page.keyboard.press("?")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "filter"
    seen.check()


def test_without_javascript(watched: Callable[..., Watched], landing: Path) -> None:
    seen = watched(java_script_enabled=False)
    page = seen.open(landing)
    assert page.locator("#rows tr:visible").count() == 4
    assert page.locator("#filter").is_hidden()
    assert page.locator(".card a").count() == 2


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1360, 360])
def test_it_fits(
    watched: Callable[..., Watched], landing: Path, screenshots: Path, width: int, theme: str
) -> None:
    seen = watched(width=width, theme=theme)
    page = seen.open(landing)
    page.screenshot(path=screenshots / f"landing-{width}-{theme}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#rows th a").first.is_visible()
    assert page.locator("#sort").is_visible() == (width == 360)
    seen.check()


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 360)])
def test_axe_finds_nothing(
    watched: Callable[..., Watched], landing: Path, theme: str, width: int
) -> None:
    assert violations(watched(theme=theme, width=width).open(landing)) == []
