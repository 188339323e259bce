"""The links of an attribution graph in a browser: which are drawn, and how they are traced."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from saereport.site import render
from tests.browser.conftest import still, url_of
from tests.browser.test_graph import Make, graph_of, opened
from tests.synthetic import Shape, write_run
from tests.synthetic_graph import LARGE, SMALL, graphs, scores_of

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of a small and a large graph."""
    target = tmp_path_factory.mktemp("graph-links")
    shape = Shape(d_sae=2048, n_chosen=24, n_sequences=80, n_vocabulary=1500, n_saes=3)
    write_run(target / "run", shape, graphs(SMALL, LARGE))
    render(target / "run", target / "report")
    return target / "report" / "circuits"


def test_the_strongest_links_are_drawn_by_score(folder: Path, watched: Make) -> None:
    seen = watched()
    page = opened(seen, folder, "large")
    scores = scores_of(graph_of(folder, "large"))
    shown = page.evaluate(
        """() => saereport.inspect.graphView.stage.behind
            .map((edge) => [edge.source.node.id, edge.target.node.id, edge.score])"""
    )
    assert len(shown) == 150
    assert [score for *_, score in shown] == pytest.approx(
        [scores[source, target] for source, target, _ in shown], rel=5e-3
    )
    least = sorted(scores.values(), reverse=True)[149]
    assert min(score for *_, score in shown) == pytest.approx(least, rel=5e-3)
    errors = sum("-1_" in source for source, *_ in shown)
    assert page.locator(".edges.base path.unexplained").count() == errors > 0
    assert page.locator(".edges.base path").first.get_attribute("class").endswith("unexplained")
    assert "unexplained" not in page.locator(".edges.base path").last.get_attribute("class")
    seen.check()


@pytest.mark.parametrize("slug", ["small", "large"])
def test_the_answer_is_traced_back(folder: Path, watched: Make, slug: str) -> None:
    seen = watched()
    page = opened(seen, folder, slug)
    graph = graph_of(folder, slug)
    scores = scores_of(graph)
    kinds = {node["node_id"]: node["feature_type"] for node in graph["nodes"]}
    target = next(node["node_id"] for node in graph["nodes"] if node.get("is_target_logit"))

    def inputs(id: str) -> list[str]:
        """What feeds a node: not from errors first, then by score."""
        found = [
            (scores[k["source"], id], k["source"]) for k in graph["links"] if k["target"] == id
        ]
        found.sort(key=lambda pair: (kinds[pair[1]].endswith("error"), -pair[0]))
        return [source for _, source in found]

    wanted = []
    for first in [id for id in inputs(target) if not kinds[id].endswith("error")][:8]:
        path = [first]
        while inputs(path[-1]):
            path.append(inputs(path[-1])[0])
        wanted.append(path)
    button = page.get_by_role("button", name="Trace the answer")
    button.focus()
    page.keyboard.press("Enter")
    assert url_of(page).endswith(f"#pin={target}&trace=yes")
    paths = page.evaluate(
        """() => saereport.inspect.graphView.tracing
            .map((path) => path.map((edge) => edge.source.node.id))"""
    )
    assert paths == wanted
    assert page.locator(".g-paths li").count() == len(wanted) > 0
    assert page.locator(".g-step").count() == sum(len(path) for path in wanted)
    lit = page.evaluate(
        "Array.from(document.querySelectorAll('.nodes .node:not(.dim)'), (box) => box.item.node.id)"
    )
    assert set(lit) == {target}.union(*wanted)
    assert button.get_attribute("aria-pressed") == "true"
    page.reload()
    page.wait_for_selector(".g-paths li")
    page.locator(".g-step button").first.click()
    assert url_of(page).endswith(f"#pin={wanted[0][0]}")
    assert page.locator(".g-paths").count() == 0
    button.click()
    button.click()
    assert "#" not in url_of(page)
    seen.check()


@pytest.mark.parametrize("width", [1360, 360])
def test_names_of_rows_do_not_touch(folder: Path, watched: Make, width: int) -> None:
    seen = watched(width=width)
    page = opened(seen, folder, "large")
    boxes = page.locator(".g-layers span:not([hidden])").evaluate_all(
        """(all) => all.map((one) => one.getBoundingClientRect())
            .map((box) => [box.top, box.bottom]).sort((a, b) => a[0] - b[0])"""
    )
    assert len(boxes) > 5
    assert all(low[1] <= high[0] + 2 for low, high in itertools.pairwise(boxes))
    seen.check()


def test_a_group_stands_on_a_token_that_it_holds(folder: Path, watched: Make) -> None:
    """And in a row of it: not at the mean of its places, which may be another's."""
    seen = watched()
    page = opened(seen, folder, "small")
    by_place = page.evaluate(
        """() => saereport.inspect.graphView.model.nodes
            .filter((node) => node.kind === "latent").map((node) => [node.id, node.position])"""
    )
    ends = sorted(by_place, key=lambda pair: pair[1])
    first, last = ends[0], ends[-1]
    assert last[1] - first[1] > 1
    page.goto(f"{url_of(page).partition('#')[0]}#group={first[0]}+{last[0]}*far+apart")
    page.reload()
    page.wait_for_selector(".nodes .k-group")
    column, row, rows, inside = page.evaluate(
        """() => {
            const { layout, model } = saereport.inspect.graphView;
            const item = layout.items.find((one) => one.group);
            const { x, w } = layout.columns[item.column];
            return [item.column, [item.row.layer, item.row.sae],
                item.members.map((node) => [node.layer, node.sae]), x <= item.x && item.x <= x + w];
        }"""
    )
    assert column in (first[1], last[1])
    assert row in rows
    assert inside
    seen.check()


def test_tables_lead_to_latents_and_into_the_drawing(folder: Path, watched: Make) -> None:
    seen = watched()
    page = opened(seen, folder, "small")
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    for table in ("#checks", "#strongest", "#latents-in-it"):
        rows = page.locator(f"{table} tbody tr").count()
        ends = 1 if table == "#latents-in-it" else 2
        assert page.locator(f"{table} tbody a.show").count() == ends * rows > 0
    page_of = page.locator("#latents-in-it a:not(.show)").first
    name = page_of.inner_text()
    href = page_of.get_attribute("href")
    assert href.endswith(f"#latent-{name.rpartition(' ')[2]}") or "neuronpedia.org/" in href
    link = page.locator("#strongest tbody a.show").nth(3)
    wanted = link.get_attribute("href").partition("#pin=")[2]
    link.focus()
    page.keyboard.press("Enter")
    assert url_of(page).endswith(f"#pin={wanted}")
    pinned = """() => {
        const { model, state } = saereport.inspect.graphView;
        return [model.nodes[state.pinned].id, document.activeElement.item.node.id];
    }"""
    assert page.evaluate(pinned) == [wanted, wanted]
    assert page.locator(".g-panel .g-pinned").inner_text().startswith("Pinned")
    box = still(page.locator("#graph .node:focus"))
    assert box["y"] > 0
    assert box["y"] < 900
    seen.check()
