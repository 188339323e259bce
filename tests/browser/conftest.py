"""Chromium, reports to open in it, and a page that notices everything it should not do."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from saereport.site import render
from tests.browser.find_chromium import find_chromium
from tests.shared import shared
from tests.synthetic import Shape, write_run

playwright_api = pytest.importorskip("playwright.sync_api")

SITE = Path(__file__).parents[2] / "site"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

WATCH = """
self.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  self.violations.push(event.violatedDirective + " " + event.blockedURI));
"""


@dataclass
class Watched:
    """A page, and what went wrong on it."""

    page: Any
    problems: list[str] = field(default_factory=list)

    def open(self, path: Path, anchor: str = "") -> Any:
        """Open a file; the anchor goes behind the `#`."""
        self.page.goto(path.as_uri() + anchor)
        return self.page

    def check(self) -> None:
        """Nothing ran, nothing was blocked, nothing was said, nothing was asked for."""
        assert asked(self.page, "self.violations") == []
        assert asked(self.page, "typeof self.stolen") == "undefined"
        assert self.problems == []


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    path = find_chromium()
    with playwright_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def watched(browser: Any) -> Iterator[Callable[..., Watched]]:
    """Makes watched pages: `watched(width=360, theme="dark")`."""
    contexts = []

    def make(width: int = 1280, height: int = 900, theme: str = "light", **options: Any) -> Watched:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=theme, **options
        )
        context.set_default_timeout(20_000)
        contexts.append(context)
        context.add_init_script(WATCH)
        page = context.new_page()
        seen = Watched(page)
        page.on("console", lambda message: seen.problems.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: seen.problems.append(f"error: {error}"))
        page.on("dialog", lambda dialog: seen.problems.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: note(seen, request.url))
        return seen

    yield make
    for context in contexts:
        context.close()


def note(seen: Watched, url: str) -> None:
    if not re.match(r"(file|data|about):", url):
        seen.problems.append(f"request: {url}")


def built(factory: pytest.TempPathFactory, name: str, shape: Shape, **options: Any) -> Path:
    """The report of a synthetic run, beside the run: made once for all tests."""

    def make(folder: Path) -> None:
        write_run(folder / "run", shape)
        render(folder / "run", folder / "a report #1", **options)

    return shared(factory, f"report-{name}", make) / "a report #1"


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three SAEs with hostile tokens, labels and titles, in a folder with an odd name."""
    shape = Shape(d_sae=64, n_chosen=16, n_sequences=200, n_vocabulary=1200, hostile=True, n_saes=3)
    return built(tmp_path_factory, "hostile", shape, shard_size=8)


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One SAE with 48 of 128 latents, 16 a page."""
    shape = Shape(d_sae=128, n_chosen=48, n_sequences=200, n_vocabulary=1200)
    return built(tmp_path_factory, "plain", shape, shard_size=16)


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One SAE with 6,000 latents and two examples each."""
    shape = Shape(d_sae=6000, n_chosen=6000, n_top=2, per_interval=0, per_quantile=0, list_length=5)
    return built(tmp_path_factory, "large", shape)


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of the published demo with the pages of today."""
    return shared(tmp_path_factory, "published", lambda f: render(SITE, f / "report")) / "report"


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures of the pages go: `$SAEREPORT_SCREENSHOTS`, or a temporary folder."""
    named = os.environ.get("SAEREPORT_SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def asked(page: Any, expression: str, seconds: float = 20) -> Any:
    """What an expression is on a page, or, where that is just being left, on the one after it."""
    end = time.monotonic() + seconds
    while True:
        try:
            return page.evaluate(expression)
        except playwright_api.Error as error:
            if "context was destroyed" not in str(error) or time.monotonic() > end:
                raise
            page.wait_for_timeout(30)


def until(page: Any, expression: str, seconds: float = 20) -> None:
    """Wait until a JavaScript expression is true.

    `page.wait_for_function` evaluates a string inside the page, which the policy forbids.
    """
    end = time.monotonic() + seconds
    while not asked(page, expression):
        assert time.monotonic() < end, f"still not true: {expression}"
        page.wait_for_timeout(30)


def url_of(page: Any) -> str:
    """The page's address as the page itself has it now.

    What the driver has, `page.url`, comes later: the browser tells it after the input is answered.
    """
    return str(asked(page, "location.href"))


def still(place: Any) -> dict[str, float]:
    """Where an element lies, once nothing has moved it for a while."""
    box, since = place.bounding_box(), time.monotonic()
    begun = since
    while time.monotonic() - since < 0.4:
        assert time.monotonic() < begun + 20, "the page does not come to rest"
        place.page.wait_for_timeout(50)
        now = place.bounding_box()
        if now != box:
            box, since = now, time.monotonic()
    found: dict[str, float] = box
    return found


def press_away(page: Any, frame: Any, selector: str, key: str, *, until: str) -> None:
    """Press a key that has a frame's document loaded again, and wait for what is there then.

    The key goes up only when that is there. Chromium never answers the driver for a key that goes
    up while the frame's document is exchanged, though the page has long gone where it should; so
    `frame.press` would now and then wait until its time is over.
    """
    frame.focus(selector)
    page.keyboard.down(key)
    frame.wait_for_selector(until)
    page.keyboard.up(key)


def latent_pages(report: Path) -> list[Path]:
    """Every page of latents."""
    return sorted(report.glob("*/l0*.html"))
