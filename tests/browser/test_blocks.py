"""A page that is a list of panels: every kind of block is told in its HTML and drawn over it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saereport.report.rendering import render as render_as
from saereport.run import open_run
from saereport.site import render
from saereport.site.blocks import Block
from saereport.site.clouds import Axis, cloud
from saereport.site.context import LatentView, ReportModel
from saereport.site.packing import packed
from saereport.site.panels import PANELS, Panel
from saereport.site.parts import Entry, Item, Page, PageKind, Part, register, registry
from saereport.site.parts.registry import REPORT_DATA
from saereport.site.shown import page_data, shown_panels
from saereport.site.telling import DRAWN, TELLERS
from tests.browser.axe import violations
from tests.browser.conftest import Watched, until
from tests.browser.test_actions import COPIES, rows, saved
from tests.synthetic import Shape, write_run

pytestmark = pytest.mark.browser

Make = Callable[..., Watched]
EVIL = "<img src=x onerror='self.stolen=1'>"
PATH = "kinds/index.html"
BARS = {"type": "bar", "y": [1, 0, 3]}


def every_kind(report: ReportModel) -> list[Block]:
    """One block of each kind, with text that is markup wherever there is text."""
    slug = report.info.saes[0].slug
    latent = report.shards[slug].latents[0]
    token = next(iter(report.vocabulary.shown))
    name = {"text": EVIL, "href": f"{slug}/{report.shards[slug].address(latent)}", "gloss": EVIL}
    bars = {"label": "", "columns": ["from", "to", "n"], "data": [BARS]}
    dense = {"rows": [EVIL, "b"], "columns": ["c", EVIL], "strip": [0.5, -1.0], "note": "sum {s}"}
    views = [
        {"label": label, **dense, "z": [[1, None], [-2, 0]], "v": {"s": 3}, "outlined": [[0, 1]]}
        for label in ("one", EVIL + EVIL)
    ]
    sparse = {
        "words": [EVIL, "w"],
        "names": {"rows": [name], "columns": [{"text": EVIL}]},
        "rows": [[0, 1]],
        "columns": [[0, 0], [0, 1]],
        "x": [1, 0],
        "y": [0, 0],
        "value": [-2.0, 1.0],
        "outlined": [[0, 1]],
        "quantity": "weight",
        "product": "product",
        "one_by_one": True,
        "across": True,
        "row_values": {"name": "late", "values": [1.0]},
        "column_values": {"name": "early", "values": [0.5, 2.0]},
        "more": {"names": ["seen"], "rows": [[0, 7.0]]},
    }
    lines = {"labels": ["a", EVIL], "series": [{"key": "k", "name": name, "values": [0.0, 2.0]}]}
    points = [{"name": EVIL, "role": "act", "points": [[0.0, 1.0], [2.0, 1.5]]}]
    window = packed([token, token])
    groups = [{"group": "top", "range": None, "examples": [[0, 1, 2.0, 0, window, 0, [], []]]}]
    return [
        {"b": "table", "columns": [EVIL, "b"], "rows": [[name, EVIL]], "at": [[0]], "title": EVIL},
        {"b": "facts", "names": [EVIL], "values": [1.5], "notes": [EVIL]},
        {"b": "tokens", "columns": ["score"], "formats": ["value"], "rows": [[token, 1.25]]},
        {"b": "latents", "columns": ["r"], "sae": slug, "rows": [[latent, 1, 0.5]]},
        {"b": "examples", "groups": groups},
        {"b": "bars", "title": EVIL, "summary": "{n} bars", "v": {"n": 3}, "views": [bars]},
        {"b": "lines", "summary": "Lines", "y": "height", "overlays": [], "overlay": "", **lines},
        {"b": "scatter", "summary": "Points", "x": "a", "y": "b", "diagonal": "", "series": points},
        {
            "b": "heatmap",
            "summary": "Dense",
            "views": views,
            "words": ["x", EVIL],
            "choice": "which",
        },
        cloud(
            slug,
            np.arange(4),
            [Axis("one", np.array([0.5, 1.0, 2.0, np.nan])), Axis(EVIL, np.arange(4.0))],
            [(0, 1)],
            summary="Latents",
            groups=[{"name": EVIL, "role": "act", "rows": packed([1])}],
            shown=[[0, EVIL]],
            notes={"1": EVIL},
        ),
        {"b": "heatmap", "summary": "Sparse", "title": "weights", **sparse},
        {"b": "text", "text": EVIL},
        {
            "b": "grid",
            "fold": {"title": EVIL, "lead": [name]},
            "blocks": [{"b": "text", "text": "in"}],
        },
    ]


def _items(report: ReportModel) -> Iterator[Item]:
    panel = Panel("kinds", "Every kind", (), lambda report: every_kind(report))
    panels = shown_panels(report, [panel], report)
    data = PATH.replace(".html", ".js")
    fields = {"kicker": EVIL, "heading": EVIL, "panels": panels}
    yield Page(PATH, "kinds", title=("Kinds",), fields=fields, needs=(REPORT_DATA, data))
    yield from page_data(PATH, data, panels, {})


PART = Part(
    "kinds",
    _items,
    order=35,
    kinds=(PageKind("kinds"),),
    navigation=lambda report, sae: (Entry("Kinds", PATH),),
    folders=frozenset({"kinds"}),
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that is rendered with one part more."""
    monkeypatch.setattr(registry, "_PARTS", dict(registry._PARTS))
    monkeypatch.setattr("saereport.util.slugs._reserved", {"circuits"})
    register(PART)
    shape = Shape(d_sae=32, n_chosen=6, n_sequences=30, n_vocabulary=700)
    write_run(tmp_path / "run", shape)
    return tmp_path / "run"


def drawn(page: Any, expected: int = len(DRAWN) + 1) -> None:
    figures = page.locator("[data-block]")
    for figure in figures.all():
        figure.scroll_into_view_if_needed()
        figure.locator(".main-svg, canvas").first.wait_for(state="attached")
    assert figures.count() == expected


def test_blocks_may_have_only_what_they_must(
    run: Path, tmp_path: Path, watched: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without titles, sentences, overlays, a diagonal; and the keys of the page still work."""
    lines = {"labels": ["a", "b"], "series": [{"key": "k", "name": EVIL, "values": [0.0, 2.0]}]}
    points = [{"name": "p", "role": "act", "points": [[0.0, 1.0]]}]
    blocks: list[Block] = [
        {"b": "lines", "y": "height", **lines},
        {"b": "scatter", "x": "a", "y": "b", "series": points},
        {"b": "heatmap", "views": [{"rows": ["r"], "columns": ["c"], "z": [[1.0]]}]},
        {"b": "bars", "views": [{"columns": ["from", "to", "n"], "data": [BARS]}]},
    ]
    monkeypatch.setattr(f"{__name__}.every_kind", lambda report: blocks)
    render(run, tmp_path / "out")
    seen = watched()
    page = seen.open(tmp_path / "out" / PATH)
    drawn(page, len(blocks))
    assert violations(page) == []
    assert EVIL in str(page.locator(".c-lines").get_attribute("aria-label"))
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()
    seen.check()


def test_a_block_that_cannot_be_drawn_costs_nothing_else(
    run: Path, tmp_path: Path, watched: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here a heatmap without a cell."""
    good: Block = {"b": "heatmap", "views": [{"rows": ["r"], "columns": ["c"], "z": [[1.0]]}]}
    bad: Block = {"b": "heatmap", "summary": "told all the same", "told": False}
    monkeypatch.setattr(f"{__name__}.every_kind", lambda report: [bad, good])
    monkeypatch.setitem(PANELS, "own", Panel("own", "Own", (), lambda latent: [bad]))
    render(run, tmp_path / "out")
    seen = watched()
    page = seen.open(tmp_path / "out" / PATH)
    page.locator("[data-block='kinds.1'] .main-svg").first.wait_for(state="attached")
    assert "told all the same" in page.locator("main").inner_text()
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()
    page = seen.open(tmp_path / "out" / open_run(run).info.saes[0].slug / "l0000.html")
    panel = page.locator("article.current [data-panel=own]")
    assert panel.locator(".none").inner_text() == "This cannot be drawn."
    assert page.locator("article.current .panel").count() > 3
    assert len(seen.problems) == 2


def test_a_latents_page_folds_and_fills_as_others_do(
    run: Path, tmp_path: Path, watched: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blocks(latent: LatentView) -> list[Block]:
        lead = [{"text": EVIL, "href": "methods.html"}, "b"]
        table = {"b": "table", "columns": ["a"], "rows": [["in"]], "summary": "{n} rows"}
        return [
            {"b": "text", "title": EVIL, "lines": ["first", EVIL]},
            {**table, "v": {"n": 1234}, "fold": {"title": EVIL, "lead": lead, "note": "why"}},
            {
                "b": "grid",
                "stacked": True,
                "fold": {"title": "open", "open": True},
                "blocks": [{"b": "lines", "y": "h", "labels": ["a"], "series": []}],
            },
        ]

    monkeypatch.setitem(PANELS, "own", Panel("own", "Own", (), blocks))
    render(run, tmp_path / "out")
    seen = watched()
    page = seen.open(tmp_path / "out" / open_run(run).info.saes[0].slug / "l0000.html")
    panel = page.locator("article.current [data-panel=own]")
    panel.wait_for()
    assert panel.locator(".counts span").all_inner_texts() == ["first", EVIL]
    folded, opened = panel.locator("details.unfold").all()
    line = folded.locator("summary")
    assert line.inner_text().split() == f"{EVIL} {EVIL} → b why".split()
    assert line.locator("a").count() == 0
    line.click()
    assert "1,234 rows" in folded.inner_text()
    assert opened.evaluate("(node) => node.open")
    opened.locator(".main-svg").first.wait_for(state="attached")
    page.evaluate("scrollTo(0, 0)")
    assert violations(page) == []
    seen.check()


@pytest.mark.parametrize(("theme", "width"), [("light", 1360), ("dark", 360)])
def test_every_kind_is_drawn_and_accessible(
    run: Path, tmp_path: Path, watched: Make, theme: str, width: int
) -> None:
    render(run, tmp_path / "out")
    seen = watched(width=width, theme=theme)
    page = seen.open(tmp_path / "out" / PATH)
    drawn(page)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator(".c-heat").focus()
    page.keyboard.press("ArrowLeft")
    assert "seen" in page.locator(".c-card").inner_text()
    page.locator("select[aria-label=which]").select_option("1")
    until(page, "document.querySelector('.view-note').textContent === 'sum 3'")
    seen.check()


def test_every_kind_is_told_without_javascript(run: Path, tmp_path: Path, watched: Make) -> None:
    render(run, tmp_path / "out")
    seen = watched(java_script_enabled=False)
    page = seen.open(tmp_path / "out" / PATH)
    assert page.locator("main section.panel > *").count() == 1 + len(TELLERS) + 1
    text = page.locator("main").inner_text()
    for said in ("3 bars", "Lines", "Points", "Dense", "Sparse", "1.25", EVIL):
        assert said in text
    assert page.locator("main img, main script").count() == 0


def test_every_kind_is_copied_as_markdown(run: Path, tmp_path: Path, watched: Make) -> None:
    render(run, tmp_path / "out")
    seen = watched()
    seen.page.add_init_script(COPIES)
    page = seen.open(tmp_path / "out" / PATH)
    page.keyboard.press("m")
    until(page, "Boolean(self.copied)")
    text = page.evaluate("self.copied")
    evil = page.evaluate("(text) => saereport.inspect.markdownParts.plain(text)", EVIL)
    for line in ("3 bars", "#### weights", f"#### {evil}", f"- {evil}: 1.5 {evil}"):
        assert line in text.splitlines()
    assert f"#### {evil} {evil}" in text
    assert "<img" not in text
    # A backslash before a digit would be seen.
    assert "| −0.5 | 0.5 | 1 |" in text
    assert not re.search(r"\\\d", text)
    seen.check()


def test_they_are_drawn_in_one_file(run: Path, tmp_path: Path, watched: Make) -> None:
    single = render_as(run, tmp_path / "one.html", single_file=True).path
    seen = watched(offline=True)
    page = seen.open(single, f"#{PATH}")
    drawn(page)
    link = page.locator("main table .ref a").first
    assert str(link.get_attribute("href")).startswith("#")
    link.click()
    page.wait_for_selector("article.current .panels")
    seen.check()


def test_each_block_offers_its_data_once(run: Path, tmp_path: Path, watched: Make) -> None:
    render(run, tmp_path / "out")
    seen = watched(accept_downloads=True)
    page = seen.open(tmp_path / "out" / PATH)
    drawn(page)
    for figure in page.locator("[data-block]").all():
        assert figure.locator(".data").count() == 1
    facts = page.locator(".block", has=page.locator("dl.kv"))
    assert facts.locator(".data").count() == 1
    name, text = saved(page, facts.locator(".data"), "csv")
    assert name.endswith(".csv")
    assert rows(text) == [{"name": EVIL, "value": "1.5", "note": EVIL}]
    seen.check()
