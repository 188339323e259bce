"""Pages of capability tests in the browser: drawn, readable and without a violation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from saereport.run import open_run
from saereport.site import render
from tests.browser.axe import violations
from tests.browser.conftest import Watched
from tests.browser.test_accessibility import WINDOWS, seen_whole
from tests.synthetic import Shape, write_run
from tests.synthetic_capability import capability_tests

pytestmark = pytest.mark.browser

SHAPE = Shape(d_sae=32, n_chosen=4, n_sequences=20, n_vocabulary=700, n_saes=3, hostile=True)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("capability")
    write_run(folder / "run", SHAPE, capability_tests())
    render(folder / "run", folder / "report")
    return folder / "report"


@pytest.mark.parametrize(("theme", "width"), WINDOWS)
def test_its_pages_have_no_violation(
    report: Path, watched: Callable[..., Watched], theme: str, width: int
) -> None:
    slug = open_run(report).info.saes[0].slug
    for path in ("capability/index.html", f"capability/of-{slug}.html", f"{slug}/index.html"):
        seen = watched(width=width, theme=theme)
        page = seen.open(report / path)
        seen_whole(page)
        assert violations(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        seen.check()


def test_what_the_saes_change_is_drawn(report: Path, watched: Callable[..., Watched]) -> None:
    seen = watched()
    page = seen.open(report / "capability" / "index.html")
    seen_whole(page)
    page.wait_for_selector("#change .js-plotly-plot")
    assert page.locator("#change").get_by_text("logit difference").count() >= 1
    seen.check()
