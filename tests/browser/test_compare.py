"""Pinned latents side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from saereport.run import open_run
from saereport.site import render
from tests.browser.conftest import Watched, until, url_of
from tests.browser.test_pins import chosen, pins, slug_of
from tests.synthetic import Shape, write_run
from tests.synthetic_examples import blind_extra, examples_extra

pytestmark = pytest.mark.browser

Make = Callable[..., Watched]


def open_at(seen: Watched, report: Path, *names: str, rest: str = "") -> Any:
    page = seen.open(report / "compare.html", f"#{rest}pins={','.join(names)}")
    page.wait_for_selector(".compared .cell")
    return page


def aspects(page: Any) -> list[str]:
    found = page.eval_on_selector_all(
        ".aspect[data-panel]", "(found) => found.map((node) => node.dataset.panel)"
    )
    return list(found)


def test_facts_and_neighbours_are_the_runs(plain: Path, watched: Make) -> None:
    run, slug = open_run(plain), slug_of(plain)
    rows = {row["latent"]: row for row in run.table("activity", slug).to_pylist()}
    shown = {latent for latent, row in rows.items() if row["density"] > 0}
    pair = next(
        row
        for row in run.table("neighbours", slug).to_pylist()
        if row["latent"] in shown and row["other"] in shown
    )
    seen = watched(height=3000)
    page = open_at(seen, plain, f"{slug}.{pair['latent']}", f"{slug}.{pair['other']}")
    heads = page.locator(".aspect").first.locator(".cell")
    assert heads.count() == 2
    for cell, latent in zip(heads.all(), (pair["latent"], pair["other"]), strict=True):
        density = cell.locator("dd").first.inner_text().removesuffix(" %")
        assert float(density) == pytest.approx(100 * rows[latent]["density"], rel=0.06)
    lines = " ".join(page.locator(".pairs li").all_inner_texts()).replace("−", "-")
    assert f"{pair['latent']} → " in lines
    # Pages hold four digits and show three.
    assert f"cosine {float(format(pair['cosine'], '.4g')):.3g}" in lines
    page.wait_for_selector("[aria-label^='Histograms'] .scatterlayer path", state="attached")
    seen.check()


def test_histograms_over_one_axis_hold_every_count(plain: Path, watched: Make) -> None:
    run, slug = open_run(plain), slug_of(plain)
    rows = [
        row for row in run.table("activation_histogram", slug).to_pylist() if any(row["counts"])
    ]
    rows.sort(key=lambda row: (row["exponent"], row["latent"]))
    pair = (rows[0], rows[-1])
    seen = watched(height=3000)
    page = open_at(seen, plain, *(f"{slug}.{row['latent']}" for row in pair))
    figure = page.locator("figure.block", has_text="over one axis")
    for name, column in (("linear bins", "counts"), ("log bins", "log_counts")):
        figure.locator(f"text={name}").click()
        figure.locator("summary").click()
        figure.locator("tbody tr").first.wait_for()
        cells = [row.locator("td").all_inner_texts() for row in figure.locator("tbody tr").all()]
        for place, row in enumerate(pair):
            counts = [int(texts[1 + place].replace(",", "")) for texts in cells]
            assert sum(counts) == sum(row[column])
        assert any(texts[1] == "0" or texts[2] == "0" for texts in cells)
    seen.check()


def test_shared_tokens_are_marked(plain: Path, watched: Make) -> None:
    run, slug = open_run(plain), slug_of(plain)
    lists: dict[int, set[int]] = {}
    for row in run.table("token_statistics", slug).to_pylist():
        lists.setdefault(row["latent"], set()).add(row["token"])
    latents = sorted(lists)
    first, second = next((a, b) for a in latents for b in latents if a < b and lists[a] & lists[b])
    seen = watched(height=3000)
    page = open_at(seen, plain, f"{slug}.{first}", f"{slug}.{second}", rest="panels=tokens&")
    assert aspects(page) == ["tokens"]
    for button in page.locator(".aspect[data-panel=tokens] .linkish").all():
        button.click()
    page.wait_for_timeout(50)
    marked = page.eval_on_selector_all(
        ".cells code.shared", "(found) => found.map((node) => Number(node.title.slice(6)))"
    )
    assert set(marked) == lists[first] & lists[second]
    assert "In more than one list" in page.locator(".shared-words").inner_text()
    seen.check()


def test_panels_are_chosen_in_the_address(plain: Path, watched: Make) -> None:
    slug, shown = slug_of(plain), chosen(plain)[5:]
    seen = watched()
    page = open_at(seen, plain, f"{slug}.{shown[0]}", f"{slug}.{shown[1]}")
    assert aspects(page)[0] == "examples"
    page.uncheck(".panels-shown input[value=tokens]")
    assert "tokens" not in aspects(page)
    before = aspects(page)
    assert "panels=examples" in url_of(page)
    page.uncheck(".panels-shown input[value=examples]")
    assert "examples" not in aspects(page)
    page.check(".panels-shown input[value=examples]")
    page.reload()
    page.wait_for_selector(".compared .cell .example")
    assert aspects(page) == before
    page = open_at(seen, plain, f"{slug}.{shown[0]}", rest="panels=__proto__,x&")
    assert aspects(page) == []
    assert "pin another" in page.locator("#compare").inner_text()
    seen.check()


def test_unpinning_there_and_pins_that_are_not_here(plain: Path, watched: Make) -> None:
    slug, shown = slug_of(plain), chosen(plain)
    missing = next(n for n in range(shown[0], shown[-1]) if n not in shown)
    names = [f"{slug}.{n}" for n in (shown[0], missing, shown[2])]
    seen = watched()
    page = open_at(seen, plain, *names)
    assert pins(page) == f"{names[0]},{names[2]}"
    page.locator(".compared .mark-pin").first.click()
    until(page, "document.querySelectorAll('.aspect:first-child .cell').length === 1")
    page.locator(".compared .mark-pin").first.click()
    until(page, "document.querySelector('#compare').textContent.includes('No latent is pinned')")
    page.click("#compare .go a")
    page.wait_for_selector("#rows tr[data-latent]")
    seen.check()


def test_hostile_latents_of_three_saes(hostile: Path, watched: Make) -> None:
    run = open_run(hostile)
    names = []
    for sae in run.info.saes:
        latents = run.table("activity", sae.slug)["latent"].to_pylist()
        names += [f"{sae.slug}.{n}" for n in latents[:2]]
    for width in (360, 1280):
        seen = watched(width=width, height=1500)
        page = open_at(seen, hostile, *names)
        unchecked = page.locator(".panels-shown input:not(:checked)")
        while unchecked.count():
            unchecked.first.check()
        page.evaluate("document.querySelectorAll('summary').forEach((node) => node.click())")
        page.wait_for_timeout(300)
        assert page.locator(".aspect").first.locator(".cell").count() == 6
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        seen.check()


def test_a_blind_latent_stays_blind(watched: Make, tmp_path: Path) -> None:
    shape = Shape(
        d_sae=64,
        n_chosen=8,
        n_sequences=80,
        n_vocabulary=900,
        explanations=tuple(f"secret phrase {i}" for i in range(8)),
    )

    def choose(shown: dict[str, Any]) -> list[tuple[str, int, bool]]:
        return [(name, int(latents[2]), True) for name, latents in shown.items()]

    write_run(tmp_path / "run", shape, examples_extra(), blind_extra(choose))
    render(tmp_path / "run", tmp_path / "report")
    slug = slug_of(tmp_path / "report")
    shown = chosen(tmp_path / "report")
    seen = watched(height=2000)
    rest = "panels=examples,tokens,logits&"
    names = [f"{slug}.{shown[1]}", f"{slug}.{shown[2]}"]
    page = open_at(seen, tmp_path / "report", *names, rest=rest)
    hidden = page.locator(".aspect[data-panel=examples] .cell").nth(1)
    assert "it is blinded" in hidden.inner_text()
    assert hidden.locator(".example").count() == 0
    assert page.locator(".aspect[data-panel=tokens] .cell").nth(1).locator("code").count() == 0
    assert page.locator(".aspect[data-panel=logits] .cell").nth(1).locator("code").count() > 3
    assert "secret phrase 2" not in page.locator("#compare").inner_text()
    seen.check()


def test_without_javascript_it_says_what_it_is(plain: Path, watched: Make) -> None:
    seen = watched(java_script_enabled=False)
    page = seen.open(plain / "compare.html")
    assert "Comparing needs JavaScript" in page.locator("main").inner_text()
    assert page.locator("main a[href='index.html']").count() == 1
    assert page.locator(".tray").count() == 0
