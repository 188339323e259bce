"""No page depends on the fonts of the machine, nor on the size of text that its reader has set.

Every type of page is opened with each lettering: a small font and a large one, and text 1.5 times
as large as usual. The wide window is light and the narrow one dark, as in `test_accessibility.py`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from saereport.publish import index
from tests.browser.axe import OF_LETTERS, violations
from tests.browser.conftest import Watched
from tests.browser.lettering import LETTERINGS
from tests.browser.test_accessibility import PAGES, UNFOLD
from tests.shared import shared

pytestmark = pytest.mark.browser

TYPES = [name for name in PAGES if not name.endswith((", filtered", ", all open", ", four"))]
Make = Callable[..., Watched]
HOSTILE = {
    "landing": "index.html",
    "hostile overview": "hostile #1/index.html",
    "hostile SAE": "hostile #1/synthetic-l3-residual/index.html",
    "hostile latent": "hostile #1/synthetic-l3-residual/l0000.html",
}
OVER_THE_EDGE = """() => {
  const edge = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= edge) return [];
  const kept = (e) => e !== document.body && (getComputedStyle(e).overflowX !== "visible"
    || kept(e.parentElement));
  return [...document.querySelectorAll("body *")]
    .filter((e) => e.getBoundingClientRect().right > edge + 0.5 && !kept(e.parentElement))
    .slice(0, 5).map((e) => "over the edge: " + e.outerHTML.slice(0, 120));
}"""


@pytest.fixture(scope="session")
def reports(hostile: Path, plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A landing page over a hostile report and a plain one."""

    def make(folder: Path) -> None:
        shutil.copytree(hostile, folder / "hostile #1")
        shutil.copytree(plain, folder / "plain")
        index([folder], folder, title="</title><script>self.stolen=1</script>")

    return shared(tmp_path_factory, "reports", make)


@pytest.mark.parametrize("name", [*TYPES, *HOSTILE])
def test_no_page_depends_on_its_letters(
    reports: Path, published: Path, watched: Make, name: str
) -> None:
    if name in PAGES:
        path, anchor, _ = PAGES[name]
        place = published / path
    else:
        place, anchor = reports / HOSTILE[name], ""
    found = []
    for theme, width in (("light", 1280), ("dark", 360)):
        seen = watched(width=width, theme=theme)
        page = seen.open(place, anchor)
        page.evaluate(UNFOLD)
        for lettering, letters in LETTERINGS.items():
            letters.put_on(page)
            wrong = violations(page, OF_LETTERS) + page.evaluate(OVER_THE_EDGE)
            found += [f"{lettering}, {width} wide: {line}" for line in wrong]
    assert "\n".join(found) == ""


def test_the_letters_do_change_the_page(reports: Path, watched: Make) -> None:
    """Otherwise the tests above would look at one and the same page."""
    page = watched().open(reports / "plain" / "index.html")
    sizes = {}
    for name, letters in LETTERINGS.items():
        letters.put_on(page)
        sizes[name] = width_of_title(page)
    assert sizes["small"] < 0.5 * sizes["large"]
    assert sizes["enlarged"] > 1.2 * sizes["small"]


def width_of_title(page: Any) -> float:
    found: float = page.evaluate(
        """() => {
        const range = document.createRange();
        range.selectNodeContents(document.querySelector("h1"));
        return range.getBoundingClientRect().width;
        }"""
    )
    return found
