"""The page of steering in a browser: as it opens, as it is read, and in a report of one file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from saereport.report.rendering import render as render_as
from saereport.site import render
from saereport.site.parts.steering import PAGE
from tests.browser.axe import violations
from tests.browser.conftest import Watched
from tests.browser.test_accessibility import WINDOWS, seen_whole
from tests.site.test_steering import steered_run

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("theme", "width"), WINDOWS)
def test_it_is_accessible_drawn_and_no_wider_than_the_window(
    tmp_path: Path, watched: Callable[..., Watched], theme: str, width: int
) -> None:
    render(steered_run(tmp_path), tmp_path / "report")
    seen = watched(width=width, theme=theme)
    page = seen.open(tmp_path / "report" / PAGE)
    assert violations(page) == []
    for box in page.query_selector_all("details.unfold"):
        box.evaluate("(box) => (box.open = true)")
    seen_whole(page)
    # A scatter and a heatmap of each of the two latents.
    page.wait_for_function("document.querySelectorAll('.main-svg').length >= 4")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    seen.check()


def test_it_is_in_a_report_of_one_file(tmp_path: Path, watched: Callable[..., Watched]) -> None:
    single = render_as(steered_run(tmp_path), tmp_path / "one.html", single_file=True).path
    seen = watched()
    page = seen.open(single)
    page.click("nav >> text=Steering")
    page.wait_for_selector("text=The first text of each prompt")
    assert violations(page) == []
    seen.check()
