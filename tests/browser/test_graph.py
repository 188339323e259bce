"""The attribution graph in a browser: keyboard, address, groups, exports, narrow windows."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from saereport.site import render
from saereport.site.circuits import neuronpedia_graph as exchange
from tests.browser.conftest import Watched, until, url_of
from tests.site.test_graph_exchange import reference
from tests.synthetic import Shape, write_run
from tests.synthetic_graph import LARGE, SMALL, GraphShape, graphs, scores_of

pytestmark = pytest.mark.browser

Make = Callable[..., Watched]
HOSTILE = GraphShape(n_tokens=100, n_latents=60, n_links=400, hostile=True, slug="hostile")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of a small, a large and a hostile graph, in a report of hostile tokens and labels."""
    target = tmp_path_factory.mktemp("graph")
    shape = Shape(
        d_sae=2048, n_chosen=48, n_sequences=80, n_vocabulary=1500, n_saes=3, hostile=True
    )
    write_run(target / "run", shape, graphs(SMALL, LARGE, HOSTILE))
    render(target / "run", target / "a report #1")
    return target / "a report #1" / "circuits"


def opened(seen: Watched, folder: Path, slug: str, anchor: str = "") -> Any:
    page = seen.open(folder / f"{slug}-graph.html", anchor)
    page.wait_for_selector(".nodes .node", state="attached")
    return page


def state(page: Any) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate("saereport.inspect.graphView.state")
    return found


FOCUSED = """() => {
    const item = document.activeElement.item;
    return item ? item.members.map((node) => node.id) : null;
}"""


def focused(page: Any) -> list[str] | None:
    found: list[str] | None = page.evaluate(FOCUSED)
    return found


def graph_of(folder: Path, slug: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{slug}-graph.json").read_text("utf-8"))
    return found


def exported(page: Any) -> dict[str, Any]:
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Export JSON").click()
    found: dict[str, Any] = json.loads(Path(waiting.value.path()).read_text("utf-8"))
    return found


def test_every_node_has_a_name_and_one_is_in_the_tab_order(folder: Path, watched: Make) -> None:
    seen = watched()
    page = opened(seen, folder, "large")
    nodes = page.locator(".nodes .node")
    assert nodes.count() == len(graph_of(folder, "large")["nodes"])
    names = nodes.evaluate_all("(all) => all.map((node) => node.getAttribute('aria-label'))")
    assert all(name and "undefined" not in name and "NaN" not in name for name in names)
    assert len(set(names)) == len(names)
    assert page.locator(".nodes .node[tabindex='0']").count() == 1
    seen.check()


def test_the_keyboard_walks_pins_and_unpins(folder: Path, watched: Make) -> None:
    seen = watched()
    page = opened(seen, folder, "small")
    graph = graph_of(folder, "small")
    for _ in range(40):
        page.keyboard.press("Tab")
        if focused(page):
            break
    target = next(node["node_id"] for node in graph["nodes"] if node.get("is_target_logit"))
    assert focused(page) == [target]
    assert page.locator(".g-card").is_visible()

    scores = scores_of(graph)

    def strongest(id: str, end: str, other: str) -> str:
        links = [(scores[k["source"], k["target"]], k) for k in graph["links"] if k[end] == id]
        return str(max(links, key=lambda pair: pair[0])[1][other])

    page.keyboard.press("ArrowDown")
    below = strongest(target, "target", "source")
    assert focused(page) == [below]
    page.keyboard.press("ArrowUp")
    assert focused(page) == [strongest(below, "source", "target")]
    page.keyboard.press("Home")
    row = [page.evaluate("document.activeElement.item.x")]
    for _ in range(2):
        page.keyboard.press("ArrowRight")
        row.append(page.evaluate("document.activeElement.item.x"))
    assert row == sorted(row)
    assert row[0] < row[-1]

    page.keyboard.press("End")
    pinned = focused(page)
    page.keyboard.press("Enter")
    assert page.locator(".node.pinned").count() == 1
    assert page.locator(".node.dim").count() > 0
    assert focused(page) == pinned
    assert url_of(page).endswith(f"#pin={pinned[0]}")  # type: ignore[index]
    inputs = [k for k in graph["links"] if k["target"] == pinned[0]]  # type: ignore[index]
    heading = page.locator(".g-panel .g-list h4").first.inner_text()
    assert heading.split() == ["Inputs", str(len(inputs))]
    page.keyboard.press("Escape")
    assert page.locator(".node.pinned, .node.dim").count() == 0 or state(page)["pinned"] is None
    assert "#" not in url_of(page)
    seen.check()


def test_the_panel_lists_links_by_weight(folder: Path, watched: Make) -> None:
    seen = watched()
    page = opened(seen, folder, "large")
    graph = graph_of(folder, "large")
    target = next(node["node_id"] for node in graph["nodes"] if node.get("is_target_logit"))
    page.locator(".nodes .node[tabindex='0']").click()
    lists = page.locator(".g-panel .g-list")
    lists.first.locator("button.linkish").click()
    shown = [float(t.replace("−", "-")) for t in lists.first.locator("li b").all_inner_texts()]
    weights = [k["weight"] for k in graph["links"] if k["target"] == target]
    wanted = sorted(weights, key=abs, reverse=True)
    assert shown == pytest.approx(wanted, rel=6e-3)
    lists.first.locator("li button").first.click()
    assert state(page)["pinned"] != graph["nodes"].index(
        next(node for node in graph["nodes"] if node["node_id"] == target)
    )
    seen.check()


def test_the_state_comes_back_from_the_address(folder: Path, watched: Make) -> None:
    seen = watched()
    page = opened(seen, folder, "large")
    ids = [node["node_id"] for node in graph_of(folder, "large")["nodes"]]
    page.evaluate(
        """() => saereport.inspect.graphView.change({
            links: 77, influence: 0.42, errors: false, near: true, paths: true, pinned: 40,
            groups: [
                { name: "a & b*=#% é 👩🔬", members: [20, 21, 30] },
                { name: "two", members: [50, 61] },
            ],
        }, true)"""
    )
    before = state(page)
    assert len(url_of(page).split("#")[1]) < 400
    page.reload()
    page.wait_for_selector(".nodes .node", state="attached")
    assert state(page) == before
    assert page.locator(".nodes .k-group").count() == 2
    assert state(page)["groups"][1] == {"name": "two", "members": [50, 61]}
    assert ids[40] in url_of(page)
    assert page.locator(".nodes .k-error").count() == 0
    seen.check()


HOSTILE_ADDRESSES = [
    "#pin=__proto__&group=__proto__*constructor",
    "#pin=%3Cimg src=x onerror=self.stolen=1%3E",
    "#group=*&group=x&group=E_0_0*<script>self.stolen=1</script>",
    "#group=E_0_0 E_0_0*same node twice",
    "#links=1e9&influence=NaN&errors=maybe",
    "#links=-5&influence=-0&near=YES",
    "#links=99999999999999999999&influence=1.5",
    "#%E0%A4%A&pin=%",
    "#" + "group=a*b&" * 3000,
    "#javascript:self.stolen=1",
]


@pytest.mark.parametrize("address", HOSTILE_ADDRESSES, ids=range(len(HOSTILE_ADDRESSES)))
def test_a_hostile_address_changes_nothing(folder: Path, watched: Make, address: str) -> None:
    seen = watched()
    usual = state(opened(seen, folder, "small"))
    fresh = watched()
    assert state(opened(fresh, folder, "small", address)) == usual
    fresh.page.evaluate("(hash) => { self.location.hash = hash; }", address)
    fresh.page.wait_for_timeout(60)
    assert state(fresh.page) == usual
    fresh.check()


def test_a_hostile_name_of_a_group_is_text(folder: Path, watched: Make) -> None:
    seen = watched()
    ids = [node["node_id"] for node in graph_of(folder, "small")["nodes"]]
    name = "<img src=x onerror=self.stolen=1>\u202e\u0007" + "x" * 100
    page = opened(seen, folder, "small")
    page.evaluate(
        "(hash) => { self.location.hash = hash; }",
        f"group={ids[10].replace(':', '%3A')}+{ids[12].replace(':', '%3A')}*{name}",
    )
    page.wait_for_selector(".nodes .k-group")
    shown = state(page)["groups"][0]["name"]
    assert shown == name.replace("\u202e\u0007", "")[:40]
    assert page.locator("#graph img").count() == 0
    seen.check()


def test_groups_are_named_drawn_together_and_survive(folder: Path, watched: Make) -> None:
    seen = watched()
    page = opened(seen, folder, "small")
    before = page.locator(".nodes .node").count()
    page.locator(".nodes .node.k-latent").nth(0).click(modifiers=["Shift"])
    page.locator(".nodes .node.k-latent").nth(3).focus()
    page.keyboard.press("g")
    page.locator(".nodes .node.k-latent").nth(5).focus()
    page.keyboard.press("Shift+Enter")
    assert page.locator(".node.chosen").count() == 3
    chosen = page.evaluate(
        "Array.from(document.querySelectorAll('.node.chosen'), (box) => box.item.node.id)"
    )
    page.keyboard.press("n")
    page.keyboard.type("capital cities")
    page.keyboard.press("Enter")
    assert page.locator(".nodes .k-group").count() == 1
    assert page.locator(".nodes .node").count() == before - 2
    assert "capital cities (3)" in page.locator(".nodes .k-group text").text_content()
    page.reload()
    page.wait_for_selector(".nodes .k-group")
    found = exported(page)
    assert [group[0] for group in found["qParams"]["supernodes"]] == ["capital cities"]
    assert set(found["qParams"]["supernodes"][0][1:]) == set(chosen)
    assert set(found["qParams"]["pinnedIds"]) == set(chosen)
    exchange.GraphFile.model_validate_json(json.dumps(found))
    weights = page.evaluate(
        """() => {
            const view = saereport.inspect.graphView;
            const group = view.layout.items.find((item) => item.group);
            return saereport.inspect.endsOf(view.layout, group).inputs
                .map((edge) => [edge.source.node.id, edge.weight]);
        }"""
    )
    for source, weight in weights:
        links = [
            k["weight"] for k in found["links"] if k["source"] == source and k["target"] in chosen
        ]
        assert weight == pytest.approx(math.fsum(links), abs=1e-9)
    page.locator(".g-groups button", has_text="undo").click()
    assert page.locator(".nodes .k-group").count() == 0
    assert page.locator(".nodes .node").count() == before
    seen.check()


@pytest.mark.parametrize("slug", ["small", "large", "hostile"])
def test_the_browser_exports_what_python_exports(folder: Path, watched: Make, slug: str) -> None:
    seen = watched()
    page = opened(seen, folder, slug)
    found = exported(page)
    assert found == graph_of(folder, slug)
    exchange.GraphFile.model_validate_json(json.dumps(found))
    jsonschema.validate(found, reference())
    seen.check()


def test_thresholds_prune_and_clear_brings_back(folder: Path, watched: Make) -> None:
    seen = watched()
    page = opened(seen, folder, "large")
    assert page.locator(".edges.base path").count() == 150
    drawn = page.locator(".edges.base path")
    links, nodes = (page.locator(".g-tools input[type=range]").nth(k) for k in (0, 1))
    links.fill("50")
    assert 0 < drawn.count() < 100
    nodes.fill("0.3")
    graph = graph_of(folder, "large")
    kept = [
        node
        for node in graph["nodes"]
        if node["feature_type"] in ("embedding", "logit") or node["influence"] <= 0.3
    ]
    assert page.locator(".nodes .node:not(.gone)").count() == len(kept)
    page.get_by_label("error nodes").uncheck()
    assert page.locator(".nodes .k-error").count() == 0
    page.locator(".nodes .node.k-latent:not(.gone)").first.click()
    page.get_by_label("neighbours only").check()
    assert page.locator(".nodes .node:not(.gone)").count() < len(kept)
    page.get_by_role("button", name="Clear").click()
    assert page.locator(".nodes .node:not(.gone)").count() == len(graph["nodes"])
    assert drawn.count() == 150
    assert "#" not in url_of(page)
    seen.check()


def test_zooming_by_button_key_and_wheel(folder: Path, watched: Make) -> None:
    seen = watched()
    page = opened(seen, folder, "large")
    zoom = "saereport.inspect.graphView.stage.zoom"
    first = page.evaluate(zoom)
    page.get_by_role("button", name="Zoom in").click()
    page.locator(".nodes .node[tabindex='0']").focus()
    page.keyboard.press("+")
    assert page.evaluate(zoom) == pytest.approx(first * 1.25**2)
    page.mouse.move(500, 500)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    until(page, f"{zoom} > {first * 1.25**2}")
    page.get_by_role("button", name="Show all of it").click()
    box = page.evaluate(
        """() => {
            const { scroll } = saereport.inspect.graphView.stage;
            const { scrollWidth, clientWidth, scrollHeight, clientHeight } = scroll;
            return [scrollWidth - clientWidth, scrollHeight - clientHeight];
        }"""
    )
    assert max(box) <= 2
    seen.check()


def test_hovering_hostile_nodes_shows_text_only(folder: Path, watched: Make) -> None:
    seen = watched(height=1400)
    page = opened(seen, folder, "hostile")
    for node in page.locator(".nodes .node.k-latent, .nodes .node.k-embedding").all()[:40]:
        node.hover(force=True)
    assert page.locator(".g-card").is_visible()
    for node in page.locator(".nodes .node").all()[::9]:
        node.click(force=True)
    page.evaluate("document.querySelectorAll('summary').forEach((node) => node.click())")
    seen.check()


def test_the_card_tells_what_a_latent_is(folder: Path, watched: Make) -> None:
    seen = watched()
    page = opened(seen, folder, "small")
    known = page.evaluate(
        """() => {
            const items = saereport.inspect.graphView.layout.items;
            const item = items.find(({ node }) => node && node.card && node.card.examples.length);
            item.box.setAttribute("data-known", "yes");
            return [item.node.latent, item.node.card.href];
        }"""
    )
    page.locator("[data-known]").hover()
    card = page.locator(".g-card")
    assert card.is_visible()
    text = card.inner_text()
    assert str(known[0]) in text
    assert "active on" in text
    assert "raises" in text
    assert card.locator(".snips li").count() == 1
    href = card.locator("h3 a").get_attribute("href")
    assert href == "../" + known[1]
    assert (folder / href.split("#")[0]).resolve().is_file()
    card.hover()
    page.wait_for_timeout(300)
    assert card.is_visible()
    page.mouse.move(2, 2)
    until(page, "document.querySelector('.g-card').hidden")
    seen.check()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1360, 360])
@pytest.mark.parametrize("slug", ["small", "large"])
def test_it_fits_wide_and_narrow_in_both_themes(
    folder: Path, watched: Make, screenshots: Path, slug: str, width: int, theme: str
) -> None:
    seen = watched(width=width, theme=theme)
    page = opened(seen, folder, slug)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("#graph").scroll_into_view_if_needed()
    page.locator(".nodes .node[tabindex='0']").click(force=True)
    assert page.locator(".g-panel .g-list").count() == 2
    page.screenshot(path=str(screenshots / f"graph-{slug}-{width}-{theme}.png"))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("#check-plot").scroll_into_view_if_needed()
    page.wait_for_selector("#check-plot .scatterlayer .point")
    seen.check()


def test_without_javascript_the_tables_are_there(folder: Path, watched: Make) -> None:
    seen = watched(java_script_enabled=False)
    page = seen.open(folder / "large-graph.html")
    assert page.locator("#checks tbody tr").count() == 20
    assert page.locator("#strongest tbody tr").count() == 40
    assert page.locator("a[download]").is_visible()
    assert page.locator("#graph-section .note", has_text="needs JavaScript").count() == 1
    assert not page.locator("#check-plot").is_visible()
    assert seen.problems == []


def test_no_motion_where_the_reader_asks_for_none(folder: Path, watched: Make) -> None:
    seen = watched(reduced_motion="reduce")
    page = opened(seen, folder, "small")
    moving = page.evaluate(
        """() => Array.from(document.querySelectorAll("#graph *")).filter(
            (node) => parseFloat(getComputedStyle(node).transitionDuration) > 0).length"""
    )
    assert moving == 0
    seen.check()
