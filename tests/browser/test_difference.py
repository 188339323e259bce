"""The page of a comparison in Chromium: find a latent, read it narrow, dark, or without scripts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from saereport.diff import Options, compare
from saereport.run import open_run
from saereport.site.difference import difference_page
from tests.browser.axe import violations
from tests.browser.conftest import Watched
from tests.site.test_difference import altered
from tests.synthetic import Shape, write_run
from tests.synthetic_circuits import prompts

pytestmark = pytest.mark.browser

Make = Callable[..., Watched]
EVIL = '"><script>self.stolen=1</script>'
SHAPE = Shape(
    d_sae=24, n_chosen=24, n_sequences=80, n_vocabulary=900, hostile=True, explanations=(EVIL,)
)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison in which most latents of a hostile report changed, and a prompt with them."""
    folder = tmp_path_factory.mktemp("compared")
    write_run(folder / "before", SHAPE, prompts)
    write_run(folder / "other", Shape(**{**SHAPE.__dict__, "seed": 3}), prompts)
    before, other = open_run(folder / "before"), open_run(folder / "other")
    slug = other.info.saes[0].slug
    shown = other.table("activity", slug)["latent"].to_pylist()
    after = altered(
        other, folder / "after", slug=slug, latent=shown[5], like=shown[8], gone=shown[3]
    )
    page = folder / "a comparison #1.html"
    difference = compare(before, after, names=(EVIL, "new"), options=Options(match="index"))
    page.write_text(difference_page(difference, before, after), encoding="utf-8")
    return page


@pytest.mark.parametrize(
    ("theme", "width"), [("light", 1360), ("dark", 1360), ("light", 360), ("dark", 360)]
)
def test_it_is_accessible_and_fits(compared: Path, watched: Make, theme: str, width: int) -> None:
    seen = watched(theme=theme, width=width)
    page = seen.open(compared)
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    seen.check()


def test_latents_are_found_by_text_and_by_metric(compared: Path, watched: Make) -> None:
    seen = watched()
    page = seen.open(compared)
    cards = page.locator(".d-card")
    total = cards.count()
    assert total > 3
    first = cards.first.locator("h4").inner_text()
    page.keyboard.press("/")
    page.keyboard.type(first)
    visible = page.locator(".d-card:visible")
    assert visible.count() < total
    assert first in visible.first.inner_text()
    assert page.locator("#found").inner_text() == f"{visible.count()} of {total} latents"
    page.locator("#find").fill("")
    name = page.locator("#metric option").nth(1).get_attribute("value")
    page.locator("#metric").select_option(name)
    expected = page.locator(f'.d-card[data-metrics~="{name}"]').count()
    assert page.locator(".d-card:visible").count() == expected
    assert expected > 0
    seen.check()


def test_the_theme_can_be_turned(compared: Path, watched: Make) -> None:
    page = watched(theme="light").open(compared)
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.locator("#theme").click()
    assert page.evaluate(paper) != light


def test_without_scripts_everything_is_there(compared: Path, watched: Make) -> None:
    seen = watched(java_script_enabled=False)
    page = seen.page
    page.goto(compared.as_uri())
    assert page.locator(".d-card").count() > 3
    assert page.locator(".d-card").first.is_visible()
    assert not page.locator("#filters").is_visible()
