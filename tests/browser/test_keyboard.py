"""By keyboard: what Tab reaches is seen, the help names the keys; paper; no JavaScript."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Watched, latent_pages, until

pytestmark = pytest.mark.browser

Make = Callable[..., Watched]
MOST = 400
STEP = """() => {
  const node = document.activeElement;
  if (!node || node === document.body) return null;
  const box = node.getBoundingClientRect();
  const style = getComputedStyle(node);
  const seen = box.width > 1 && box.height > 1 && style.visibility === "visible"
    && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  // A card's link has no outline of its own: the card has it.
  const outlined = [node, node.closest(".card")].some((one) =>
    one && getComputedStyle(one).outlineStyle !== "none");
  const covered = seen && ["sticky", "fixed"].includes(style.position) === false
    && document.elementsFromPoint(
      Math.min(innerWidth - 2, Math.max(1, box.left + box.width / 2)),
      Math.min(innerHeight - 2, Math.max(1, box.top + box.height / 2)))[0];
  const under = covered && covered.closest(".tray, .bar");
  if (!node.dataset.walked) node.dataset.walked = String((self.walked = (self.walked || 0) + 1));
  return { id: node.dataset.walked, name: node.outerHTML.slice(0, 120), seen, outlined,
    covered: Boolean(under && !under.contains(node)) };
}"""


def walk(page: Any) -> list[dict[str, Any]]:
    """What Tab reaches, in order, until it leaves the page or comes round."""
    steps: list[dict[str, Any]] = []
    for _ in range(MOST):
        page.keyboard.press("Tab")
        step = page.evaluate(STEP)
        if step is None or any(step["id"] == other["id"] for other in steps):
            return steps
        steps.append(step)
    raise AssertionError(f"Tab is still on the page after {MOST} steps")


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("kind", ["overview", "sae", "latent", "pinned"])
def test_tab_reaches_only_what_is_seen(
    plain: Path, hostile: Path, watched: Make, kind: str, width: int
) -> None:
    latents = latent_pages(plain)[0]
    slug = latents.parent.name
    first = "#latent-" + str(_first(latents))
    path, anchor = {
        "overview": (hostile / "index.html", ""),
        "sae": (plain / "index.html", ""),
        "latent": (latents, first),
        "pinned": (latents, f"{first}&pins={slug}.{_first(latents)}"),
    }[kind]
    seen = watched(width=width)
    page = seen.open(path, anchor)
    # Figures are drawn when they come into view: what is drawn later moves what has the focus.
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.wait_for_timeout(600)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(300)
    steps = walk(page)
    assert len(steps) > 10
    assert [step["name"] for step in steps if not step["seen"]] == []
    assert [step["name"] for step in steps if not step["outlined"]] == []
    assert [step["name"] for step in steps if step["covered"]] == []
    seen.check()


def _first(page: Path) -> int:
    text = page.read_text(encoding="utf-8")
    return int(text.split('id="latent-')[1].split('"')[0])


def test_the_help_names_the_keys_of_the_page(plain: Path, hostile: Path, watched: Make) -> None:
    """A key that the help does not name does nothing, and one that it names is taken."""
    pages = {
        hostile / "index.html": "ymt?",
        plain / "index.html": "/spymt?",
        latent_pages(plain)[0]: "jkuspnerb/ymt?",
        plain / "compare.html": "ymt?",
        plain / "methods.html": "ymt?",
    }
    for path, keys in pages.items():
        seen = watched()
        page = seen.open(path)
        listed = page.eval_on_selector_all(
            "#keys dt kbd", "(found) => found.map((k) => k.textContent)"
        )
        assert {key for key in listed if key.isascii()} == set(keys), path
        taken = page.evaluate("""() => Array.from("abcdefghijklmnopqrstuvwxyz/").filter((key) => {
            const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
            event.stopImmediatePropagation = () => {};
            if ("ymu".includes(key)) return false;
            document.body.dispatchEvent(event);
            if (document.activeElement !== document.body) document.activeElement.blur();
            return event.defaultPrevented;
        })""")
        assert set(taken) == set(keys) - set("ymu?"), path
        assert page.evaluate("Object.keys(self.saereport).length > 0")


def test_the_browsers_own_print_command_prints_figures_not_seen_yet(
    plain: Path, watched: Make
) -> None:
    seen = watched(height=400)
    page = seen.open(latent_pages(plain)[0])
    page.wait_for_selector("article.current .panels")
    until(page, "Boolean(self.Plotly)")
    n = page.locator("article.current .plot").count()
    drawn = "document.querySelectorAll('article.current .plot .main-svg').length"
    assert page.evaluate(drawn) < n
    page.evaluate("self.dispatchEvent(new Event('beforeprint'))")
    page.evaluate("0")
    assert page.evaluate(drawn) >= n
    page.evaluate("self.dispatchEvent(new Event('afterprint'))")
    seen.check()


def test_columns_of_the_printed_table_are_under_their_names(plain: Path, watched: Make) -> None:
    page = watched().open(plain / "index.html")
    page.emulate_media(media="print")
    lefts = """(row) => Array.from(row.cells).filter((cell) => cell.offsetWidth)
        .map((cell) => Math.round(cell.getBoundingClientRect().left))"""
    head = page.locator(".latents thead tr").evaluate(lefts)
    assert page.locator("#rows tr[data-latent]").first.evaluate(lefts) == head
    assert len(head) >= 6


def test_without_javascript_every_kind_of_page_says_what_it_is_about(
    plain: Path, hostile: Path, watched: Make
) -> None:
    for path in (
        hostile / "index.html",
        plain / "index.html",
        latent_pages(plain)[0],
        *(plain / name for name in ("compare.html", "methods.html", "provenance.html")),
    ):
        seen = watched(java_script_enabled=False)
        page = seen.open(path)
        assert page.locator("h1").first.is_visible()
        assert len(page.locator("main").inner_text()) > 150
        dead = page.locator("button:visible, input:visible, select:visible").evaluate_all(
            "(found) => found.map((node) => node.outerHTML)"
        )
        assert dead == [], path
        assert seen.problems == []
