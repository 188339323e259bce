"""The logit lens of whole dictionaries in the browser: what is marked in one plot is in all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from saereport.run import open_run
from saereport.site import render
from tests.browser.axe import violations
from tests.browser.conftest import Watched
from tests.browser.test_accessibility import WINDOWS, seen_whole
from tests.synthetic import Shape, write_run
from tests.synthetic_lens import lenses

pytestmark = pytest.mark.browser

SHAPE = Shape(d_sae=60, n_chosen=6, n_sequences=20, n_vocabulary=700, n_saes=2, hostile=True)
WIDE = Shape(d_sae=25_000, n_chosen=6, n_sequences=20, n_vocabulary=700)
MARKED = """() => Array.from(document.querySelectorAll(".cloud-plot canvas + canvas"), (canvas) =>
  { const blank = document.createElement("canvas");
    [blank.width, blank.height] = [canvas.width, canvas.height];
    return canvas.toDataURL() !== blank.toDataURL(); })"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lens")
    write_run(folder / "run", SHAPE, lenses())
    render(folder / "run", folder / "report")
    return folder / "report"


def page_of(report: Path) -> Path:
    return report / "lens" / f"of-{open_run(report).info.saes[0].slug}.html"


def drawn(page: Any) -> None:
    page.wait_for_function(
        "Array.from(document.querySelectorAll('.cloud-plot canvas:first-child'))"
        ".every((canvas) => canvas.width > 300 || canvas.width === canvas.clientWidth)"
    )
    page.wait_for_selector(".cloud-said", state="attached")


@pytest.mark.parametrize(("theme", "width"), WINDOWS)
def test_its_pages_have_no_violation(
    report: Path, watched: Callable[..., Watched], theme: str, width: int
) -> None:
    for path in (report / "lens" / "index.html", page_of(report)):
        seen = watched(width=width, theme=theme)
        page = seen.open(path)
        seen_whole(page)
        assert violations(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        seen.check()


def hovered(page: Any) -> str:
    """Move over the first plot until a latent is told; what the tip says first."""
    box = page.locator(".cloud-plot").first.bounding_box()
    for step in range(400):
        across, up = (step * 0.6180339887) % 1, step / 400
        page.mouse.move(box["x"] + 60 + across * (box["width"] - 80), box["y"] + 20 + up * 220)
        if page.locator(".tip:not([hidden])").count():
            return str(page.locator(".tip b").inner_text())
    raise AssertionError("no latent was near")


def test_what_is_pointed_at_or_chosen_is_marked_in_every_plot(
    report: Path, watched: Callable[..., Watched]
) -> None:
    seen = watched()
    page = seen.open(page_of(report))
    drawn(page)
    assert page.locator(".cloud-plot").count() == 3
    assert page.evaluate(MARKED) == [False] * 3
    name = hovered(page)
    assert name.startswith("Latent ")
    # A latent of no density has no point over it.
    assert page.evaluate(MARKED)[:2] == [True, True]
    page.mouse.move(5, 5)
    page.wait_for_selector(".tip", state="hidden")
    assert page.evaluate(MARKED) == [False] * 3
    shown = open_run(report).latents(open_run(report).info.saes[0].slug)[0]
    page.get_by_label("Mark latent").fill(str(shown))
    assert page.evaluate(MARKED)[:2] == [True, True]
    link = page.locator(".cloud-said a")
    assert link.inner_text().startswith(f"Latent {shown}")
    assert link.get_attribute("href").endswith(f"#latent-{shown}")
    assert "raises" in page.locator(".cloud-said").inner_text()
    page.get_by_label("Mark latent").fill("777")
    assert "not among those measured" in page.locator(".cloud-said").inner_text()
    assert page.evaluate(MARKED) == [False] * 3
    seen.check()


def test_colours_follow_the_theme(report: Path, watched: Callable[..., Watched]) -> None:
    seen = watched()
    page = seen.open(page_of(report))
    drawn(page)
    picture = "document.querySelector('.cloud-plot canvas').toDataURL()"
    before = page.evaluate(picture)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.set_viewport_size({"width": 1200, "height": 900})
    page.wait_for_function(f"(before) => {picture} !== before", arg=before)
    seen.check()


def test_25_000_latents_can_be_pointed_at(tmp_path: Path, watched: Callable[..., Watched]) -> None:
    write_run(tmp_path / "run", WIDE, lenses())
    render(tmp_path / "run", tmp_path / "report")
    seen = watched()
    page = seen.open(page_of(tmp_path / "report"))
    drawn(page)
    assert hovered(page).startswith("Latent ")
    took = page.evaluate(
        """() => { const over = document.querySelector(".cloud-plot canvas + canvas");
        const { left, top } = over.getBoundingClientRect(); const start = performance.now();
        for (let i = 0; i < 20; i += 1) over.dispatchEvent(new MouseEvent("mousemove",
          { clientX: left + 60 + 10 * i, clientY: top + 200 }));
        return (performance.now() - start) / 20; }"""
    )
    assert took < 200, "milliseconds for one movement"
    seen.check()
