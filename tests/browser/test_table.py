"""The table of latents: filters and orders of every kind, in the address and by keyboard."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from saereport.run import open_run
from tests.browser.conftest import Watched, latent_pages, until, url_of

pytestmark = pytest.mark.browser

Make = Callable[..., Watched]
NONSENSE = [
    "#density=..&max=&latent=a..b&only=,,x&sort=,-,__proto__,toString",
    "#density=1e999..-3&max=0x10..&latent=..%00",
    "#sort=-density,density,-density,max,latent,label,tokens,raises,shape,marked",
    "#q=%&tokens=%E0%A4%A&pins=%E0%A4%A,..,a.b,-.1&only=starred",
    "#" + "q=" + "x" * 5000,
]


def shown(page: Any) -> list[int]:
    return [int(text) for text in page.locator("#rows th a").all_inner_texts()]


def fragment(page: Any) -> str:
    return str(url_of(page)).partition("#")[2]


def found(page: Any) -> str:
    return str(page.locator("#found").inner_text())


def activity(report: Path) -> dict[int, tuple[float, float]]:
    run = open_run(report)
    rows = run.table("activity", run.info.saes[0].slug).to_pylist()

    def rounded(value: float) -> float:
        return float(f"{value:.4g}")

    return {row["latent"]: (rounded(row["density"]), rounded(row["max"])) for row in rows}


def test_a_combination_is_what_python_finds(plain: Path, watched: Make) -> None:
    known = activity(plain)
    high = sorted(v[1] for v in known.values())[30]
    low = sorted(v[0] for v in known.values())[10]
    wanted = [n for n, (d, m) in known.items() if d >= low and m <= high and 10 <= n <= 110]
    wanted.sort(key=lambda n: (-known[n][1], n))
    assert 3 < len(wanted) < 40
    seen = watched(height=3000)
    page = seen.open(
        plain / "index.html", f"#sort=-max&density={low}..&max=..{high}&latent=10..110"
    )
    assert shown(page) == wanted
    assert found(page) == f"{len(wanted)} of {len(known)} latents"
    assert page.locator("#filters-count").inner_text() == "(3)"
    page.click("#reset")
    assert fragment(page) == ""
    assert found(page) == f"{len(known)} latents"
    assert page.locator("#reset").is_disabled()
    seen.check()


def test_every_control_goes_into_the_address_and_comes_back(plain: Path, watched: Make) -> None:
    seen = watched(height=3000)
    page = seen.open(plain / "index.html")
    token = page.locator("#rows .c-tokens code").nth(0).inner_text().replace("␣", "")
    page.click("#filters summary")
    page.fill("#by-tokens", f'"{token}"')
    until(page, "document.getElementById('found').textContent.includes(' of ')")
    for row in page.locator("#rows tr[data-latent] .c-tokens").all():
        texts = [t.replace("␣", " ").strip() for t in row.locator("code").all_inner_texts()]
        assert token in texts
    page.fill("#max-from", "0.001")
    page.fill("#latent-to", "1e3")
    page.check("#filters input[value=labelled]")
    # At once, while what was typed still waits: nothing of it may be lost.
    page.evaluate(
        """() => {
            const field = document.getElementById('latent-from');
            field.value = '2';
            field.dispatchEvent(new Event('input', { bubbles: true }));
            const then = document.getElementById('then');
            then.value = '-density';
            then.dispatchEvent(new Event('change', { bubbles: true }));
        }"""
    )
    until(page, "self.location.hash.includes('latent=')")
    parts = parse_qs(fragment(page))
    assert parts == {
        "sort": ["latent,-density"],
        "tokens": [f'"{token}"'],
        "latent": ["2..1000"],
        "max": ["0.001.."],
        "only": ["labelled"],
    }
    first, said = shown(page), found(page)
    page.reload()
    page.wait_for_selector("th[aria-sort]")
    assert (shown(page), found(page)) == (first, said)
    assert page.locator("#by-tokens").input_value() == f'"{token}"'
    assert page.locator("#then").input_value() == "-density"
    page.fill("#max-from", "ten")
    until(page, "!self.location.hash.includes('max=')")
    assert page.locator("#max-from").get_attribute("aria-invalid") == "true"
    seen.check()


@pytest.mark.parametrize(
    "name", ["latent", "marked", "density", "max", "shape", "tokens", "raises", "label"]
)
def test_every_column_sorts_both_ways(plain: Path, watched: Make, name: str) -> None:
    seen = watched(height=3000)
    page = seen.open(plain / "index.html")
    everything = sorted(shown(page))
    orders = []
    for _ in range(2):
        page.click(f"th[data-sort={name}] button")
        head = page.locator(f"th[data-sort={name}]")
        assert head.get_attribute("aria-sort") in ("ascending", "descending")
        orders.append(shown(page))
        assert sorted(orders[-1]) == everything
    if name == "tokens":
        texts = [
            row.locator("code").first.inner_text().replace("␣", "").strip().lower()
            for row in page.locator("#rows tr[data-latent] .c-tokens").all()
            if row.locator("code").count()
        ]
        assert texts == sorted(texts) or texts == sorted(texts, reverse=True)
        assert len(texts) > 20
    if name != "marked":
        assert orders[0] != orders[1]
    seen.check()


def test_a_second_key_with_shift_by_mouse_and_keyboard(plain: Path, watched: Make) -> None:
    seen = watched(height=3000)
    page = seen.open(plain / "index.html")
    page.click("th[data-sort=label] button")
    page.locator("th[data-sort=density] button").focus()
    page.keyboard.press("Shift+Enter")
    assert fragment(page) == "sort=label,-density"
    assert page.locator("th[data-sort=density]").get_attribute("data-rank") == "2▼"
    assert page.locator("th[aria-sort]").count() == 1
    known = activity(plain)
    labels = page.locator("#rows tr[data-latent] .c-label").all_inner_texts()
    pairs = list(zip(labels, shown(page), strict=True))
    keyed = [(not text, text.lower(), -known[n][0], n) for text, n in pairs]
    assert keyed == sorted(keyed)
    page.click("th[data-sort=density] button", modifiers=["Shift"])
    assert fragment(page) == "sort=label,density"
    seen.check()


@pytest.mark.parametrize("anchor", NONSENSE)
def test_nonsense_in_the_address_does_no_harm(plain: Path, watched: Make, anchor: str) -> None:
    seen = watched()
    page = seen.open(plain / "index.html", anchor)
    page.wait_for_selector("th[aria-sort]")
    assert "latents" in found(page)
    page.click("th[data-sort=max] button")
    assert "sort=-max" in fragment(page)
    assert len(fragment(page)) < 400
    seen.check()


def test_stars_and_pins_in_the_table_by_keyboard(plain: Path, watched: Make) -> None:
    seen = watched()
    page = seen.open(plain / "index.html")
    second = shown(page)[1]
    page.locator("#rows th a").nth(1).focus()
    page.keyboard.press("s")
    page.keyboard.press("p")
    row = page.locator(f"#rows tr[data-latent='{second}']")
    assert row.locator("button[aria-pressed=true]").count() == 2
    assert page.evaluate("document.activeElement.textContent") == str(second)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == (
        f"Star latent {second}"
    )
    page.keyboard.press("Enter")
    assert row.locator("button[aria-pressed=true]").count() == 1
    page.click("#filters summary")
    page.check("#filters input[value=pinned]")
    assert shown(page) == [second]
    page.check("#filters input[value=starred]")
    assert page.locator("#rows").inner_text().strip() == "No latent fits the filters."
    assert "only=starred,pinned" in fragment(page)
    seen.check()


def test_dragging_over_the_densities_sets_the_range(plain: Path, watched: Make) -> None:
    seen = watched(height=2400)
    page = seen.open(plain / "index.html")
    page.wait_for_selector("[data-figure=density] .plot .barlayer path")
    box = page.locator("[data-figure=density] .plot .nsewdrag").bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.5, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, y, steps=5)
    page.mouse.up()
    until(page, "self.location.hash.includes('density=')")
    low, high = (float(end) for end in parse_qs(fragment(page))["density"][0].split(".."))
    assert 0 < low < high < 1
    known = activity(plain)
    wanted = sorted(n for n, (density, _) in known.items() if low <= density <= high)
    assert 0 < len(wanted) < len(known)
    assert shown(page) == wanted
    page.wait_for_selector("[data-figure=density] .shapelayer path")
    page.click("#reset")
    until(page, "!document.querySelector('[data-figure=density] .shapelayer path')")
    seen.check()


def test_the_map_shows_what_the_filters_leave(plain: Path, watched: Make) -> None:
    """Whichever filter it is: the brush over the densities, or a word."""
    seen = watched(height=3600)
    page = seen.open(plain / "index.html")
    page.wait_for_selector("#map .scatterlayer .point")
    drawn = """() => Object.fromEntries(document.querySelector('#map .plot').data.map(
        (trace) => [trace.name, trace.customdata]))"""
    everything = shown(page)
    assert page.evaluate(drawn)["left out"] == []
    page.wait_for_selector("[data-figure=density] .plot .barlayer path")
    box = page.locator("[data-figure=density] .plot .nsewdrag").bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.5, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, y, steps=5)
    page.mouse.up()
    until(page, "self.location.hash.includes('density=')")
    until(page, "document.querySelector('#map .plot').data[0].customdata.length > 0")
    found, wanted = page.evaluate(drawn), shown(page)
    assert sorted(found["active"] + found["dead"]) == sorted(wanted)
    assert sorted(found["left out"]) == sorted(set(everything) - set(wanted))
    said = page.locator("#map [role=status]").inner_text()
    assert said.startswith(f"{len(wanted)} of {len(everything)} latents fit")
    page.click("#reset")
    until(page, "document.querySelector('#map .plot').data[0].customdata.length === 0")
    assert page.locator("#map [role=status]").inner_text() == ""
    seen.check()


def test_bars_of_two_kinds_have_a_key(plain: Path, watched: Make) -> None:
    page = watched().open(plain / "index.html")
    key = page.locator("[data-figure=density] .drawn-key li")
    assert key.all_inner_texts() == ["all latents", "shown here"]


def test_the_rows_as_a_file(plain: Path, watched: Make, tmp_path: Path) -> None:
    seen = watched()
    page = seen.open(plain / "index.html", "#sort=-max&latent=..60")
    wanted = page.evaluate("document.getElementById('found').textContent").split()[0]
    page.click(".filters [aria-label='Data of latents']")
    for ending in ("CSV", "JSON"):
        with page.expect_download() as waiting:
            page.click(f".filters [aria-label='{ending}: data of latents']")
        waiting.value.save_as(tmp_path / ending)
    text = (tmp_path / "CSV").read_bytes().decode("utf-8")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == int(wanted)
    values = [float(row["max"]) for row in rows]
    assert values == sorted(values, reverse=True)
    data = json.loads((tmp_path / "JSON").read_text("utf-8"))
    assert [str(row[1]) for row in data["rows"]] == [row["latent"] for row in rows]


def test_six_thousand_rows_are_filtered_and_sorted_at_once(large: Path, watched: Make) -> None:
    seen = watched()
    page = seen.open(large / "index.html")
    page.wait_for_selector("th[aria-sort]")
    spent = page.evaluate("""() => {
        const begin = performance.now();
        for (const name of ["tokens", "density", "label", "shape"])
            document.querySelector("th[data-sort=" + name + "] button").click();
        return performance.now() - begin;
    }""")
    assert spent < 4000
    page.click("#filters summary")
    page.fill("#by-raises", "the")
    until(page, "document.getElementById('found').textContent.includes(' of ')")
    assert page.locator("#rows tr").count() < 90
    seen.check()


def test_filters_are_folded_until_asked_for(plain: Path, watched: Make) -> None:
    seen = watched(width=360)
    page = seen.open(plain / "index.html")
    assert not page.locator("#by-tokens").is_visible()
    page.locator("#filters summary").focus()
    page.keyboard.press("Enter")
    assert page.locator("#by-tokens").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.locator("#from").focus()
    page.keyboard.press("ArrowRight")
    until(page, "self.location.hash.includes('density=')")
    page = seen.open(latent_pages(plain)[0])
    page = seen.open(plain / "index.html", "#max=1..")
    assert page.locator("#max-from").is_visible()
    seen.check()


def test_cards_are_sorted_and_say_so_in_the_address(hostile: Path, watched: Make) -> None:
    seen = watched()
    page = seen.open(hostile / "index.html")
    before = page.locator(".card-link").all_inner_texts()
    page.select_option("#order", "l0")
    assert fragment(page) == "sort=l0"
    values = [float(li.get_attribute("data-l0")) for li in page.locator(".card").all()]
    assert values == sorted(values)
    page.reload()
    page.wait_for_selector(".card")
    assert page.locator("#order").input_value() == "l0"
    page = seen.open(hostile / "index.html", "#sort=constructor")
    assert page.locator(".card-link").all_inner_texts() == before
    seen.check()
