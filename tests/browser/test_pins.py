"""Pinned latents: in the address of every page, in the tray, by mouse and keyboard."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from saereport.run import open_run
from tests.browser.conftest import Watched, latent_pages, until, url_of

pytestmark = pytest.mark.browser

Make = Callable[..., Watched]


def slug_of(report: Path) -> str:
    return open_run(report).info.saes[0].slug


def chosen(report: Path) -> list[int]:
    run = open_run(report)
    return [int(n) for n in run.table("activity", slug_of(report))["latent"].to_pylist()]


def pins(page: Any) -> str:
    found = re.search(r"[#&]pins=([^&#]*)", url_of(page))
    return found[1] if found else ""


def test_a_pin_goes_from_page_to_page(plain: Path, watched: Make) -> None:
    slug, shown = slug_of(plain), chosen(plain)
    seen = watched()
    page = seen.open(latent_pages(plain)[0])
    page.wait_for_selector("article.current .marks")
    assert page.locator(".tray").is_hidden()
    page.keyboard.press("p")
    assert pins(page) == f"{slug}.{shown[0]}"
    assert page.locator(".tray button[aria-expanded]").inner_text().startswith("1 pinned")
    page.keyboard.press("j")
    page.click("article.current .mark-pin")
    wanted = f"{slug}.{shown[0]},{slug}.{shown[1]}"
    assert pins(page) == wanted
    for _ in range(15):
        page.keyboard.press("j")
    page.wait_for_url("**/l0001.html#latent-*")
    page.wait_for_selector("article.current .marks")
    assert pins(page) == wanted
    page.keyboard.press("u")
    page.wait_for_selector("#rows tr[data-latent]")
    assert pins(page) == wanted
    assert page.locator("#rows .mark-pin[aria-pressed=true]").count() == 2
    page.click("nav >> text=Methods")
    page.wait_for_url("**/methods.html#pins=*")
    page.locator(".contents a").nth(2).click()
    until(page, "self.location.hash.includes('pins=')")
    assert pins(page) == wanted
    page.click(".tray >> text=Compare")
    page.wait_for_selector(".compared .cell")
    assert pins(page) == wanted
    seen.check()


def test_the_tray_by_keyboard(plain: Path, watched: Make) -> None:
    slug, shown = slug_of(plain), chosen(plain)
    text = ",".join(f"{slug}.{n}" for n in shown[:3])
    seen = watched(width=360, height=740)
    page = seen.open(plain / "index.html", f"#q=e&pins={text}")
    toggle = page.locator(".tray button[aria-expanded]")
    toggle.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".tray li .gloss *, .tray li .gloss:not(:empty)")
    assert page.locator(".tray li").count() == 3
    page.keyboard.press("Shift+Tab")
    label = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert label.startswith("Unpin")
    page.keyboard.press("Enter")
    assert page.locator(".tray li").count() == 2
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("Unpin")
    page.keyboard.press("Escape")
    assert toggle.get_attribute("aria-expanded") == "false"
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.click(".tray >> text=Clear")
    assert page.locator(".tray").is_hidden()
    assert url_of(page).endswith("#q=e")
    seen.check()


def test_the_address_is_made_canonical_and_not_trusted(plain: Path, watched: Make) -> None:
    slug, shown = slug_of(plain), chosen(plain)
    good = [f"{slug}.{n}" for n in shown[:2]]
    bad = ["__proto__.3", "%3Cimg%20src=x%3E.1", f"{slug}.99999999", "..", f"{slug}.-1"]
    seen = watched()
    page = seen.open(plain / "index.html", f"#pins={good[1]},{','.join(bad)},{good[0]},{good[1]}")
    page.wait_for_selector("#rows tr[data-latent]")
    assert pins(page) == f"{good[1]},{good[0]}"
    assert "Not in this report" in page.locator(".tray-said").inner_text()
    page.click(".tray-said button")
    assert page.locator(".tray-said").is_hidden()
    missing = next(n for n in range(shown[0], shown[-1]) if n not in shown)
    page = seen.open(plain / "methods.html", f"#pins={slug}.{missing},{good[0]}")
    page.click(".tray button[aria-expanded]")
    until(page, "document.querySelectorAll('.tray li').length === 1")
    assert pins(page) == good[0]
    assert str(missing) in page.locator(".tray-said").inner_text()
    seen.check()


def test_no_more_than_twelve(plain: Path, watched: Make) -> None:
    slug, shown = slug_of(plain), chosen(plain)
    seen = watched()
    page = seen.open(plain / "index.html", "#pins=" + ",".join(f"{slug}.{n}" for n in shown[:15]))
    page.wait_for_selector("#rows tr[data-latent]")
    assert len(pins(page).split(",")) == 12
    page.click(f"#rows tr[data-latent='{shown[12]}'] .mark-pin")
    assert len(pins(page).split(",")) == 12
    assert "At most 12" in page.locator(".tray-said").inner_text()
    page.click(f"#rows tr[data-latent='{shown[0]}'] .mark-pin")
    assert len(pins(page).split(",")) == 11
    seen.check()


def test_links_in_the_page_still_lead_to_their_places(plain: Path, watched: Make) -> None:
    seen = watched()
    pin = f"{slug_of(plain)}.{chosen(plain)[0]}"
    page = seen.open(plain / "methods.html", f"#activity&pins={pin}")
    until(page, "self.scrollY > 100")
    assert page.locator("a.skip").get_attribute("href") == "#main"
    hrefs = page.eval_on_selector_all(
        "nav.nav a", "(links) => links.map((link) => link.getAttribute('href'))"
    )
    assert all(href.endswith(f"#pins={pin}") for href in hrefs)
    seen.check()
