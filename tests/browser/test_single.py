"""A report in one file, in Chromium: under its own policy, offline, with and without JavaScript."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from saereport.report.rendering import render
from saereport.report.report import open_report
from saereport.sources.explanations import read_explanations
from tests.browser.conftest import Watched, press_away, until, url_of
from tests.browser.test_notes import write_notes
from tests.synthetic import HOSTILE, Shape, write_run
from tests.synthetic_circuits import prompts as circuits
from tests.synthetic_graph import GraphShape, graphs

pytestmark = pytest.mark.browser

Watch = Callable[..., Watched]
SHAPE = Shape(
    d_sae=64, n_chosen=40, n_sequences=120, n_vocabulary=1200, n_saes=3, n_top=4, hostile=True
)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three SAEs, two pages of latents each, and circuits, all hostile."""
    folder = tmp_path_factory.mktemp("single") / "a report #1"
    write_run(folder / "run", SHAPE, circuits)
    return render(folder / "run", folder / "one & only.html", single_file=True).path


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("graph")
    write_run(folder / "run", SHAPE, graphs(GraphShape(hostile=True)))
    return render(folder / "run", folder / "graph.html", single_file=True).path


def address(page: Any) -> str:
    return str(page.evaluate("self.location.hash"))


def heading(page: Any, text: str) -> None:
    page.wait_for_selector(f"h1:has-text({text!r})")


def shown(page: Any, slug: str) -> list[int]:
    """The latents that an SAE's table has, read from the data of the page."""
    rows = page.evaluate(
        f"saereport.inspect.loadTable({slug!r}).then((t) => t.rows.map((row) => row.latent))"
    )
    return [int(row) for row in rows]


def test_a_way_through_every_kind_of_page(watched: Watch, single: Path) -> None:
    seen = watched(offline=True)
    page = seen.open(single)
    page.click("a.card-link >> nth=0")
    page.locator("figure").first.scroll_into_view_if_needed()
    until(page, "document.querySelectorAll('.js-plotly-plot').length > 0")
    slug = page.evaluate("saereport.inspect.thisPage.sae")
    latents = shown(page, slug)
    seen.check()

    page.fill("#jump", str(latents[33]))
    page.press("#jump", "Enter")
    heading(page, f"Latent {latents[33]}")
    assert address(page) == f"#{slug}/l0001.html#latent-{latents[33]}"
    page.wait_for_selector("article.current .panel")
    seen.check()

    page.press("body", "k")
    heading(page, f"Latent {latents[32]}")
    page.press("body", "k")
    heading(page, f"Latent {latents[31]}")
    assert address(page).startswith(f"#{slug}/l0000.html#latent-{latents[31]}")
    page.go_back()
    heading(page, f"Latent {latents[32]}")
    page.press("body", "u")
    page.wait_for_selector("#rows")
    seen.check()

    for name, selector in (
        ("Circuits", "main h2 a"),
        ("Methods", "#examples"),
        ("Provenance", "main section"),
    ):
        page.click(f"nav.nav >> text={name}")
        # The page before has such headings too.
        page.wait_for_selector(f"nav.nav a[aria-current=page] >> text={name}")
        page.wait_for_selector(selector)
        seen.check()
    page.click("nav.nav >> text=Circuits")
    page.click("main h2 a >> nth=1")
    page.wait_for_selector("#prompt")
    page.wait_for_selector("figure svg, figure canvas")
    seen.check()


def test_links_within_a_page_go_to_their_place_and_back(watched: Watch, single: Path) -> None:
    seen = watched(height=500)
    page = seen.open(single, "#methods.html")
    page.click(".contents a >> nth=6")
    place = address(page).split("#")[-1]
    until(page, f"Math.abs(document.getElementById({place!r}).getBoundingClientRect().top) < 90")
    assert page.evaluate("self.scrollY") > 0
    page.go_back()
    until(page, "self.location.hash === '#methods.html'")
    page.reload()
    heading(page, "")
    assert page.evaluate("document.querySelectorAll('main').length") == 1
    seen.check()
    ids = page.evaluate("Array.from(document.querySelectorAll('[id]'), (node) => node.id)")
    assert len(set(ids)) == len(ids)


def test_another_page_begins_at_its_top(watched: Watch, single: Path) -> None:
    seen = watched(offline=True)
    page = seen.open(single, "#methods.html")
    page.evaluate("self.scrollTo(0, 1500)")
    until(page, "self.scrollY > 1000")
    page.locator("a[href='#provenance.html']").first.dispatch_event("click")
    page.wait_for_selector("html[data-path='provenance.html']")
    page.wait_for_timeout(500)
    assert page.evaluate("self.scrollY") == 0
    page.go_back()
    page.wait_for_selector("html[data-path='methods.html']")
    until(page, "self.scrollY > 1000")
    seen.check()


def test_an_address_that_means_nothing_is_the_front_page(watched: Watch, single: Path) -> None:
    seen = watched()
    for anchor in ("#nothing.html#at-all", "#", "#%%%", "#main"):
        page = seen.open(single, anchor)
        page.reload()
        page.wait_for_selector("a.card-link")
    seen.check()


def test_the_graph_and_its_download(watched: Watch, graph: Path, tmp_path: Path) -> None:
    render(graph, tmp_path / "report")
    seen = watched(accept_downloads=True)
    page = seen.open(graph, "#circuits/small-graph.html")
    page.wait_for_selector("#graph svg, #graph canvas")
    with page.expect_download() as caught:
        page.click(".g-file a")
    expected = tmp_path / "report" / "circuits" / "small-graph.json"
    assert caught.value.suggested_filename == expected.name
    assert Path(caught.value.path()).read_bytes() == expected.read_bytes()
    seen.check()


def test_without_javascript_the_stories_are_there_and_the_links_lead_to_them(
    watched: Watch, single: Path
) -> None:
    page = watched(java_script_enabled=False).open(single)
    assert page.locator("article.latent").count() == 3 * SHAPE.n_chosen
    assert page.locator("article.latent h1").last.is_visible()
    link = page.locator("section.leaf a[href*='#latent-']").first
    target = link.get_attribute("href")
    link.click()
    assert url_of(page).split("#", 1)[1] == target[1:]
    assert page.locator(f'[id="{target[1:]}"]').count() == 1
    assert page.locator(":target").count() == 1


def test_a_collaborator_finds_a_latent_stars_it_and_sends_the_notes_back(
    watched: Watch, single: Path, tmp_path: Path
) -> None:
    sent = tmp_path / "from a friend.html"
    sent.write_bytes(single.read_bytes())
    seen = watched(offline=True, accept_downloads=True)
    page = seen.open(sent)
    page.click("a.card-link >> nth=1")
    page.wait_for_selector("#rows")
    latent = shown(page, page.evaluate("saereport.inspect.thisPage.sae"))[5]
    page.fill("#jump", str(latent))
    page.press("#jump", "Enter")
    heading(page, f"Latent {latent}")
    page.wait_for_selector("article.current .panels")
    slug = page.evaluate("saereport.inspect.thisPage.sae")
    page.keyboard.press("s")
    write_notes(page, f"the word {HOSTILE[1].decode()}", "seen twice")
    with page.expect_download() as caught:
        page.click("article.current .notes >> text=Export notes")
    caught.value.save_as(tmp_path / "notes.jsonl")
    (line,) = (tmp_path / "notes.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["star"] is True
    labels = read_explanations(tmp_path / "notes.jsonl", sae=slug)
    assert labels == {latent: [(f"the word {HOSTILE[1].decode()}", "reader")]}
    seen.check()


def test_pinned_latents_go_along_to_the_comparison(watched: Watch, single: Path) -> None:
    seen = watched()
    page = seen.open(single)
    page.click("a.card-link >> nth=0")
    page.wait_for_selector("#rows a")
    latents = shown(page, page.evaluate("saereport.inspect.thisPage.sae"))
    for latent in (latents[1], latents[35]):
        page.fill("#jump", str(latent))
        page.press("#jump", "Enter")
        heading(page, f"Latent {latent}")
        page.wait_for_selector("article.current .panels")
        page.keyboard.press("p")
        until(page, f"saereport.inspect.session.pinned.some((pin) => pin.latent === {latent})")
    page.click("nav.nav >> text=Compare")
    until(page, "self.location.hash.startsWith('#compare.html#')")
    for latent in (latents[1], latents[35]):
        page.wait_for_selector(f"main h3:has-text('{latent}')")
    page.click(f"main h3 a:has-text('{latents[35]}')")
    heading(page, f"Latent {latents[35]}")
    assert "pins=" in address(page)
    seen.check()


OUTER = """<!doctype html><meta charset="utf-8"><title>notebook</title>
<script>self.addEventListener("message", () => { self.stolen = 1; });</script>
<div id="cell">%s</div>"""


@pytest.fixture(scope="module")
def notebook(single: Path) -> Path:
    path = single.with_name("notebook.html")
    path.write_text(OUTER % open_report(single)._repr_html_(), encoding="utf-8")
    return path


def test_in_a_notebook_the_frame_runs_and_touches_nothing(watched: Watch, notebook: Path) -> None:
    seen = watched()
    page = seen.open(notebook)
    page.wait_for_selector("iframe")
    (frame,) = page.frames[1:]
    frame.wait_for_selector("a.card-link")
    frame.click("a.card-link >> nth=1")
    frame.wait_for_selector("#rows a")
    latents = [
        int(row)
        for row in frame.evaluate(
            "Array.from(saereport.inspect.store.tables.get(saereport.inspect.thisPage.sae).byLatent.keys())"
        )
    ]

    def at(place: int) -> str:
        return f"article.current h1:has-text('{latents[place]}')"

    frame.fill("#jump", str(latents[34]))
    press_away(page, frame, "#jump", "Enter", until=at(34))
    frame.press("body", "j")
    frame.wait_for_selector(at(35))
    for place in (34, 33, 32, 31):
        press_away(page, frame, "body", "k", until=at(place))
    press_away(page, frame, "body", "u", until="#rows a")
    frame.click("nav.nav >> text=Methods")
    frame.wait_for_selector("#examples")
    frame.click(".contents a >> nth=5")
    frame.wait_for_selector("#examples")
    assert frame.evaluate("self.origin") == "null"
    assert frame.evaluate("self.violations") == []
    assert frame.evaluate("typeof self.stolen") == "undefined"
    assert page.evaluate("document.title") == "notebook"
    assert page.evaluate("document.getElementById('cell').children.length") == 1
    seen.check()


def test_no_hostile_text_is_markup_in_the_file(watched: Watch, single: Path) -> None:
    seen = watched(java_script_enabled=False)
    page = seen.open(single)
    assert page.locator("main script, main img, main iframe, main style").count() == 0
    text = page.locator("main").inner_text()
    assert HOSTILE[1].decode().replace(" ", "␣") in text
