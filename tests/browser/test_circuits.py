from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from saereport.site import render
from tests.browser.conftest import Watched, until, url_of
from tests.synthetic import Shape, write_run
from tests.synthetic_circuits import prompts

pytestmark = pytest.mark.browser

Make = Callable[..., Watched]

SHAPE = Shape(d_sae=64, n_chosen=16, n_sequences=60, n_vocabulary=900, hostile=True, n_saes=3)


@pytest.fixture(scope="module")
def circuits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Circuits folder of a report with hostile tokens and a hostile prompt name."""
    folder = tmp_path_factory.mktemp("circuits")
    write_run(folder / "run", SHAPE, prompts)
    render(folder / "run", folder / "a report #1", shard_size=8)
    return folder / "a report #1" / "circuits"


OPEN = "#maps details.unfold[open]"
DRAWN = f"!!document.querySelector('{OPEN} .c-heat .heatmaplayer image')"
DATA = f"document.querySelector('{OPEN} .c-heat').data[0]"


def opened(seen: Watched, path: Path) -> Any:
    page = seen.open(path)
    page.locator(OPEN).scroll_into_view_if_needed()
    until(page, DRAWN)
    return page


def test_every_page_and_every_map_opens(circuits: Path, watched: Make) -> None:
    seen = watched(height=4000)
    seen.open(circuits / "index.html")
    seen.check()
    for number in range(3):
        page = opened(seen, circuits / f"prompt-{number}.html")
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        heats = page.locator(".c-heat")
        assert heats.count() == 9 - (number == 1)
        for heat in heats.all():
            heat.scroll_into_view_if_needed()
            heat.locator(".heatmaplayer").first.wait_for(state="attached")
        seen.check()


def test_a_click_on_a_cell_pins_it(circuits: Path, watched: Make) -> None:
    seen = watched(height=1600)
    page = opened(seen, circuits / "prompt-0.html")
    place = page.evaluate(
        f"""() => {{
            const plot = document.querySelector('{OPEN} .c-heat');
            const z = plot.data[0].z;
            const y = z.findIndex((row) => row.some((value) => value !== null));
            const x = z[y].findIndex((value) => value !== null);
            const box = plot.getBoundingClientRect();
            const axes = plot._fullLayout;
            return [box.left + axes.xaxis._offset + axes.xaxis.d2p(x),
                    box.top + axes.yaxis._offset + axes.yaxis.d2p(y), z[y][x]];
        }}"""
    )
    page.mouse.move(place[0], place[1])
    page.mouse.click(place[0], place[1])
    card = page.locator(f"{OPEN} .c-card")
    card.locator("dl").wait_for()
    assert card.locator("a").count() == 2
    shown = page.evaluate("(value) => saereport.inspect.asText.value(value)", place[2])
    assert shown in card.locator("dd").all_inner_texts()
    seen.check()


def test_the_arrow_keys_walk_from_cell_to_cell(circuits: Path, watched: Make) -> None:
    seen = watched(height=1600)
    page = opened(seen, circuits / "prompt-0.html")
    plot = page.locator(f"{OPEN} .c-heat")
    plot.focus()
    strongest = "(z) => Math.max(...z.flat().map(Math.abs))"
    page.keyboard.press("ArrowRight")
    values = page.locator(f"{OPEN} .c-card dd")
    shown = page.evaluate(f"saereport.inspect.asText.value(({strongest})({DATA}.z))")
    assert shown.lstrip("−-") in [text.lstrip("−-") for text in values.all_inner_texts()]
    first = page.locator(f"{OPEN} .c-card").inner_text()
    marks = f"document.querySelector('{OPEN} .c-heat').layout.shapes.length"
    assert page.evaluate(marks) >= 1
    for key in ("ArrowDown", "ArrowUp", "ArrowLeft", "ArrowRight"):
        page.keyboard.press(key)
        if page.locator(f"{OPEN} .c-card").inner_text() != first:
            break
    else:
        raise AssertionError("no arrow key leads to another cell")
    seen.check()


def test_sorting_and_thresholds_change_what_is_drawn(circuits: Path, watched: Make) -> None:
    seen = watched(height=1600)
    page = opened(seen, circuits / "prompt-0.html")
    first = page.evaluate(f"JSON.stringify({DATA}.customdata)")
    page.locator(OPEN).get_by_label("Sort by").select_option("strength")
    until(page, f"JSON.stringify({DATA}.customdata) !== {first!r}")
    count = f"{DATA}.z.flat().filter((value) => value !== null).length"
    before = page.evaluate(count)
    page.locator(OPEN).get_by_label("Threshold").select_option("0.5")
    until(page, f"{count} < {before}")
    values = page.evaluate(f"{DATA}.z.flat().filter((value) => value !== null).map(Math.abs)")
    assert min(values) >= 0.5 * page.evaluate(f"{DATA}.zmax")
    page.locator(OPEN).get_by_label("Strongest rows, columns").select_option("12")
    until(page, f"{DATA}.z.length <= 12")
    seen.check()


def test_logits_sort_by_any_chosen_logit(circuits: Path, watched: Make) -> None:
    seen = watched(height=1600)
    page = opened(seen, circuits / "prompt-0.html")
    page.evaluate("""document.querySelectorAll('details.unfold').forEach((d) => { d.open = false; })
        || (document.querySelector('#maps details.unfold:last-of-type').open = true)""")
    until(page, DRAWN)
    sort = page.locator(OPEN).get_by_label("Sort by")
    wanted = next(
        value
        for value in sort.locator("option").evaluate_all("(all) => all.map((o) => o.value)")
        if value.startswith("row-")
    )
    label = sort.locator(f"option[value='{wanted}']").inner_text()
    sort.select_option(wanted)
    assert label.startswith("logit ")
    row = f"""(() => {{
        const {{ blocks }} = saereport.inspect.store.pages.get("circuits/prompt-0.html");
        const map = Array.from(blocks.values()).filter((b) => b.base === "prompt.map").at(-1);
        const row = Number({wanted!r}.slice("row-".length));
        return {DATA}.customdata.find((cells) => cells.some((i) => i >= 0 && map.y[i] === row))
            .map((i) => (i < 0 ? 0 : map.value[i]));
    }})()"""
    values = page.evaluate(row)
    assert values == sorted(values, reverse=True)
    assert len(set(values)) > 1
    seen.check()


def test_a_token_filters_the_tables_by_keyboard(circuits: Path, watched: Make) -> None:
    seen = watched()
    page = opened(seen, circuits / "prompt-0.html")
    page.locator("[data-token='3']").focus()
    page.keyboard.press("Enter")
    rows = page.evaluate(
        "Array.from(document.querySelectorAll('tr[data-at]'), (r) => [r.dataset.at, r.hidden])"
    )
    assert all(hidden == ("3" not in at.split()) for at, hidden in rows)
    assert {hidden for _, hidden in rows} == {True, False}
    page.keyboard.press("Enter")
    assert page.locator("tr[data-at][hidden]").count() == 0
    seen.check()


def test_another_prompt_is_laid_over_the_activations(circuits: Path, watched: Make) -> None:
    seen = watched()
    page = seen.open(circuits / "prompt-0.html")
    page.locator("#activations").scroll_into_view_if_needed()
    until(page, "!!document.querySelector('#activations .scatterlayer .trace')")
    lines = "document.querySelector('#activations .plot').data.length"
    before = page.evaluate(lines)
    page.locator("#activations select").select_option("circuits/prompt-2.html")
    until(page, f"{lines} > {before}")
    seen.check()


def test_it_is_laid_over_where_its_data_is_much(
    circuits: Path, tmp_path: Path, watched: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then every block is in a script of its own, also that of the other prompt."""
    monkeypatch.setattr("saereport.site.shown.SPLIT_AT", 0)
    render(circuits.parent, tmp_path / "out")
    assert (tmp_path / "out/circuits/prompt-2/activations.0.js").is_file()
    test_another_prompt_is_laid_over_the_activations(tmp_path / "out/circuits", watched)


def test_the_address_keeps_what_was_chosen(circuits: Path, watched: Make) -> None:
    """A token, a prompt that is laid over, a pinned cell of a map that is folded away."""
    seen = watched(height=1600)
    page = opened(seen, circuits / "prompt-0.html")
    page.locator("[data-token='3']").click()
    page.locator("#activations select").select_option("circuits/prompt-2.html")
    page.evaluate("document.querySelectorAll('details.unfold').forEach((d) => { d.open = false; })")
    fold = "#maps details.unfold:nth-of-type(2)"
    page.evaluate(f"document.querySelector('{fold}').open = true")
    until(page, DRAWN)
    page.locator(f"{fold} .c-heat").focus()
    page.keyboard.press("ArrowRight")
    card = page.locator(f"{fold} .c-card dl")
    card.wait_for()
    said, address = card.inner_text(), url_of(page)
    for name in ("token=3", "over=prompt-2", "cell=maps."):
        assert name in address
    seen.check()
    page.goto("about:blank")
    page = seen.open(circuits / "prompt-0.html", "#" + address.partition("#")[2])
    page.locator(f"{fold}[open] .c-card dl").wait_for()
    assert page.locator(f"{fold} .c-card dl").inner_text() == said
    assert page.locator("[data-token='3']").get_attribute("aria-pressed") == "true"
    assert page.locator("tr[data-at][hidden]").count() > 0
    assert page.locator("#activations select").input_value() == "circuits/prompt-2.html"
    page.locator(f"{fold} .c-heat").scroll_into_view_if_needed()
    until(page, DRAWN)
    assert page.evaluate(f"document.querySelector('{fold} .c-heat').layout.shapes.length") > 0
    page.locator(f"{fold} .c-heat").focus()
    page.keyboard.press("Escape")
    page.locator("[data-token='3']").click()
    page.locator("#activations select").select_option("")
    assert page.locator(f"{fold} .c-card dl").count() == 0
    assert "#" not in url_of(page)
    seen.check()


@pytest.mark.parametrize(
    "anchor",
    [
        "#token=99&over=../x&cell=maps.1.1~a~b",
        "#maps",
        "#cell=~&token=",
        "#token=<b>&cell=__proto__~",
    ],
)
def test_an_address_that_makes_no_sense_chooses_nothing(
    circuits: Path, watched: Make, anchor: str
) -> None:
    seen = watched()
    page = seen.open(circuits / "prompt-0.html", anchor)
    page.wait_for_selector("#activations select")
    assert page.locator("tr[data-at][hidden]").count() == 0
    assert page.locator(".c-card dl").count() == 0
    assert page.locator("#activations select").input_value() == ""
    page.locator("[data-token='2']").click()
    assert "token=2" in url_of(page)
    assert ("#maps&" in url_of(page)) == (anchor == "#maps"), "a place on the page stays in front"
    seen.check()


def keys(page: Any, block: str) -> list[str]:
    return page.locator(f"{block} .drawn-key li").all_inner_texts()


def test_drawings_say_what_their_colours_and_outlines_are(published: Path, watched: Make) -> None:
    """And a cell without a value does not look like one of the value zero."""
    seen = watched(height=4000)
    page = opened(seen, published / "circuits" / "repeated-random-tokens.html")
    missing, outlined = "no pair, or not among the pairs kept", "where induction is expected"
    assert keys(page, f"{OPEN} [data-block]") == ["zero", missing, outlined]
    assert keys(page, "#induction") == ["zero", missing, outlined]
    assert keys(page, "#checks") == ["latents to latents", "latents to logits", "as predicted"]
    assert keys(page, "#attention-patterns, #patterns") == [
        "zero",
        "a later token, which is not attended to",
    ]
    zero, beside = page.evaluate(
        f"""() => {{
            const plot = document.querySelector('{OPEN} .c-heat');
            const [, middle] = plot.data[0].colorscale[1];
            return [middle, plot.layout.plot_bgcolor];
        }}"""
    )
    assert zero != beside
    for name, colour in (("zero", zero), ("missing", beside)):
        sample = f"{OPEN} .drawn-key .s-{name}"
        shown = f"getComputedStyle(document.querySelector('{sample}')).backgroundColor"
        assert page.evaluate(shown) == colour
    seen.check()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["index", "prompt-1", "prompt-2"])
def test_nothing_is_wider_than_a_phone(
    circuits: Path, watched: Make, theme: str, name: str
) -> None:
    seen = watched(width=360, height=4000, theme=theme)
    page = seen.open(circuits / f"{name}.html")
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    page.wait_for_timeout(600)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    seen.check()


def test_without_javascript_the_numbers_are_there(circuits: Path, watched: Make) -> None:
    seen = watched(java_script_enabled=False)
    page = seen.open(circuits / "prompt-0.html")
    assert page.locator("#next-tokens table").is_visible()
    assert page.locator(f"{OPEN} table tbody tr").first.is_visible()
    assert "edges: the earlier latent was set to zero" in page.locator("main").inner_text()
    assert not page.locator("#filter-note").is_visible()
    assert seen.problems == []
