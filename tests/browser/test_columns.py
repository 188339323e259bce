"""Tables: columns of numbers by their points, as wide as their frame, words in one piece."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from saereport.site import aligning, render
from tests.browser.conftest import Watched
from tests.synthetic import Shape, write_run

pytestmark = pytest.mark.browser

Make = Callable[..., Watched]

POINTS = """(tables) => tables.flatMap((table) => {
  // Where a number's integer ends, in each column that has a number with a point.
  const columns = new Map();
  for (const row of table.rows) for (const cell of row.cells) {
    const node = Array.from(cell.childNodes).find((one) => one.nodeType === 3);
    const found = node && cell.tagName === "TD" && cell.offsetParent
      && /^[<>≥×]? ?[+−]?[\\d,]+(?!.*×10)/.exec(node.data);
    if (!found) continue;
    const range = document.createRange();
    range.setStart(node, 0);
    range.setEnd(node, found[0].length);
    const place = cell.cellIndex + (table.className || "");
    const { right } = range.getBoundingClientRect();
    columns.set(place, [...(columns.get(place) || []), [right, node.data]]);
  }
  return Array.from(columns.values()).filter((all) => all.some(([, text]) => text.includes(".")));
})"""
PAGES = {
    "table of latents": ("resid-l10/index.html", "table.latents"),
    "lists": ("resid-l16/l0000.html", "article.current table.list"),
    "paths": ("resid-l16/l0000.html", "article.current table.paths"),
    "gradients": ("circuits/the-eiffel-tower.html", "#maps details[open] table.grid"),
    "answer": ("circuits/the-eiffel-tower.html", "#answer table.grid"),
    "graph": ("circuits/the-eiffel-tower-graph.html", "#checks table.grid"),
}


@pytest.mark.parametrize("name", PAGES)
def test_the_points_of_a_column_meet(published: Path, watched: Make, name: str) -> None:
    path, selector = PAGES[name]
    seen = watched(height=4000)
    page = seen.open(published / path)
    page.locator(selector).first.wait_for()
    columns = page.locator(selector).evaluate_all(POINTS)
    assert columns
    lengths = {len(text.rpartition(".")[2]) for column in columns for _, text in column}
    assert len(lengths) > 1, "there are numbers of several lengths"
    for column in columns:
        ends = [right for right, _ in column]
        assert max(ends) - min(ends) < 0.6, column
    seen.check()


def test_columns_are_lined_up_alike_in_python_and_in_the_browser(
    plain: Path, watched: Make
) -> None:
    page = watched().open(plain / "index.html")
    columns: list[list[Any]] = [
        ["60", "66.1", "7.25", "−0.0171", ""],
        ["5 %", "10.5 %", "< 0.001 %", "> 99.9 %"],
        ["1.2", "1.23×10⁻⁵", "–", "dead"],
        ["×129", "×1.5", "+2.25", "≥ 5 %"],
        ["1", "0.123456789"],
        ["1.2", "a 1.2"],
        ["1.2", {"text": "3"}],
        ["", "–"],
    ]
    shown = page.evaluate("(all) => all.map(saereport.inspect.aligned)", columns)
    assert shown == [aligning.aligned(column) for column in columns]


def test_what_a_number_lacks_is_not_copied(published: Path, watched: Make) -> None:
    page = watched().open(published / "resid-l10" / "index.html")
    cell = page.locator("table.latents td.c-max:is(.e1, .d1)").first
    assert cell.inner_text() == cell.evaluate("(cell) => cell.firstChild.data")


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report in which no latent has an explanation."""
    folder = tmp_path_factory.mktemp("unlabelled")
    write_run(folder / "run", Shape(d_sae=64, n_chosen=12, explanations=("",)))
    render(folder / "run", folder / "report")
    return folder / "report"


@pytest.mark.parametrize("width", [768, 1280])
def test_a_table_without_explanations_fills_its_frame(
    unlabelled: Path, watched: Make, width: int
) -> None:
    page = watched(width=width).open(unlabelled / "index.html")
    page.wait_for_selector("table.unlabelled tbody tr[data-latent]")
    last, frame = page.evaluate(
        """() => {
            const scroller = document.getElementById("scroller");
            const cells = document.querySelectorAll("#rows tr[data-latent] td.c-logits");
            return [cells[0].getBoundingClientRect().right,
                scroller.getBoundingClientRect().left + scroller.clientLeft + scroller.clientWidth];
        }"""
    )
    assert last == pytest.approx(frame, abs=1)
    assert not page.locator("th.c-label").is_visible()


BROKEN = """() => {
  for (const details of document.querySelectorAll("details")) details.open = true;
  const around = "td, th, dt, dd, li, p, h1, h2, h3, summary, label, button";
  const found = [];
  for (const cell of document.querySelectorAll(around)) {
    const walk = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    for (let node; (node = walk.nextNode());) {
      if (node.parentElement.closest(around) !== cell) continue;
      for (const word of node.data.matchAll(/\\p{L}+/gu)) {
        if (word[0].length > 14) continue;
        const range = document.createRange();
        range.setStart(node, word.index);
        range.setEnd(node, word.index + word[0].length);
        const boxes = Array.from(range.getClientRects()).filter((box) => box.width > 0.5);
        if (new Set(boxes.map((box) => Math.round(box.top / 4))).size > 1)
          found.push(word[0] + " in " + cell.tagName + ": " + cell.textContent.trim().slice(0, 60));
      }
    }
  }
  return found;
}"""


@pytest.mark.parametrize(
    "path",
    [
        *("index.html", "methods.html", "provenance.html", "circuits/index.html"),
        *("transcoder-l10/index.html", "resid-l10/l0000.html", "attn-z-l18/l0000.html"),
        *("circuits/the-eiffel-tower.html", "circuits/repeated-random-tokens.html"),
        "circuits/the-eiffel-tower-graph.html",
    ],
)
def test_words_stay_in_one_piece_on_a_phone(published: Path, watched: Make, path: str) -> None:
    page = watched(width=360, height=740).open(published / path)
    page.wait_for_timeout(200)
    assert page.evaluate(BROKEN) == []
