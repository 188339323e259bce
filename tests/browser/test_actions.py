"""What a reader does with a page: copy its address and its story, download its data, print it."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from saereport.run import open_run
from saereport.site import render
from tests.browser.conftest import Watched, latent_pages, until, url_of

pytestmark = pytest.mark.browser

Make = Callable[..., Watched]
COPIES = """Object.defineProperty(navigator, "clipboard", {
  value: { writeText: async (text) => { self.copied = text; } } });"""
NO_CLIPBOARD = 'Object.defineProperty(navigator, "clipboard", { value: undefined });'
CURRENT = "article.current"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's run with the pages of today."""
    folder = tmp_path_factory.mktemp("actions") / "report"
    render(Path(__file__).parents[2] / "site", folder)
    return folder


def opened(seen: Watched, report: Path, place: int = 1, anchor: str = "") -> Any:
    page = seen.open(latent_pages(report)[place], anchor)
    page.wait_for_selector(f"{CURRENT} .panels")
    return page


def current(page: Any) -> int:
    return int(page.locator(CURRENT).get_attribute("id").removeprefix("latent-"))


def saved(page: Any, menu: Any, ending: str) -> tuple[str, str]:
    """The name and the text of what a menu saves, by keyboard alone."""
    menu.locator(".data-open").focus()
    page.keyboard.press("Enter")
    if ending == "json":
        page.keyboard.press("Tab")
    with page.expect_download() as caught:
        page.keyboard.press("Enter")
    return caught.value.suggested_filename, Path(caught.value.path()).read_bytes().decode("utf-8")


def rows(text: str) -> list[dict[str, str]]:
    assert text.count("\n") == text.count("\r\n")
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def menu_of(page: Any, name: str) -> Any:
    button = page.get_by_role("button", name=f"Data of {name}", exact=True)
    return page.locator(f"{CURRENT} .data").filter(has=button).first


def test_downloads_hold_the_runs_numbers(plain: Path, watched: Make) -> None:
    seen = watched(accept_downloads=True)
    page = opened(seen, plain)
    latent = current(page)
    run = open_run(plain)
    (sae,) = run.info.saes
    only = {"latents": (latent, latent + 1)}

    name, text = saved(page, menu_of(page, "Non-zero activations"), "csv")
    assert re.fullmatch(rf"[a-z0-9-]+_{sae.slug}_latent-{latent}_non-zero-activations\.csv", name)
    stored = run.table("activation_histogram", sae.slug, **only).to_pylist()[0]
    width = 2.0 ** stored["exponent"]
    for place, row in enumerate(found := rows(text)):
        assert float(row["from"]) == pytest.approx(place * width, abs=1e-9)
        assert int(row["tokens"]) == stored["counts"][place]
    assert sum(int(row["tokens"]) for row in found) == sum(stored["counts"])

    _, text = saved(page, menu_of(page, "Raises most"), "json")
    record = json.loads(text)
    lens = run.table("logit_lens", sae.slug, **only).to_pylist()[0]
    assert record["latent"] == latent
    assert record["sae"] == sae.slug
    assert [row[1] for row in record["rows"]] == lens["top_tokens"]
    assert [row[2] for row in record["rows"]] == pytest.approx(lens["top_values"], rel=1e-3)

    _, text = saved(page, menu_of(page, "examples"), "csv")
    top = [
        row for row in run.table("examples", sae.slug, **only).to_pylist() if row["group"] == "top"
    ]
    for row, example in zip(rows(text), top, strict=True):
        assert (int(row["sequence"]), int(row["position"])) == (
            example["sequence"],
            example["position"],
        )
        assert float(row["activation"]) == pytest.approx(example["activation"], rel=1e-3)
        places = [int(place) for place in row["active positions"].split()]
        assert places == example["active_positions"]
    seen.check()


def test_no_cell_of_a_hostile_report_is_a_formula(hostile: Path, watched: Make) -> None:
    seen = watched(accept_downloads=True)
    page = opened(seen, hostile)
    _, text = saved(page, menu_of(page, "examples"), "csv")
    assert all(None not in row and None not in row.values() for row in rows(text))
    evil = [
        "=1+1",
        "+1",
        "-1",
        "@sum(a)",
        "\t=x",
        ' =HYPERLINK("x")',
        'say "hi", you',
        "a\r\nb",
        "é م",
    ]
    table = {"columns": ["text", "number"], "rows": [[cell, -1.5] for cell in evil]}
    back = rows(page.evaluate("(table) => saereport.inspect.csv(table)", table))
    for cell, row in zip(evil, back, strict=True):
        assert row["number"] == "-1.5"
        assert row["text"] == ("'" + cell if cell.lstrip()[0] in "=+-@" else cell)
    seen.check()


def test_every_kind_of_page_offers_its_tables(published: Path, watched: Make) -> None:
    seen = watched(accept_downloads=True)
    for name in ("circuits/the-eiffel-tower.html", "circuits/the-eiffel-tower-graph.html"):
        page = seen.open(published / name)
        tables = page.locator("main table.grid")
        assert tables.count() > 2
        assert page.locator(".data").count() >= tables.count() - 1
        with page.expect_download() as caught:
            page.locator(".data-open").first.click()
            page.locator(".data-choices:not([hidden]) button").first.click()
        found = rows(Path(caught.value.path()).read_bytes().decode("utf-8"))
        first = tables.first.locator("tbody tr")
        assert len(found) == first.count()
    seen.check()


def test_all_latents_of_an_sae(plain: Path, watched: Make) -> None:
    seen = watched(accept_downloads=True)
    page = seen.open(plain / "index.html")
    _, text = saved(page, page.locator(".filters .data"), "csv")
    run = open_run(plain)
    activity = run.table("activity", run.info.saes[0].slug).to_pylist()
    for found, row in zip(rows(text), activity, strict=True):
        assert int(found["latent"]) == row["latent"]
        assert float(found["density"]) == pytest.approx(row["density"], rel=1e-3)
    seen.check()


def test_the_link_and_the_story_are_copied(plain: Path, watched: Make) -> None:
    seen = watched()
    seen.page.add_init_script(COPIES)
    page = opened(seen, plain, anchor="")
    page.keyboard.press("r")
    page.keyboard.press("y")
    until(page, "Boolean(self.copied)")
    assert page.evaluate("self.copied") == url_of(page)
    assert f"#latent-{current(page)}&cut=sentence" in url_of(page)
    assert page.locator(".said").inner_text() == "Link to this view copied"
    page.keyboard.press("m")
    until(page, "self.copied.startsWith('## [')")
    text = page.evaluate("self.copied")
    assert f"latent {current(page)}](<{url_of(page)}>)" in text
    assert "**How often**" in text
    assert "**Writes**" in text
    assert "- raises: `" in text
    examples = re.findall(r"^\d\. ([\d.]+) on `.+?`: ….*<b>.+</b>.*…$", text, re.MULTILINE)
    assert len(examples) == 5
    shown = page.locator(f"{CURRENT} .example .value").all_inner_texts()[:5]
    assert examples == shown
    seen.check()


def test_hostile_text_means_nothing_in_markdown(hostile: Path, watched: Make) -> None:
    seen = watched()
    seen.page.add_init_script(COPIES)
    for path in latent_pages(hostile)[:3]:
        page = seen.open(path)
        page.wait_for_selector(f"{CURRENT} .panels")
        for _ in range(4):
            page.evaluate("self.copied = ''")
            page.keyboard.press("m")
            until(page, "self.copied !== ''")
            text = page.evaluate("self.copied")
            spans = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text)
            assert not re.search(r"<(?!/?b>|file:)", spans), spans
            page.keyboard.press("j")
    parts = "(text) => saereport.inspect.markdownParts.plain(text)"
    assert page.evaluate(parts, "[a](http://x) ![b](y) *c* _d_ `e` # f") == (
        "\\[a\\](http\\://x) \\!\\[b\\](y) \\*c\\* \\_d\\_ \\`e\\` \\# f"
    )
    for plain, escaped in (
        ("1. one", "1\\. one"),
        ("12) b", "12\\) b"),
        ("1.5", "1.5"),
        ("- a", "\\- a"),
    ):
        assert page.evaluate(parts, plain) == escaped
    assert page.evaluate(parts, "<img src=x>&lt;") == "&lt;img src=x&gt;&amp;lt;"
    code = "(text) => saereport.inspect.markdownParts.code(text)"
    assert page.evaluate(code, "``") == "``` `` ```"
    seen.check()


def test_without_a_clipboard_the_text_is_selected(plain: Path, watched: Make) -> None:
    seen = watched()
    seen.page.add_init_script(NO_CLIPBOARD)
    page = opened(seen, plain)
    page.keyboard.press("y")
    field = page.get_by_role("textbox", name="Link to this view")
    field.wait_for()
    chosen = "(field) => field.value.slice(field.selectionStart, field.selectionEnd)"
    assert field.evaluate(chosen) == url_of(page)
    assert field.evaluate("(field) => field === document.activeElement")
    page.keyboard.press("Escape")
    assert field.count() == 0
    seen.check()


def test_the_menu_works_by_keyboard(plain: Path, watched: Make) -> None:
    seen = watched()
    seen.page.add_init_script(COPIES)
    page = opened(seen, plain)
    button = page.get_by_role("button", name="Copy or print")
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-expanded") == "true"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    until(page, "Boolean(self.copied)")
    assert button.get_attribute("aria-expanded") == "false"
    button.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    assert button.get_attribute("aria-expanded") == "false"
    seen.check()


def test_paper_is_light_and_whole(plain: Path, watched: Make) -> None:
    seen = watched(theme="dark")
    page = opened(seen, plain)
    n_figures = page.locator(f"{CURRENT} .plot").count()
    assert n_figures > 1
    page.evaluate("self.scrollTo(0, 600)")
    until(page, "Boolean(self.Plotly)")
    page.emulate_media(media="print")
    drawn = f"document.querySelectorAll('{CURRENT} .plot .main-svg').length >= {n_figures}"
    until(page, drawn)
    until(page, "document.documentElement.dataset.theme === 'light'")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    head = page.locator(".print-head")
    assert head.is_visible()
    assert url_of(page) in head.inner_text()
    for hidden in (".bar", f"{CURRENT} .fold", f"{CURRENT} .data", ".steps"):
        assert not page.locator(hidden).first.is_visible(), hidden
    assert page.locator("article.latent:visible").count() == 1
    widths = page.eval_on_selector_all(
        f"{CURRENT} .plot .main-svg",
        "(nodes) => nodes.map((node) => Number(node.getAttribute('width')))",
    )
    assert set(widths) == {640}
    made = page.pdf(format="A4")
    assert made.startswith(b"%PDF")
    assert len(made) > 20_000
    page.emulate_media(media="screen")
    until(page, "!document.documentElement.dataset.theme")
    assert page.locator(".print-head").count() == 0
    seen.check()
