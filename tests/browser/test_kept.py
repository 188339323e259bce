"""What readers made of a page is kept: its address, pins, hypotheses, notes, the focus."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from saereport.publish import index
from saereport.report.rendering import render
from saereport.run import open_run
from tests.browser.conftest import Watched, latent_pages, until, url_of
from tests.browser.test_pins import chosen, pins, slug_of

pytestmark = pytest.mark.browser

Make = Callable[..., Watched]
FOCUS = "document.activeElement.id || document.activeElement.className"


def rows_of(seen: Watched, report: Path, anchor: str = "") -> Any:
    page = seen.open(report / "index.html", anchor)
    page.wait_for_selector("#rows tr[data-latent]")
    return page


def latent_of(seen: Watched, report: Path) -> Any:
    page = seen.open(latent_pages(report)[0])
    page.wait_for_selector("article.current .marks")
    return page


def names(report: Path, *places: int) -> list[str]:
    slug, shown = slug_of(report), chosen(report)
    return [f"{slug}.{shown[place]}" for place in places]


def press(page: Any, selector: str) -> None:
    page.focus(selector)
    page.keyboard.press("Enter")


def test_the_skip_link_keeps_what_the_table_shows(plain: Path, watched: Make) -> None:
    seen = watched()
    page = rows_of(seen, plain, "#q=e&sort=-max")
    address = url_of(page)
    press(page, ".skip")
    assert page.evaluate(FOCUS) == "main"
    assert url_of(page) == address
    seen.check()


def test_the_landing_pages_own_links_keep_its_filters(
    plain: Path, watched: Make, tmp_path: Path
) -> None:
    shutil.copytree(plain, tmp_path / "all" / "plain")
    seen = watched(height=300)
    page = seen.open(index([tmp_path / "all"], tmp_path / "all"), "#q=synthetic&sort=-width")
    address = url_of(page)
    press(page, ".skip")
    assert page.evaluate(FOCUS) == "main"
    page.click(".nav >> text=Reports")
    assert page.evaluate(FOCUS) == "reports"
    assert page.evaluate("self.scrollY") > 0
    assert url_of(page) == address
    page.reload()
    assert page.input_value("#filter") == "synthetic"
    seen.check()


def test_back_brings_newer_pins_and_none_that_were_cleared(plain: Path, watched: Make) -> None:
    first, second = names(plain, 0, 1)
    seen = watched()
    page = latent_of(seen, plain)
    page.keyboard.press("p")
    page.keyboard.press("u")
    page.wait_for_selector("#rows tr[data-latent]")
    page.click(f"#rows tr[data-latent='{second.rpartition('.')[2]}'] .mark-pin")
    page.go_back()
    page.wait_for_selector("article.current .mark-pin[aria-pressed=true]")
    assert pins(page) == f"{first},{second}"
    page.click(".tray >> text=Clear")
    page.go_forward()
    page.wait_for_selector("#rows tr[data-latent]")
    assert pins(page) == ""
    assert page.locator("#rows .mark-pin[aria-pressed=true]").count() == 0
    seen.check()


def test_back_within_a_page_brings_no_cleared_pins(plain: Path, watched: Make) -> None:
    first, second = names(plain, 0, 1)
    seen = watched()
    page = seen.open(plain / "methods.html", f"#pins={first},{second}")
    page.locator(".contents a").nth(2).click()
    until(page, "self.location.hash.includes('&pins=')")
    page.click(".tray button[aria-expanded]")
    page.locator(".tray li button").first.click()
    page.go_back()
    until(page, "!self.location.hash.includes(',')")
    assert pins(page) == second
    page.click(".tray >> text=Clear")
    page.go_forward()
    until(page, "self.location.hash && !self.location.hash.includes('pins=')")
    page.evaluate(f"self.location.hash = 'words&pins={first}'")
    until(page, "saereport.inspect.session.pinned.length === 1")
    seen.check()


def test_back_in_a_single_file_brings_no_cleared_pins(
    plain: Path, watched: Make, tmp_path: Path
) -> None:
    (first,) = names(plain, 0)
    single = render(plain.parent / "run", tmp_path / "one.html", single_file=True).path
    seen = watched()
    page = seen.open(single, f"#index.html#pins={first}")
    page.wait_for_selector("#rows tr[data-latent]")
    page.click("nav.nav >> text=Methods")
    page.wait_for_selector(".contents a")
    page.wait_for_selector(".tray >> text=Clear")
    page.click(".tray >> text=Clear")
    page.go_back()
    page.wait_for_selector("#rows tr[data-latent]")
    assert pins(page) == ""
    assert page.locator("#rows .mark-pin[aria-pressed=true]").count() == 0
    seen.check()


def test_pins_whose_data_fail_to_load_stay_and_are_tried_again(
    plain: Path, watched: Make, tmp_path: Path
) -> None:
    report = shutil.copytree(plain, tmp_path / "report")
    data = report / slug_of(report) / "d0000.js"
    data.rename(tmp_path / "away.js")
    wanted = ",".join(names(report, 0, 1))
    seen = watched()
    page = seen.open(report / "compare.html", f"#pins={wanted}")
    page.wait_for_selector("#compare >> text=could not be loaded")
    assert pins(page) == wanted
    assert all("ERR_FILE_NOT_FOUND" in problem for problem in seen.problems)
    (tmp_path / "away.js").rename(data)
    page.click("text=Try again")
    page.wait_for_selector(".compared .cell")
    assert page.locator(".aspect").first.locator(".cell").count() == 2
    assert pins(page) == wanted


def test_a_hypothesis_is_seen_on_another_tab(plain: Path, watched: Make) -> None:
    seen = watched()
    page = latent_of(seen, plain)
    other = page.context.new_page()
    other.goto(url_of(page))
    field = "article.current .hypothesis textarea"
    for tab in (page, other):
        tab.wait_for_selector("article.current .blind-switch")
        tab.keyboard.press("b")
        tab.wait_for_selector(field)
    page.fill(field, "names of rivers")
    until(other, f"document.querySelector('{field}').value === 'names of rivers'")
    page.evaluate("() => { Storage.prototype.setItem = () => { throw new Error('full'); }; }")
    page.evaluate("self.told = 0; self.addEventListener('storage', () => { self.told += 1; })")
    page.fill(field, "names of rivers and lakes")
    other.fill(field, "rivers")
    until(page, "self.told === 1")
    assert page.input_value(field) == "names of rivers and lakes"
    seen.check()


def test_a_note_that_was_refused_outlives_what_another_tab_writes(
    plain: Path, watched: Make
) -> None:
    seen = watched()
    page = latent_of(seen, plain)
    page.evaluate(
        """() => {
          self.told = 0;
          self.addEventListener("storage", () => { self.told += 1; });
          self.taken = Storage.prototype.setItem;
          Storage.prototype.setItem = () => { throw new Error("full"); };
        }"""
    )
    page.keyboard.press("n")
    page.keyboard.type("long thoughts")
    field = "article.current .notes textarea"
    assert "keeps nothing" in page.locator("article.current .notes").inner_text()
    other = page.context.new_page()
    other.goto(plain.joinpath("methods.html").as_uri())
    other.evaluate("self.localStorage.setItem('saereport-theme', 'dark')")
    until(page, "self.told === 1")
    assert page.input_value(field) == "long thoughts"
    page.evaluate("() => { Storage.prototype.setItem = self.taken; }")
    other.evaluate("self.localStorage.removeItem('saereport-theme')")
    until(page, "self.told === 2")
    assert "Kept in this browser only" in page.locator("article.current .notes").inner_text()
    page.reload()
    page.wait_for_selector("article.current .notes")
    assert page.locator(field).input_value() == "long thoughts"
    seen.check()


def test_one_address_that_was_refused_does_not_stay(plain: Path, watched: Make) -> None:
    seen = watched()
    page = rows_of(seen, plain)
    page.evaluate(
        """() => {
          self.history.replaceState = () => {
            delete self.history.replaceState;
            throw new Error("too often");
          };
        }"""
    )
    page.fill("#filter", "e")
    until(page, "saereport.inspect.fragmentNow() === 'q=e'")
    assert "q=" not in url_of(page)
    page.fill("#filter", "a")
    until(page, "self.location.hash === '#q=a'")
    assert str(page.evaluate("saereport.inspect.viewAddress()")).endswith("#q=a")
    seen.check()


def test_all_rows_of_the_table_are_printed(plain: Path, watched: Make) -> None:
    seen = watched(height=300)
    page = rows_of(seen, plain)
    drawn = page.locator("#rows tr[data-latent]")
    on_screen = drawn.count()
    assert on_screen < len(chosen(plain))
    page.emulate_media(media="print")
    until(page, "document.documentElement.dataset.theme === 'light'")
    assert drawn.count() == len(chosen(plain))
    page.emulate_media(media="screen")
    until(page, "!document.documentElement.dataset.theme")
    assert drawn.count() == on_screen
    seen.check()


def test_shared_tokens_are_found_in_folded_rows_too(plain: Path, watched: Make) -> None:
    slug = slug_of(plain)
    lists: dict[int, set[int]] = {}
    for row in open_run(plain).table("token_statistics", slug).to_pylist():
        lists.setdefault(row["latent"], set()).add(row["token"])
    latents = sorted(lists, key=lambda latent: -len(lists[latent]))
    wanted = [f"{slug}.{latent}" for latent in latents[:4]]
    seen = watched(width=360)
    page = seen.open(plain / "compare.html", f"#panels=tokens&pins={','.join(wanted)}")
    page.wait_for_selector(".compared .shared-words")
    assert (
        page.locator(".cells tr:not(.more):visible").count()
        < page.locator(".cells tr:not(.more)").count()
    )
    marked = page.eval_on_selector_all(
        ".cells code.shared", "(found) => found.map((node) => Number(node.title.slice(6)))"
    )
    each = [lists[latent] for latent in latents[:4]]
    assert set(marked) == {token for own in each for token in own if in_two(token, each)}
    rows = page.locator(".cells table").first.locator("tbody tr")
    shown = rows.locator("visible=true").count()
    page.locator(".cells .linkish").first.click()
    assert rows.locator("visible=true").count() == rows.count() > shown
    seen.check()


def in_two(token: int, lists: list[set[int]]) -> bool:
    return sum(token in own for own in lists) > 1


def test_arrow_keys_scroll_what_has_the_focus(plain: Path, watched: Make) -> None:
    seen = watched(width=360)
    page = latent_of(seen, plain)
    page.wait_for_selector("article.current .panels")
    page.evaluate(
        """() => {
          const { el } = saereport.inspect;
          const box = el("div", { class: "scroll" }, el("p", { class: "wide" }, "x"));
          box.lastChild.style.setProperty("width", "2000px");
          document.querySelector("article.current .panels").prepend(box);
        }"""
    )
    page.locator("article.current .scroll[tabindex]:has(.wide)").focus()
    before = url_of(page)
    page.keyboard.press("ArrowRight")
    until(page, "document.activeElement.scrollLeft > 0")
    assert url_of(page) == before
    page.keyboard.press("j")
    assert url_of(page) != before
    seen.check()


def test_unpinning_on_the_comparison_keeps_the_focus_there(plain: Path, watched: Make) -> None:
    seen = watched()
    page = seen.open(plain / "compare.html", "#pins=" + ",".join(names(plain, 0, 1, 2)))
    page.wait_for_selector(".compared .cell")
    press(page, ".compared .mark-pin")
    until(page, "document.querySelectorAll('.aspect:first-child .cell').length === 2")
    assert page.evaluate(FOCUS) == "compared"
    seen.check()
