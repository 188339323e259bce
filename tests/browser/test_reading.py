from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup

from saereport.site import jsonwriter, render
from tests.browser.conftest import Watched, latent_pages, until, url_of
from tests.site.number_cases import CASES
from tests.synthetic import Shape, write_run

pytestmark = pytest.mark.browser

Make = Callable[..., Watched]


def latents(page: Any) -> list[int]:
    return [int(text) for text in page.locator("#rows th a").all_inner_texts()]


def ids(path: Path) -> list[int]:
    return [
        int(n)
        for n in re.findall(r'<article class="latent" id="latent-(\d+)"', path.read_text("utf-8"))
    ]


def current(page: Any) -> int:
    return int(page.locator("article.current").get_attribute("id").removeprefix("latent-"))


def test_numbers_read_the_same_in_python_and_in_the_browser(plain: Path, watched: Make) -> None:
    """As the data has them; Python is held to the same table in `tests/site/test_numbers.py`."""
    page = watched().open(plain / "index.html")
    data = json.loads(jsonwriter.dumps([[form, number] for form, number, _ in CASES]))
    call = "(data) => data.map(([form, number]) => saereport.inspect.asText[form](number))"
    found = page.evaluate(call, data)
    assert list(zip(data, found, strict=True)) == [
        (item, text) for item, (_, _, text) in zip(data, CASES, strict=True)
    ]


def test_sorting_goes_into_the_address_and_comes_back(plain: Path, watched: Make) -> None:
    seen = watched()
    page = seen.open(plain / "index.html")
    page.click("th[data-sort=max] button")
    first = latents(page)
    assert url_of(page).endswith("#sort=-max")
    assert page.locator("th[data-sort=max]").get_attribute("aria-sort") == "descending"
    values = page.locator("#rows .c-max").all_inner_texts()
    numbers = [float(v) for v in values if v != "–"]
    assert numbers == sorted(numbers, reverse=True)
    page.reload()
    page.wait_for_selector("th[aria-sort]")
    assert latents(page) == first
    page.click("th[data-sort=max] button")
    assert url_of(page).endswith("#sort=max")
    page.click("th[data-sort=label] button")
    seen.check()


def test_filters_by_text_number_and_density(plain: Path, watched: Make) -> None:
    seen = watched()
    page = seen.open(plain / "index.html")
    everything = latents(page)
    page.fill("#filter", "numbers and years")
    until(page, "document.getElementById('found').textContent.includes(' of ')")
    assert 0 < len(latents(page)) < len(everything)
    assert "q=numbers" in url_of(page)
    page.fill("#filter", str(everything[5]))
    until(page, f"document.querySelector('#rows th a').textContent.startsWith('{everything[5]}')")
    page.fill("#filter", "")
    until(page, "!document.getElementById('found').textContent.includes(' of ')")
    page.evaluate("""() => {
        const from = document.getElementById('from');
        from.value = '-2';
        from.dispatchEvent(new Event('input'));
    }""")
    assert "density=0.01.." in url_of(page)
    shown = page.locator("#rows .c-density").all_inner_texts()
    assert shown
    assert all(float(text.split()[0]) >= 1 for text in shown)
    seen.check()


def test_six_thousand_rows_are_drawn_where_they_are_seen(large: Path, watched: Make) -> None:
    seen = watched()
    page = seen.open(large / "index.html")
    assert page.locator("#rows tr").count() < 80
    assert page.locator("#found").inner_text() == "6,000 latents"
    page.evaluate("document.getElementById('scroller').scrollTop = 1e9")
    until(page, "document.querySelector('#rows').textContent.includes('5999')")
    page.keyboard.press("/")
    page.keyboard.type("5999")
    until(page, "document.getElementById('found').textContent.startsWith('1 of')")
    page.click("#rows th a")
    page.wait_for_selector("article.current .panels")
    assert current(page) == 5999
    page = seen.open(large / "index.html")
    button = page.locator("#map button")
    assert "6,000" in button.inner_text()
    button.click()
    page.wait_for_selector("#map .scatterlayer .point")
    assert page.locator("#map .scatterlayer .point").count() == 6000
    seen.check()


def test_next_and_previous_cross_pages(plain: Path, watched: Make) -> None:
    pages = latent_pages(plain)
    seen = watched()
    page = seen.open(pages[0], f"#latent-{ids(pages[0])[-1]}")
    page.wait_for_selector("article.current .panels")
    page.keyboard.press("j")
    page.wait_for_url("**/l0001.html#latent-*")
    page.wait_for_selector("article.current .panels")
    assert current(page) == ids(pages[1])[0]
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**/l0000.html#latent-*")
    page.wait_for_selector("article.current .panels")
    assert current(page) == ids(pages[0])[-1]
    page.keyboard.press("k")
    assert current(page) == ids(pages[0])[-2]
    page.click("text=Next →")
    assert current(page) == ids(pages[0])[-1]
    page.keyboard.press("u")
    page.wait_for_url("**/index.html")
    seen.check()


def test_the_ends_are_ends(plain: Path, watched: Make) -> None:
    seen = watched()
    page = seen.open(latent_pages(plain)[0])
    page.wait_for_selector("article.current")
    assert page.locator("text=← Previous").is_disabled()
    page.keyboard.press("k")
    assert current(page) == ids(latent_pages(plain)[0])[0]
    page = seen.open(latent_pages(plain)[-1], f"#latent-{ids(latent_pages(plain)[-1])[-1]}")
    assert page.locator("text=Next →").is_disabled()
    seen.check()


def test_a_dead_latent_is_built_once(plain: Path, watched: Make) -> None:
    path = next(page for page in latent_pages(plain) if "never active on the" in page.read_text())
    soup = BeautifulSoup(path.read_text("utf-8"), "html.parser")
    article = next(a for a in soup.select("article.latent") if a.select(".dead"))
    seen = watched()
    page = seen.open(path, f"#{article['id']}")
    page.wait_for_selector("article.current .panels")
    panels = page.locator("article.current .panel")
    count = panels.count()
    assert count > 0
    assert page.locator("article.current [data-panel=examples]").count() == 0
    for _ in range(3):
        page.keyboard.press("j")
        assert page.locator("article.current").get_attribute("id") != article["id"]
        page.keyboard.press("k")
        assert page.locator("article.current").get_attribute("id") == article["id"]
        assert panels.count() == count
    seen.check()


def test_an_address_of_a_latent_that_is_not_shown(plain: Path, watched: Make) -> None:
    pages = latent_pages(plain)
    shown = [ids(path) for path in pages]
    missing = next(n for n in range(shown[1][0], shown[1][-1]) if n not in shown[1])
    after = next(n for n in shown[1] if n > missing)
    for opened in (pages[1], pages[0]):
        seen = watched()
        page = seen.open(opened, f"#latent-{missing}")
        page.wait_for_url(f"**/l0001.html#latent-{missing}")
        status = page.locator("[role=status].absent")
        status.locator("> a").wait_for()
        said = f"This report does not show latent {missing} of this SAE."
        assert said in status.inner_text()
        assert page.locator("article.current").count() == 0
        assert page.title().startswith(f"Latent {missing} is not shown")
        page.keyboard.press("e")
        page.keyboard.press("j")
        assert current(page) == after
        assert not status.is_visible()
        page.keyboard.press("k")
        assert current(page) == shown[1][shown[1].index(after) - 1]
        page.evaluate(f"self.location.hash = 'latent-{missing}'")
        status.locator("> a").click()
        page.wait_for_url("**/index.html")
        seen.check()
    page = seen.open(pages[2], "#latent-99999")
    page.locator(".absent > a").wait_for()
    assert page.locator("text=Next →").is_disabled()
    assert page.locator("text=← Previous").is_enabled()
    seen.check()


def test_an_address_of_a_latent_on_another_page(plain: Path, watched: Make) -> None:
    pages = latent_pages(plain)
    seen = watched()
    page = seen.open(pages[0], f"#latent-{ids(pages[2])[3]}")
    page.wait_for_url(f"**/l0002.html#latent-{ids(pages[2])[3]}")
    page.wait_for_selector("article.current .panels")
    assert current(page) == ids(pages[2])[3]
    seen.check()


def test_going_to_a_latent(plain: Path, watched: Make) -> None:
    pages = latent_pages(plain)
    seen = watched()
    page = seen.open(pages[0])
    page.keyboard.press("/")
    page.keyboard.type(str(ids(pages[2])[4]))
    page.keyboard.press("Enter")
    page.wait_for_url("**/l0002.html#latent-*")
    page.wait_for_selector("article.current .panels")
    assert current(page) == ids(pages[2])[4]
    missing = next(n for n in range(128) if n not in [n for path in pages for n in ids(path)])
    page.fill("#jump", str(missing))
    page.press("#jump", "Enter")
    until(page, "document.getElementById('jump').validationMessage !== ''")
    assert "does not show latent" in page.locator("#jump").evaluate("(e) => e.validationMessage")
    seen.check()


def only_in(published: Path, slug: str, other: str) -> int:
    """A latent that one SAE of the published report shows and another does not."""
    here, there = (set(ids(published / name / "l0000.html")) for name in (slug, other))
    return min(here - there)


def test_a_latent_of_another_sae_is_offered(published: Path, watched: Make) -> None:
    wanted = only_in(published, "resid-l16", "resid-l10")
    seen = watched()
    page = seen.open(published / "resid-l10" / "index.html")
    page.fill("#jump", str(wanted))
    page.press("#jump", "Enter")
    link = page.locator(f".jump-said a:text-is('resid-l16 {wanted}')")
    link.wait_for()
    assert "does not show latent" in page.locator(".jump-said").inner_text()
    assert page.locator("#jump").evaluate("(e) => e.validationMessage") != ""
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    assert not page.locator(".jump-said").is_visible()
    page.press("#jump", "Enter")
    link.click()
    page.wait_for_selector("article.current .panels")
    assert current(page) == wanted
    assert "resid-l16" in url_of(page)
    page = seen.open(published / "resid-l10" / "l0000.html", f"#latent-{wanted}")
    page.locator(f".absent .elsewhere a:text-is('resid-l16 {wanted}')").click()
    page.wait_for_selector("article.current .panels")
    assert current(page) == wanted
    seen.check()


def test_what_is_no_number_is_no_latent(plain: Path, watched: Make) -> None:
    seen = watched()
    page = seen.open(plain / "index.html")
    page.fill("#jump", f"{ids(latent_pages(plain)[0])[0]}x")
    page.press("#jump", "Enter")
    page.locator(".jump-said:has-text('by its number')").wait_for()
    assert url_of(page).endswith("index.html")
    seen.check()


def test_the_hint_of_a_key_stands_where_the_key_leads(plain: Path, watched: Make) -> None:
    seen = watched()
    for path in (plain / "index.html", latent_pages(plain)[0], plain / "methods.html"):
        page = seen.open(path)
        hints = page.locator("label:has(input) kbd:text-is('/')")
        hinted = hints.evaluate_all("(all) => all.map((one) => one.parentElement.control.id)")
        page.keyboard.press("/")
        focused = page.evaluate("document.activeElement.id")
        assert hinted == ([focused] if focused else [])
    seen.check()


def test_links_to_other_latents_and_saes(hostile: Path, watched: Make) -> None:
    seen = watched(height=6000)
    page = seen.open(sorted(hostile.glob("*transcoder/l0000.html"))[0])
    panel = page.locator("article.current [data-panel=pullbacks]")
    panel.locator("a[href*='l0']").first.wait_for()
    link = panel.locator(".block a[href*='residual/l0']").first
    target = link.get_attribute("href").split("#latent-")[1]
    panel.locator(".gloss").first.wait_for()
    link.click()
    page.wait_for_selector("article.current .panels")
    assert current(page) == int(target)
    assert "residual" in url_of(page)
    seen.check()


def test_tokens_tell_their_activation(plain: Path, watched: Make) -> None:
    seen = watched()
    page = seen.open(latent_pages(plain)[1])
    page.wait_for_selector("article.current .words .peak")
    page.locator("article.current .words .peak").first.hover()
    text = page.locator(".tip").inner_text()
    assert re.search(r"activation [\d.]+", text)
    assert re.search(r"token \d+ · position \d+", text)
    page.locator("article.current .words .peak").first.focus()
    page.keyboard.press("ArrowRight")
    assert "position" in page.locator(".tip").inner_text()
    assert page.evaluate("document.activeElement.previousElementSibling.classList.contains('peak')")
    seen.check()


def test_an_example_unfolds_to_the_whole_sequence(plain: Path, watched: Make) -> None:
    seen = watched()
    page = seen.open(latent_pages(plain)[1])
    example = page.locator("article.current .example").first
    before = example.locator(".words span").count()
    assert before <= 25
    example.locator(".fold").click()
    until(page, "document.querySelector('article.current .words').children.length === 64")
    assert example.locator(".words .special").count() == 1
    example.locator(".fold").click()
    assert example.locator(".words span").count() == before
    page.keyboard.press("e")
    until(
        page,
        "Array.from(document.querySelectorAll('article.current .words'))"
        ".every((words) => words.children.length === 64)",
    )
    seen.check()


def test_groups_of_examples(plain: Path, watched: Make) -> None:
    seen = watched()
    page = seen.open(latent_pages(plain)[1])
    page.click("article.current button:has-text('By interval')")
    headings = page.locator("article.current .group h3").all_inner_texts()
    assert len(headings) == 5
    assert "active tokens" in headings[0]
    page.keyboard.press("j")
    assert page.locator("article.current .group").count() == 5, "the choice is kept"
    seen.check()


def test_figures_are_drawn_and_toggle(plain: Path, watched: Make) -> None:
    seen = watched(height=3000)
    page = seen.open(latent_pages(plain)[1])
    plot = "article.current [data-panel=activation] .plot"
    page.wait_for_selector(f"{plot} .barlayer .point path")
    linear = page.locator(f"{plot} .xtick").all_text_contents()
    page.click("article.current [data-panel=activation] button:has-text('log bins')")
    until(page, "document.querySelector('article.current .plot').layout.xaxis.tickmode === 'array'")
    assert page.locator(f"{plot} .xtick").all_text_contents() != linear
    page.click("article.current [data-panel=activation] button:has-text('log counts')")
    page.wait_for_timeout(150)
    assert (
        page.evaluate("document.querySelector('article.current .plot').layout.yaxis.type") == "log"
    )
    assert page.locator(plot).get_attribute("role") == "img"
    assert "non-zero activations" in page.locator(plot).get_attribute("aria-label")
    page.locator("article.current [data-panel=activation] summary").click()
    page.wait_for_selector("article.current [data-panel=activation] .grid tbody tr:nth-child(4)")
    seen.check()


def test_the_theme_follows_the_system_and_the_button(plain: Path, watched: Make) -> None:
    seen = watched(theme="dark", height=2400)
    page = seen.open(plain / "index.html")
    page.wait_for_selector("figure[data-figure=density] .barlayer path")
    colour = "getComputedStyle(document.body).backgroundColor"
    bar = "figure[data-figure=density] .barlayer path"
    bars = f"getComputedStyle(document.querySelector('{bar}')).fill"
    dark, dark_bars = page.evaluate(colour), page.evaluate(bars)
    page.click("#theme")
    page.wait_for_timeout(200)
    assert page.evaluate(colour) != dark
    assert page.evaluate(bars) != dark_bars
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.keyboard.press("t")
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") is None
    seen.check()


def test_help_opens_and_closes(plain: Path, watched: Make) -> None:
    seen = watched()
    page = seen.open(plain / "index.html")
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#keys").is_visible()
    seen.check()


def test_the_embed_loads_on_a_click_only(tmp_path: Path, watched: Make) -> None:
    write_run(tmp_path / "run", Shape(d_sae=16, n_chosen=4))
    render(tmp_path / "run", tmp_path / "out", embed_neuronpedia=True)
    seen = watched(height=6000)
    seen.page.context.set_offline(True)
    page = seen.open(latent_pages(tmp_path / "out")[0])
    page.wait_for_selector("article.current .embed button")
    seen.check()
    assert page.locator("iframe").count() == 0
    page.click("article.current .embed button")
    page.wait_for_selector("article.current iframe")
    for _ in range(200):
        asked = [text for text in seen.problems if text.startswith("request: ")]
        if asked:
            break
        page.wait_for_timeout(50)
    assert re.fullmatch(
        r"request: https://www\.neuronpedia\.org/synthetic/3-res/\d+\?embed=true"
        r"&embedexplanation=true&embedplots=true&embedtest=true",
        asked[0],
    )
    assert page.evaluate("self.violations") == []


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_no_page_is_wider_than_the_window(
    hostile: Path, plain: Path, watched: Make, width: int
) -> None:
    seen = watched(width=width)
    paths = [hostile / name for name in ("index.html", "methods.html", "provenance.html")]
    paths += [*sorted(hostile.glob("*/index.html")), plain / "index.html"]
    paths += [
        sorted(hostile.glob(f"*{kind}/l0001.html"))[0] for kind in ("attention", "transcoder")
    ]
    for path in paths:
        page = seen.open(path)
        page.wait_for_timeout(150)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path.name
    seen.check()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_pictures_of_the_main_pages(
    hostile: Path, plain: Path, watched: Make, screenshots: Path, theme: str, width: int
) -> None:
    seen = watched(width=width, theme=theme, height=900 if width > 400 else 740)
    pages = {
        "overview": hostile / "index.html",
        "sae": plain / "index.html",
        "latent": latent_pages(plain)[1],
        "methods": plain / "methods.html",
        "provenance": plain / "provenance.html",
    }
    for name, path in pages.items():
        page = seen.open(path)
        height = page.evaluate("document.documentElement.scrollHeight")
        page.set_viewport_size({"width": width, "height": min(height, 6000)})
        page.wait_for_timeout(700)
        page.screenshot(path=screenshots / f"{name}-{width}-{theme}.png")
        page.set_viewport_size({"width": width, "height": 900})
    seen.check()
    for name in pages:
        assert (screenshots / f"{name}-{width}-{theme}.png").stat().st_size > 0
