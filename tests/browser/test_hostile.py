from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from saereport.exchange import import_files
from saereport.run import open_run
from saereport.site import render
from saereport.sources.demo import demo_model_dir
from saereport.sources.tokens import token_bytes
from saereport.util.visible import DOTTED_CIRCLE, visible
from tests.browser.conftest import Watched, latent_pages, still
from tests.exchange import samples
from tests.exchange.test_safety import hostile_batch
from tests.synthetic import HOSTILE, Shape, write_run

pytestmark = pytest.mark.browser

Make = Callable[..., Watched]


CLICK_ALL = "(what) => document.querySelectorAll(what).forEach((node) => node.click())"


def test_no_page_does_anything_but_show_text(hostile: Path, watched: Make) -> None:
    seen = watched()
    pages = [hostile / name for name in ("index.html", "methods.html", "provenance.html")]
    pages += sorted(hostile.glob("*/index.html"))
    for path in pages:
        page = seen.open(path)
        page.wait_for_timeout(60)
        page.evaluate(CLICK_ALL, "summary")
        seen.check()


def test_every_latent_of_every_page(hostile: Path, watched: Make) -> None:
    seen = watched(height=500)
    pages = latent_pages(hostile)
    assert len(pages) == 6
    for path in pages:
        page = seen.open(path)
        for step in range(8):
            page.wait_for_selector("article.current .panels")
            page.evaluate(CLICK_ALL, "article.current .seg button, article.current summary")
            if step == 0:
                page.keyboard.press("e")
                page.wait_for_timeout(150)
            if step < 7:
                page.keyboard.press("j")
        seen.check()


def test_hovering_hostile_tokens_and_bars(hostile: Path, watched: Make) -> None:
    seen = watched(height=2400)
    page = seen.open(latent_pages(hostile)[1])
    page.wait_for_selector("article.current .words span")
    for token in page.query_selector_all("article.current .words span")[:12]:
        token.hover()
    page.wait_for_selector("article.current .plot .barlayer path")
    page.locator("article.current .plot .barlayer path").first.hover(force=True)
    page.wait_for_timeout(120)
    seen.check()


def test_the_map_shows_hostile_labels_as_text(hostile: Path, watched: Make) -> None:
    seen = watched(height=3000)
    home = next(p for p in sorted(hostile.glob("*/index.html")) if 'id="map"' in p.read_text())
    page = seen.open(home)
    page.wait_for_selector("#map .scatterlayer .point")
    box = still(page.locator("#map .scatterlayer .point").nth(3))
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector(".tip:not([hidden])")
    assert "Latent" in page.locator(".tip").inner_text()
    seen.check()


def test_every_token_of_a_vocabulary_is_shown_as_it_is(tmp_path: Path, watched: Make) -> None:
    """Each hostile token in the page's own vocabulary, put into the page by the page's own code."""
    shape = Shape(d_sae=32, n_chosen=8, n_vocabulary=1000, hostile=True)
    write_run(tmp_path / "run", shape)
    render(tmp_path / "run", tmp_path / "out")
    table = open_run(tmp_path / "run").table("vocabulary").to_pylist()
    seen = watched()
    page = seen.open(latent_pages(tmp_path / "out")[0])
    shown = page.evaluate(
        """(ids) => ids.map((id) => {
            const node = saereport.inspect.tokenCode(id);
            document.body.append(node);
            return node.textContent;
        })""",
        [row["token"] for row in table],
    )
    wanted = [visible(row["bytes"]) or f"<token {row['token']}>" for row in table]
    assert list(shown) == wanted
    assert {visible(token) for token in HOSTILE if token} <= set(shown)
    seen.check()


def test_an_imported_report_is_text(tmp_path: Path, watched: Make) -> None:
    """Names, strings of tokens, labels and settings of another tool's files, every one hostile."""
    samples.write_batch(tmp_path / "in", hostile_batch())
    import_files([tmp_path / "in"], tmp_path / "run")
    render(tmp_path / "run", tmp_path / "a report #1")
    seen = watched()
    texts = []
    for path in sorted((tmp_path / "a report #1").rglob("*.html")):
        page = seen.open(path)
        if path.name.startswith("l0"):
            page.wait_for_selector("article.current .panels")
        page.wait_for_timeout(100)
        page.evaluate(CLICK_ALL, "article.current .seg button, summary, article.current .linkish")
        texts.append(page.locator("body").inner_text())
        seen.check()
    assert "<script>self.stolen=1</script>" in "\n".join(texts)


COLLECT = """() => Array.from(document.querySelectorAll("article.current .example"), (example) => {
    const shown = [];
    let space = "";
    for (const node of example.querySelector(".words").childNodes) {
        if (node.nodeType === Node.TEXT_NODE) space = node.data === " " ? "␣" : "";
        else {
            const text = node.textContent;
            shown.push(space + (text.startsWith(" ") ? "␣" + text.slice(1) : text));
            space = "";
        }
    }
    return [Number(/seq (\\d+)/.exec(example.querySelector(".at").textContent)[1]), shown];
})"""


def bare(text: str) -> str:
    return text.removeprefix(DOTTED_CIRCLE) or text


@pytest.mark.model
def test_every_token_of_the_demo_model_in_an_example(tmp_path: Path, watched: Make) -> None:
    """All 49,152 tokens of a real vocabulary, and the hostile ones, where readers see them."""
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(demo_model_dir())
    real = token_bytes(tokenizer, range(len(tokenizer)))
    assert len(real) == 49_152
    tokens = (*real, *HOSTILE)
    n_sequences = -(-len(tokens) // 64)
    shape = Shape(
        d_sae=32,
        n_chosen=16,
        n_sequences=n_sequences,
        n_vocabulary=len(tokens),
        tokens=tokens,
        n_top=-(-n_sequences // 16),
        per_interval=0,
        per_quantile=0,
        n_dead=0,
    )
    write_run(tmp_path / "run", shape)
    render(tmp_path / "run", tmp_path / "out", shard_size=8)
    seen = watched(height=600)
    found: dict[int, list[str]] = {}
    for path in latent_pages(tmp_path / "out"):
        page = seen.open(path)
        for step in range(8):
            page.wait_for_selector("article.current .panels .example")
            page.evaluate(CLICK_ALL, "article.current .group button.linkish")
            found.update(page.evaluate(COLLECT))
            if step < 7:
                page.keyboard.press("j")
        seen.check()
    wanted = [visible(token) or f"<token {i}>" for i, token in enumerate(tokens)]
    shown = [text for sequence in sorted(found) for text in found[sequence]]
    # A mark joins the letter before it in running text, and loses the circle that it stands on.
    assert [bare(text) for text in shown[: len(wanted)]] == [bare(text) for text in wanted]


def test_the_address_is_not_trusted(plain: Path, watched: Make) -> None:
    seen = watched()
    seen.open(
        plain / "index.html", "#q=%3Cimg src=x onerror=self.stolen=1%3E&sort=__proto__&max=NaN..0x9"
    )
    seen.check()
    assert seen.page.locator("#rows").inner_text().strip() == "No latent fits the filters."
    seen.open(latent_pages(plain)[0], "#latent-<script>")
    seen.page.wait_for_selector("article.current")
    seen.check()


def test_without_javascript_the_story_is_there(plain: Path, watched: Make) -> None:
    seen = watched(java_script_enabled=False)
    page = seen.open(latent_pages(plain)[1])
    assert page.locator("article.latent").count() == 16
    assert page.locator("article.latent").nth(9).is_visible()
    assert page.locator("article.latent q i").count() > 50
    page = seen.open(plain / "index.html")
    assert page.locator("#rows tr").count() == 48
    assert not page.locator("#filter").is_visible()
    assert seen.problems == []
