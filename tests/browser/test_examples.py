"""Examples as a reader cuts, folds and brushes them, and a text with the eyes of another latent."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from saereport.run import open_run
from saereport.site import numbers, render
from saereport.util.visible import visible_text
from tests.browser.conftest import Watched, latent_pages, still, until, url_of
from tests.synthetic import Shape, write_run

pytestmark = pytest.mark.browser

Make = Callable[..., Watched]
CURRENT = "article.current"
ROWS = f"{CURRENT} .example"


def opened(seen: Watched, report: Path, anchor: str = "", place: int = 1) -> Any:
    page = seen.open(latent_pages(report)[place], anchor)
    page.wait_for_selector(f"{CURRENT} .panels")
    return page


def current(page: Any) -> int:
    return int(page.locator(CURRENT).get_attribute("id").removeprefix("latent-"))


def stored(report: Path, latent: int) -> list[dict[str, Any]]:
    """The latent's examples in the run, each once, the strongest first."""
    run = open_run(report)
    table = run.table("examples", run.info.saes[0].slug, latents=(latent, latent + 1))
    once = {(row["sequence"], row["position"]): row for row in table.to_pylist()}
    return sorted(once.values(), key=lambda row: -row["activation"])


def peaks(report: Path, rows: list[dict[str, Any]]) -> list[int]:
    table = open_run(report).table("sequences")
    texts = dict(zip(table["sequence"].to_pylist(), table["tokens"].to_pylist(), strict=True))
    return [texts[row["sequence"]][row["position"]] for row in rows]


def open_whole_list(page: Any) -> None:
    for button in page.query_selector_all(f"{CURRENT} .group button.linkish"):
        button.click()


def test_a_range_by_keyboard_filters_all_stored_examples(plain: Path, watched: Make) -> None:
    seen = watched()
    page = opened(seen, plain)
    rows = stored(plain, current(page))
    low, high = (round(rows[len(rows) * k // 4]["activation"], 2) for k in (3, 1))
    page.get_by_role("spinbutton", name="Activation from").first.focus()
    page.keyboard.type(str(low))
    page.keyboard.press("Tab")
    field = page.locator(f"{CURRENT} .range input").nth(1)
    assert field.evaluate("(field) => field === document.activeElement")
    page.keyboard.type(str(high))
    page.keyboard.press("Enter")
    inside = [row for row in rows if low <= row["activation"] <= high]
    assert 0 < len(inside) < len(rows)
    said = page.locator(f"{CURRENT} .sieve [role=status]")
    shown = f"{numbers.value(low)} to {numbers.value(high)}"
    assert said.inner_text() == f"{len(inside)} of {len(rows)} stored examples, activation {shown}"
    open_whole_list(page)
    values = page.locator(f"{ROWS} .value").all_inner_texts()
    assert values == [numbers.value(row["activation"]) for row in inside]
    assert f"&range={low}-{high}" in url_of(page)
    address = url_of(page)
    page.click(f"{CURRENT} .sieve button")
    assert "range" not in url_of(page)
    assert not page.locator(f"{CURRENT} .sieve").is_visible()
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_selector(f"{CURRENT} .panels")
    assert said.inner_text().startswith(f"{len(inside)} of {len(rows)}")
    seen.check()


@pytest.mark.parametrize("bins", ["linear bins", "log bins"])
def test_dragging_over_the_histogram(plain: Path, watched: Make, bins: str) -> None:
    seen = watched(height=2400)
    page = opened(seen, plain)
    plot = page.locator(f"{CURRENT} [data-panel=activation] .plot")
    page.click(f"{CURRENT} [data-panel=activation] button:has-text('{bins}')")
    bar = f"{CURRENT} [data-panel=activation] .barlayer .point path"
    page.wait_for_selector(bar, state="attached")
    # Other figures above may still be drawn, and move this one away from under the mouse.
    box = still(plot)
    place = """(plot, value) => plot._fullLayout._size.l + plot._fullLayout.xaxis.d2p(
      saereport.inspect.toAxis(value, value < 0 ? {} : OCTAVES))""".replace(
        "OCTAVES", "{ octaves: 4 }" if bins == "log bins" else "{}"
    )
    rows = stored(plain, current(page))
    ends = [rows[len(rows) * k // 4]["activation"] for k in (3, 1)]
    low, high = (box["x"] + plot.evaluate(place, end) for end in ends)
    page.mouse.move(low, box["y"] + 60)
    page.mouse.down()
    page.mouse.move((low + high) / 2, box["y"] + 70)
    page.mouse.move(high, box["y"] + 80)
    page.mouse.up()
    found = re.search(r"&range=([\d.]+)-([\d.]+)", url_of(page))
    assert found
    chosen = [float(text) for text in found.groups()]
    assert chosen == pytest.approx(ends, rel=0.02, abs=rows[0]["activation"] / 200)
    inside = [row for row in rows if chosen[0] <= row["activation"] <= chosen[1]]
    said = page.locator(f"{CURRENT} .sieve [role=status]").inner_text()
    assert said.startswith(f"{len(inside)} of {len(rows)} stored examples")
    until(page, f"document.querySelectorAll('{CURRENT} .shapelayer path').length === 1")
    page.keyboard.press("j")
    assert "range" not in url_of(page), "a range belongs to one latent"
    seen.check()


def test_one_example_for_each_peak_token(plain: Path, watched: Make) -> None:
    seen = watched()
    page = opened(seen, plain, "#latent-0&range=0-100000&unique")
    page = opened(seen, plain)
    latent = current(page)
    page = opened(seen, plain, f"#latent-{latent}&range=0-100000&unique")
    rows = stored(plain, latent)
    tokens = peaks(plain, rows)
    first = [row for i, row in enumerate(rows) if tokens[i] not in tokens[:i]]
    open_whole_list(page)
    values = page.locator(f"{ROWS} .value").all_inner_texts()
    assert values == [numbers.value(row["activation"]) for row in first]
    more = page.locator(f"{CURRENT} .folded").all_inner_texts()
    folded = [int(text[1:].split()[0]) for text in more]
    assert len(first) + sum(folded) == len(rows)
    toggle = page.locator(f"{CURRENT} .toggle")
    assert toggle.get_attribute("aria-pressed") == "true"
    toggle.focus()
    page.keyboard.press("Enter")
    assert "unique" not in url_of(page)
    open_whole_list(page)
    assert page.locator(ROWS).count() == len(rows)
    seen.check()


WORDS = (
    ("<|endoftext|>", "First", " one", ".", " Then", " 3", ".", "5", " of", " them", "!"),
    (" \u0627\u0644", "\u0639\u0631\u0628", "\u064a\u0629", "\u061f", " e", "\u0301"),
    (" \u05e9", "\u05dc", "\u05d5\u05dd", ".\n", " \u0915", "\u094d", "\u0937", "\u093f", "\u0964"),
    (" " + "x" * 90, " End", "."),
)
SENTENCES = tuple(text.encode() for line in WORDS for text in line)


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text of sentences in Latin, Arabic, Hebrew and Devanagari, cut in the middle of words."""
    folder = tmp_path_factory.mktemp("scripts")
    shape = Shape(
        d_sae=16,
        n_chosen=8,
        n_sequences=20,
        n_vocabulary=len(SENTENCES),
        tokens=SENTENCES,
        n_dead=0,
    )
    write_run(folder / "run", shape)
    render(folder / "run", folder / "report")
    return folder / "report"


SPLIT = (
    b"<|endoftext|>",
    *(b" see", b" \xd7", b"\xa9", "לו".encode(), b"\xd7", b"\x9d", b" and", b" "),
    *(bytes([byte]) for byte in "😀".encode()),
    *(b" x", b"\xd7", b" end", b"."),
)
"""Letters and an emoji in several tokens each, and a byte that stays one."""


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("split")
    shape = Shape(
        d_sae=8,
        n_chosen=4,
        n_sequences=12,
        n_vocabulary=len(SPLIT),
        context=len(SPLIT),
        tokens=SPLIT,
        n_dead=0,
    )
    write_run(folder / "run", shape)
    render(folder / "run", folder / "report")
    return folder / "report"


def test_characters_over_several_tokens_are_read_whole(split: Path, watched: Make) -> None:
    seen = watched()
    page = opened(seen, split, place=0)
    html = latent_pages(split)[0].read_text("utf-8")
    assert "שלום" in html
    page.locator(f"{CURRENT} .fold").first.click()
    words = page.locator(f"{CURRENT} .words").first
    until(page, f"document.querySelector('{CURRENT} .words').textContent.includes('end')")
    text = words.text_content()
    assert " see שלום and 😀 x<0xD7> end." in text
    # Reached by keyboard, the bytes are told one by one; lists of tokens keep them.
    letter = words.locator("span", has_text="ש").first
    assert letter.get_attribute("tabindex") == "0"
    letter.focus()
    tip = page.locator("[role=tooltip]").first
    tip.wait_for()
    said = tip.text_content()
    assert all(part in said for part in ("in 2 tokens", "␣<0xD7>", "<0xA9>"))
    seen.check()


def test_cuts_go_round_and_stay_in_the_address(scripts: Path, watched: Make) -> None:
    seen = watched()
    page = opened(seen, scripts, place=0)
    n_snippet = page.locator(f"{ROWS}").first.locator(".words span").count()
    page.keyboard.press("r")
    assert url_of(page).endswith("&cut=sentence")
    ends = re.compile(r"[.!؟।↵]$")
    page.wait_for_timeout(300)
    for words in page.query_selector_all(f"{CURRENT} .words"):
        inner = [span.text_content() for span in words.query_selector_all("span")]
        assert not any(ends.search(text) for text in inner[:-1] if text != "."), inner
        assert ends.search(inner[-1]) or inner == ["<|endoftext|>"] or len(inner) < 29
    page.keyboard.press("r")
    assert url_of(page).endswith("&cut=full")
    lines = f"[...document.querySelectorAll('{CURRENT} .words')]"
    whole = f"{lines}.every((line) => line.children.length === 64)"
    until(page, whole)
    page.reload()
    until(page, whole)
    page.keyboard.press("j")
    assert url_of(page).endswith("&cut=full")
    page.keyboard.press("r")
    assert "cut" not in url_of(page)
    page.keyboard.press("k")
    assert page.locator(ROWS).first.locator(".words span").count() == n_snippet
    seen.check()


def test_scripts_run_as_they_are_read(scripts: Path, watched: Make) -> None:
    seen = watched(width=360)
    page = opened(seen, scripts, "", place=0)
    page.keyboard.press("r")
    page.keyboard.press("r")
    until(page, f"document.querySelector('{CURRENT} .words').children.length === 64")
    text = page.locator(f"{CURRENT} .words").first.evaluate("(node) => node.textContent")
    assert "العربية؟" in text
    assert "שלום" in text
    assert "क्षि" in text or "◌्" in text
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    # The letters of the Arabic word stand from right to left, with nothing between them.
    place = """() => {
      const spans = [...document.querySelector("article.current .words").children];
      const at = spans.findIndex((span) => span.textContent.endsWith("\\u0627\\u0644"));
      const boxes = spans.slice(at, at + 3).map((span) => span.getBoundingClientRect());
      return boxes.map((box) => [box.left, box.right, box.top]);
    }"""
    first, second, third = page.evaluate(place)
    if first[2] == second[2] == third[2]:
        assert first[0] == pytest.approx(second[1], abs=1.5)
        assert second[0] == pytest.approx(third[1], abs=1.5)
    seen.check()


def test_the_same_text_with_the_eyes_of_another_latent(hostile: Path, watched: Make) -> None:
    run = open_run(hostile)
    by_sequence: dict[int, set[tuple[str, int]]] = {}
    values: dict[tuple[str, int, int], dict[int, float]] = {}
    for sae in run.info.saes:
        for row in run.table("examples", sae.slug).to_pylist():
            by_sequence.setdefault(row["sequence"], set()).add((sae.slug, row["latent"]))
            pairs = zip(row["active_positions"], row["active_values"], strict=True)
            values[sae.slug, row["latent"], row["sequence"]] = dict(pairs)
    labels = {visible_text(sae.label): sae.slug for sae in run.info.saes}
    seen = watched()
    page = opened(seen, hostile)
    slug, latent = latent_pages(hostile)[1].parent.name, current(page)
    row = page.locator(ROWS).first
    sequence = int(re.search(r"seq (\d+)", row.inner_text())[1])  # type: ignore[index]
    row.locator(".fold").click()
    select = row.locator(".also select")
    select.wait_for()
    options = select.locator("option").all_inner_texts()[1:]
    assert len(options) == len(by_sequence[sequence] - {(slug, latent)}) > 0
    assert "a sample" in row.locator(".also label").inner_text()
    select.focus()
    page.keyboard.press("ArrowDown")
    link = row.locator(".seen a")
    link.wait_for()
    name, other = link.inner_text().rsplit(" ", 1)
    active = values[labels[name], int(other), sequence]
    names = "(nodes) => nodes.map((node) => node.className)"
    classes = row.locator(".words > span").evaluate_all(names)
    coloured = {i for i, text in enumerate(classes) if re.search(r"\ba\d\b", text)}
    assert coloured == set(active)
    maximum = run.table("activity", labels[name], latents=(int(other), int(other) + 1))["max"]
    assert numbers.value(maximum.to_pylist()[0]) in row.locator(".seen .legend").inner_text()
    link.click()
    page.wait_for_selector(f"{CURRENT} .panels")
    assert current(page) == int(other)
    seen.check()


def test_a_fragment_that_makes_no_sense_changes_nothing(plain: Path, watched: Make) -> None:
    seen = watched()
    for odd in (
        "&range=9-3",
        "&range=a-b",
        "&cut=<b>",
        "&range=1e999-2",
        "&range=-1--2",
        "&x=y&&=",
    ):
        page = opened(seen, plain, odd and f"#latent-{ids(plain)}{odd}")
        assert not page.locator(f"{CURRENT} .sieve").is_visible()
        assert page.locator(ROWS).count() > 0
    seen.check()


def ids(report: Path) -> int:
    found = re.search(r'id="latent-(\d+)"', latent_pages(report)[1].read_text("utf-8"))
    assert found
    return int(found[1])


@pytest.mark.parametrize(
    ("tokens", "at", "sentence"),
    [
        (["␣Then", ".", "␣Mr", ".", "␣Fox", "␣ran", ".", "␣He"], 4, "␣Mr.␣Fox␣ran."),
        (["␣A", ".", "␣J", ".", "␣P", ".", "␣Hill", "␣sat", ".", "␣So"], 7, "␣A.␣J.␣P.␣Hill␣sat."),
        (["␣See", "␣e", ".g", ".", "␣Rome", ".", "␣Or"], 4, "␣See␣e.g.␣Rome."),
        (["␣Dr", ".", "␣No", "␣left", "!", "␣Why"], 0, "␣Dr.␣No␣left!"),
        (["␣ca", ".", "␣ten", "␣men", ".", "␣All"], 2, "␣ca.␣ten␣men."),
        (["␣the", "␣end", ".", "␣New", "␣one", "."], 4, "␣New␣one."),
        (["␣What", "?", "␣he", "␣said", "."], 3, "␣he␣said."),
    ],
)
def test_where_a_sentence_ends(
    plain: Path, watched: Make, tokens: list[str], at: int, sentence: str
) -> None:
    page = watched().open(plain / "methods.html")
    found = page.evaluate(
        """([tokens, at]) => {
            const ids = tokens.map((text, i) => {
                saereport.inspect.store.tokens.set(900000 + i, text);
                return 900000 + i;
            });
            return tokens.slice(...saereport.inspect.sentenceAround(ids, at)).join("");
        }""",
        [tokens, at],
    )
    assert found == sentence


def test_a_click_on_a_row_unfolds_it(plain: Path, watched: Make) -> None:
    """Its text, its number, its place; not a drag that chooses text."""
    seen = watched()
    page = opened(seen, plain)
    example = page.locator(ROWS).first
    fold = example.locator(".fold")
    for part in (".value", ".words", ".at"):
        example.locator(part).click()
        assert fold.get_attribute("aria-expanded") == "true"
        until(page, f"document.querySelector('{ROWS} .words').children.length === 64")
        example.locator(part).click()
        assert fold.get_attribute("aria-expanded") == "false"
    example.locator(".peak").focus()
    page.keyboard.press("Enter")
    assert fold.get_attribute("aria-expanded") == "true"
    page.keyboard.press("Enter")
    box = still(example.locator(".words"))
    page.mouse.move(box["x"] + 4, box["y"] + 8)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 8, steps=4)
    page.mouse.up()
    assert page.evaluate("getSelection().toString()") != ""
    assert fold.get_attribute("aria-expanded") == "false"
    seen.check()


def test_examples_have_a_key_to_their_underline(plain: Path, watched: Make) -> None:
    page = opened(watched(), plain)
    header = page.locator(f"{CURRENT} [data-panel=examples] > header")
    assert "peak" in header.locator(".legend").all_inner_texts()[-1]
    shadow = "(node) => getComputedStyle(node).boxShadow"
    sample = header.locator(".s-peak").evaluate(shadow)
    assert sample != "none"
    assert sample == page.locator(f"{CURRENT} .words .peak").first.evaluate(shadow)


def test_quantile_groups_are_called_by_their_quantiles(published: Path, watched: Make) -> None:
    """The demo asks for the quantiles 0.5 and 0.9; the activations stand beside."""
    seen = watched()
    page = seen.open(published / "resid-l16" / "l0000.html")
    page.wait_for_selector(f"{CURRENT} .panels")
    page.click(f"{CURRENT} button:has-text('By quantile')")
    titles = page.locator(f"{CURRENT} .group h3").evaluate_all(
        "(all) => all.map((h) => h.firstChild.textContent)"
    )
    assert titles == ["Quantile 90 % – 100 %", "Quantile 50 % – 90 %", "Quantile 0 % – 50 %"]
    table = open_run(published).table("example_groups", "resid-l16")
    rows = {row["group"]: row for row in table.to_pylist() if row["latent"] == current(page)}
    ends = [numbers.value(rows["quantile:2"][name]) for name in ("lower", "upper")]
    said = page.locator(f"{CURRENT} .group h3").first.inner_text()
    assert f"activation {ends[0]} – {ends[1]}" in said
    page.click(f"{CURRENT} button:has-text('By interval')")
    first = page.locator(f"{CURRENT} .group h3").first.inner_text()
    assert first.startswith(f"Activation {numbers.value(rows['interval:3']['lower'])} – {ends[1]}")
    seen.check()


def test_without_edges_quantile_groups_are_numbered(plain: Path, watched: Make) -> None:
    page = opened(watched(), plain)
    page.click(f"{CURRENT} button:has-text('By quantile')")
    assert (
        page.locator(f"{CURRENT} .group h3").first.inner_text().startswith("Quantile group 5 of 5")
    )
