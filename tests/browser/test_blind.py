"""Blind case studies in Chromium: hide, guess, keep, export, reveal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup

from saereport.run import open_run
from saereport.site import render
from saereport.sources.explanations import read_explanations
from tests.browser.conftest import Watched, still, until, url_of
from tests.synthetic import Shape, write_run
from tests.synthetic_examples import blind_extra, examples_extra, without_spoilers

pytestmark = pytest.mark.browser

Make = Callable[..., Watched]
RESIDUAL, ATTENTION, TRANSCODER = (
    "synthetic-l3-residual",
    "synthetic-l6-attention",
    "synthetic-l9-transcoder",
)
EVIL = '<img src=x onerror="self.stolen=1"></textarea><script>self.stolen=1</script>'
OPEN, HIDDEN, REDACTED = 4, 3, 5


def choose(shown: dict[str, Any]) -> list[tuple[str, int, bool]]:
    return [
        (TRANSCODER, int(shown[TRANSCODER][HIDDEN]), True),
        (TRANSCODER, int(shown[TRANSCODER][REDACTED]), False),
        (ATTENTION, int(shown[ATTENTION][REDACTED]), False),
    ]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blind")
    secrets = tuple(f"secret phrase {i}" for i in range(20))
    shape = Shape(
        d_sae=64, n_chosen=14, n_sequences=120, n_vocabulary=900, n_saes=3, explanations=secrets
    )  # fmt: skip
    write_run(folder / "all", shape, examples_extra(), blind_extra(choose))
    without_spoilers(folder / "all", folder / "run")
    render(folder / "run", folder / "a report", shard_size=8)
    return folder / "a report"


def latent_at(report: Path, place: int, slug: str = TRANSCODER) -> int:
    return int(open_run(report).table("activity", slug)["latent"].to_pylist()[place])


def page_of(report: Path, latent: int, slug: str = TRANSCODER) -> Path:
    name = f'id="latent-{latent}"'
    return next(p for p in sorted((report / slug).glob("l*.html")) if name in p.read_text("utf-8"))


def go(seen: Watched, report: Path, latent: int, rest: str = "", slug: str = TRANSCODER) -> Any:
    page = seen.open(page_of(report, latent, slug), f"#latent-{latent}{rest}")
    page.wait_for_selector("article.current .panels")
    return page


def hidden_words(report: Path, latent: int) -> list[str]:
    """What only the hidden parts of the article say: label, tokens, the examples' text."""
    html = page_of(report, latent).read_text("utf-8")
    article = BeautifulSoup(html, "html.parser").select_one(f"#latent-{latent}")
    assert article is not None
    label = article.select_one(".label")
    line = article.select_one("p.line[data-reveals-text]")
    assert label is not None
    assert line is not None
    snippets = [q.text[:24] for q in article.select("ul.snips q")]
    return [label.text.split("  ")[0][:13], line.text, *snippets]


def text_of(page: Any) -> str:
    return str(page.evaluate("document.querySelector('article.current').innerText"))


def panels(page: Any) -> list[str]:
    return list(
        page.eval_on_selector_all(
            "article.current [data-panel]", "(found) => found.map((node) => node.dataset.panel)"
        )
    )


def squeezed(text: str) -> str:
    return "".join(text.split())


def test_a_veiled_latent_is_blind_until_it_is_revealed(report: Path, watched: Make) -> None:
    latent = latent_at(report, HIDDEN)
    seen = watched()
    page = go(seen, report, latent)
    words = [squeezed(word) for word in hidden_words(report, latent)]
    assert len(words) == 5
    assert not [word for word in words if word in squeezed(text_of(page))]
    assert not {"examples", "tokens"} & set(panels(page))
    assert {"logits", "influences", "components", "pullbacks"} <= set(panels(page))
    assert page.title().startswith(f"Latent {latent}, blind")
    assert not page.locator("article.current .gloss").count()
    page.click("text=Reveal")
    shown = squeezed(text_of(page))
    assert words[0] in shown
    assert words[1] in shown
    assert {"examples", "tokens"} <= set(panels(page))
    assert page.title().startswith(f"Latent {latent} ·")
    page.reload()
    page.wait_for_selector("article.current .panels")
    assert words[0] in squeezed(text_of(page))
    seen.check()


def test_tokens_of_examples_are_ids_while_blind(report: Path, watched: Make) -> None:
    seen = watched()
    page = go(seen, report, latent_at(report, OPEN), "&blind")
    panel = page.locator("article.current [data-panel=influences]")
    spans = panel.locator(".words span").all_inner_texts()
    assert len(spans) > 10
    assert all(text.startswith("#") or text == "…" for text in spans)
    assert all(text.startswith("#") for text in panel.locator(".paths code").all_inner_texts())
    panel.locator(".words span").nth(5).hover()
    page.wait_for_selector(".tip:not([hidden])")
    assert page.locator(".tip b").inner_text().startswith("#")
    page.keyboard.press("b")
    spans = panel.locator(".words span").all_inner_texts()
    assert not all(text.startswith("#") or text == "…" for text in spans)
    seen.check()


def test_the_switch_is_on_every_latent_and_in_the_address(report: Path, watched: Make) -> None:
    seen = watched()
    latent, following = latent_at(report, OPEN), latent_at(report, OPEN + 2)
    page = go(seen, report, latent)
    assert page.locator("article.current > header > .blind-switch").inner_text() == "Blind"
    page.keyboard.press("b")
    assert url_of(page).endswith(f"#latent-{latent}&blind")
    assert "secret phrase" not in text_of(page)
    page.reload()
    page.wait_for_selector("article.current .panels")
    assert "secret phrase" not in text_of(page)
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert url_of(page).endswith(f"#latent-{following}&blind")
    assert "secret phrase" not in text_of(page)
    page.keyboard.press("b")
    assert url_of(page).endswith(f"#latent-{following}")
    assert "secret phrase" in text_of(page)
    page.keyboard.press("?")
    assert "blind" in page.locator("#keys").inner_text()
    seen.check()


def test_blindness_crosses_pages(report: Path, watched: Make) -> None:
    seen = watched()
    page = go(seen, report, latent_at(report, 7), "&blind")
    page.keyboard.press("j")
    page.wait_for_url("**/l0001.html#latent-*&blind")
    page.wait_for_selector("article.current .panels")
    assert "secret phrase" not in text_of(page)
    seen.check()


@pytest.mark.parametrize("rest", ["&blinded", "&blind=1", "&"])
def test_what_an_address_says_besides_is_not_blind(report: Path, watched: Make, rest: str) -> None:
    seen = watched()
    latent = latent_at(report, OPEN)
    page = go(seen, report, latent, rest)
    assert page.locator("article.current").get_attribute("id") == f"latent-{latent}"
    assert not page.locator("article.current.blind").count()
    seen.check()


def test_without_scripts_nothing_is_spoilt(report: Path, watched: Make) -> None:
    seen = watched(java_script_enabled=False)
    latent = latent_at(report, HIDDEN)
    page = seen.page
    page.goto(page_of(report, latent).as_uri())
    text = squeezed(page.locator(f"#latent-{latent}").inner_text())
    assert not [word for word in hidden_words(report, latent) if squeezed(word) in text]
    assert "ThatneedsJavaScript" in text
    other = page.locator(f"#latent-{latent_at(report, OPEN)}").inner_text()
    assert "secret phrase" in other


def test_a_hypothesis_is_kept_exported_and_read_back(
    report: Path, watched: Make, tmp_path: Path
) -> None:
    seen = watched()
    first, second = latent_at(report, HIDDEN), latent_at(report, OPEN)
    page = go(seen, report, first)
    box = page.locator("article.current .blind-box")
    assert box.locator("text=Export").is_disabled()
    box.locator("textarea").fill("names of rivers;\nb j k are keys “too”")
    assert box.locator(".kept").inner_text() == "Kept in this browser"
    page.keyboard.press("b")
    assert "blind" in page.locator("article.current").get_attribute("class")
    page.reload()
    page.wait_for_selector("article.current .panels")
    kept = page.locator("article.current .blind-box textarea").input_value()
    assert kept == "names of rivers;\nb j k are keys “too”b"
    go(seen, report, second, "&blind")
    page.locator("article.current .blind-box textarea").fill(EVIL)
    with page.expect_download() as waiting:
        page.locator("article.current .blind-box >> text=Export").click()
    assert waiting.value.suggested_filename == f"hypotheses-{TRANSCODER}.jsonl"
    waiting.value.save_as(tmp_path / "mine.jsonl")
    read = read_explanations(tmp_path / "mine.jsonl")
    assert read == {
        first: [("names of rivers; b j k are keys “too”b", "hypothesis")],
        second: [(EVIL, "hypothesis")],
    }
    lines = (tmp_path / "mine.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["index"] for line in lines] == sorted([first, second])
    page.reload()
    page.wait_for_selector("article.current .panels")
    assert page.locator("article.current .blind-box textarea").input_value() == EVIL
    page.keyboard.press("b")
    assert page.locator("article.current .blind-box textarea").is_visible()
    assert not page.locator("article img, article script").count()
    seen.check()


def test_another_report_has_its_own_hypotheses(report: Path, watched: Make) -> None:
    seen = watched()
    latent = latent_at(report, OPEN)
    page = go(seen, report, latent, "&blind")
    page.locator("article.current .blind-box textarea").fill("mine")
    fingerprint = open_run(report).info.fingerprint[:12]
    names = page.evaluate("Object.keys(self.localStorage)")
    assert names == [f"saereport-hypothesis-{fingerprint}-{TRANSCODER}-{latent}"]
    page.locator("article.current .blind-box textarea").fill(" ")
    assert page.evaluate("self.localStorage.length") == 0
    seen.check()


def test_a_sealed_latent_has_nothing_to_reveal(report: Path, watched: Make) -> None:
    seen = watched()
    page = go(seen, report, latent_at(report, REDACTED))
    assert "It has no examples" in text_of(page)
    assert not page.locator("article.current .blind-switch").count()
    page.keyboard.press("b")
    assert page.title().startswith(f"Latent {latent_at(report, REDACTED)}, blind")
    assert not {"examples", "tokens"} & set(panels(page))
    paths = page.locator("article.current .paths td:nth-child(3)").all_inner_texts()
    assert len(paths) == 6
    assert all(text.strip() == "peak" or int(text.replace("−", "-")) < 1 for text in paths)
    page = go(seen, report, latent_at(report, REDACTED, ATTENTION), slug=ATTENTION)
    words = page.locator("article.current [data-panel=attribution] .words").first
    spans = words.locator("span").all_inner_texts()
    assert spans == [*(f"−{i}" for i in range(len(spans) - 1, 0, -1)), "0"]
    seen.check()


def test_the_table_finds_blind_latents_by_that_word(report: Path, watched: Make) -> None:
    seen = watched()
    page = seen.open(report / TRANSCODER / "index.html")
    page.fill("#filter", "blind")
    until(page, "document.getElementById('found').textContent.startsWith('2 of')")
    assert page.locator("#rows .blind-mark").count() == 2
    page.fill("#filter", f"secret phrase {HIDDEN}")
    until(page, "!document.getElementById('found').textContent.startsWith('2 of')")
    shown = page.locator("#rows th a").all_inner_texts()
    assert str(latent_at(report, HIDDEN)) not in shown
    seen.check()


def test_the_heatmap_is_drawn_and_told(report: Path, watched: Make) -> None:
    seen = watched(height=1400)
    page = go(seen, report, latent_at(report, OPEN))
    panel = page.locator("article.current [data-panel=components]")
    panel.scroll_into_view_if_needed()
    page.wait_for_selector("article.current [data-panel=components] .heatmaplayer image")
    note = panel.locator(".view-note")
    assert note.inner_text().startswith("Mean over 4 examples: embedding ")
    panel.locator(".seg >> text=2").click()
    until(
        page,
        "document.querySelector('article.current .view-note').textContent.includes('Example 2')",
    )
    panel.locator("summary").click()
    panel.locator("details tbody tr").first.wait_for()
    assert panel.locator("details tbody tr").count() == 10
    assert panel.locator("details thead th").all_inner_texts()[:3] == ["row", "L0", "L1"]
    cell = still(panel.locator(".plot .nsewdrag"))
    page.mouse.move(cell["x"] + cell["width"] * 0.95, cell["y"] + cell["height"] * 0.05)
    page.wait_for_selector(".tip:not([hidden])")
    assert page.locator(".tip").inner_text().splitlines()[1:] == ["H0", "L9"]
    seen.check()


def test_attribution_shows_sources_and_heads(report: Path, watched: Make) -> None:
    seen = watched()
    page = go(seen, report, latent_at(report, OPEN, ATTENTION), slug=ATTENTION)
    panel = page.locator("article.current [data-panel=attribution]")
    rows = open_run(report).table("example_heads", ATTENTION).to_pylist()
    row = next(r for r in rows if r["latent"] == latent_at(report, OPEN, ATTENTION))
    assert panel.locator(".example").count() == 4
    label = panel.locator(".head-bars svg").first.get_attribute("aria-label")
    assert label.startswith("L6H0 ")
    assert label.count("L6H") == len(row["heads"])
    strongest = max(range(9), key=lambda h: abs(row["heads"][h]))
    assert panel.locator(".head-bars small").first.inner_text().startswith(f"L6H{strongest} ")
    peak = panel.locator(".words .peak").first
    peak.focus()
    page.wait_for_selector(".tip:not([hidden])")
    tip = page.locator(".tip").inner_text().splitlines()
    shown = page.evaluate("(value) => saereport.inspect.asText.value(value)", row["sources"][-1])
    assert tip[1].removeprefix("+") == shown
    assert tip[2] == "the peak"
    page.keyboard.press("ArrowLeft")
    assert page.locator(".tip").inner_text().splitlines()[2] == "−1 from the peak"
    panel.locator("summary").click()
    assert panel.locator("details tbody tr").count() == 4
    seen.check()
