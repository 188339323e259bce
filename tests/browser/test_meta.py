"""Pages of meta-SAEs in the browser: drawn, without a violation, and no wider than a phone."""

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
from tests.synthetic_meta import NAMES, meta_saes

pytestmark = pytest.mark.browser

SHAPE = Shape(d_sae=32, n_chosen=4, n_sequences=20, n_vocabulary=700, n_saes=2, hostile=True)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("meta")
    write_run(folder / "run", SHAPE, meta_saes())
    render(folder / "run", folder / "report")
    return folder / "report"


@pytest.mark.parametrize(("theme", "width"), WINDOWS)
def test_their_pages_have_no_violation(
    report: Path, watched: Callable[..., Watched], theme: str, width: int
) -> None:
    slug = open_run(report).info.saes[0].slug
    own = f"meta-saes/of-{slug}--{NAMES[0]}.html"
    for path in ("meta-saes/index.html", own, f"{slug}/l0000.html"):
        seen = watched(width=width, theme=theme)
        page = seen.open(report / path)
        seen_whole(page)
        assert violations(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        if path == own:
            page.wait_for_selector("#summary .js-plotly-plot")
        seen.check()


def test_a_latents_page_leads_to_what_it_is_made_of(
    report: Path, watched: Callable[..., Watched]
) -> None:
    slug = open_run(report).info.saes[0].slug
    seen = watched()
    page = seen.open(report / slug / "l0000.html")
    seen_whole(page)
    link = page.locator("article.current a", has_text=NAMES[0]).first
    link.click()
    page.wait_for_load_state()
    assert page.url.endswith(f"meta-saes/of-{slug}--{NAMES[0]}.html")
    assert page.locator("#used tbody tr").count() > 0
    seen.check()
