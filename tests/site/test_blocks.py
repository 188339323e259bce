from __future__ import annotations

from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from saereport.run import open_run
from saereport.site import report_of
from saereport.site.blocks import BASES, Block, merge, merged
from saereport.site.context import LatentView
from saereport.site.latent_pages import read_band
from saereport.site.panels import PANELS
from saereport.site.sae_page import figures
from saereport.site.telling import TELLERS, bins, tell

PLAIN = {"tokens", "latents", "facts", "bars", "examples", "text", "grid"}
KINDS = PLAIN | {"table", "lines", "scatter", "cloud", "heatmap", "attribution", "influences"}


def latents_of(run_dir: Path) -> list[LatentView]:
    report = report_of(open_run(run_dir), shard_size=16)
    found = []
    for sae in report.saes:
        band = read_band(sae, 0, sae.info.d_sae)
        found += [LatentView(sae, index, band) for index in sae.shards.latents]
    return found


def leaves(block: Block) -> list[Block]:
    whole = merged(block)
    return (
        [leaf for inner in whole["blocks"] for leaf in leaves(inner)]
        if whole["b"] == "grid"
        else [whole]
    )


@pytest.fixture(scope="module")
def all_blocks(hostile_run: Path) -> list[Block]:
    return [
        leaf
        for latent in latents_of(hostile_run)
        for panel in PANELS.values()
        for block in panel.build(latent)
        for leaf in leaves(block)
    ]


def test_every_kind_of_block_is_known_to_the_page(all_blocks: list[Block]) -> None:
    assert {block["b"] for block in all_blocks} == PLAIN - {"grid"}


def test_figures_are_valid_plotly(all_blocks: list[Block], hostile_run: Path) -> None:
    drawn = [block for block in all_blocks if block["b"] == "bars"]
    sae = latents_of(hostile_run)[0].sae
    drawn += [merged(figure.block) for figure in figures(sae)]
    assert {block["base"] if "base" in block else block["title"] for block in drawn}
    assert len(drawn) > 50
    for block in drawn:
        for view in block["views"]:
            figure = go.Figure(data=plain(view["data"]), layout=plain(view["layout"]))
            assert figure.to_json()
        assert block["summary"].format(**block["v"])


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return float(value) if isinstance(value, float) else value


def test_a_dead_latent_still_has_its_weights(hostile_run: Path) -> None:
    dead = [latent for latent in latents_of(hostile_run) if latent.dead]
    assert dead
    names = [name for name, panel in PANELS.items() if panel.build(dead[0])]
    assert "examples" not in names
    assert "activation" not in names
    assert {"logits", "deembedding"} <= set(names)


@pytest.mark.parametrize(
    ("under", "over", "result"),
    [
        ({"a": 1, "b": {"c": 2}}, {"b": {"d": 3}}, {"a": 1, "b": {"c": 2, "d": 3}}),
        ([{"a": 1}, {"b": 2}], [{"c": 3}], [{"a": 1, "c": 3}, {"b": 2}]),
        ([1, 2], [3], [3]),
        ({"a": [1]}, {"a": []}, {"a": []}),
    ],
)
def test_merge(under: Any, over: Any, result: Any) -> None:
    assert merge(under, over) == result


def test_bases_name_their_kind() -> None:
    assert {fields["b"] for fields in BASES.values()} <= KINDS


def test_every_kind_of_block_is_told_without_scripts(
    all_blocks: list[Block], hostile_run: Path
) -> None:
    """A sentence or a table for each; those of latents alone are drawn on their pages only."""
    report = report_of(open_run(hostile_run))
    assert set(TELLERS) == KINDS - {"attribution", "influences"}
    for block in all_blocks:
        told = tell(block, report)
        assert told.summary or told.tables or told.lines or told.facts
        for table in told.tables:
            assert {len(row.cells) for row in table.rows} <= {len(table.columns)}


def test_bars_are_told_by_their_edges_and_counts() -> None:
    view = {"columns": ["from", "to", "tokens"], "data": [{"x0": -4, "dx": 1, "y": [3, 0, 5]}]}
    octaves = {**view, "octaves": 4}
    assert list(bins(octaves["data"][0], octaves)) == [  # type: ignore[index]
        (0.5, 0.625, 3),
        (0.625, 0.75, 0),
        (0.75, 0.875, 5),
    ]
    decades = {**view, "decades": 2}
    assert [low for low, _, _ in bins(decades["data"][0], decades)] == pytest.approx(  # type: ignore[index]
        [0.01, 0.0316228, 0.1]
    )
    told = TELLERS["bars"]({"b": "bars", "views": [view], "summary": "all"}, None)  # type: ignore[arg-type]
    (table,) = told.tables
    assert [row.cells for row in table.rows] == [("−4.5", "−3.5", "3"), ("−2.5", "−1.5", "5")]


def test_a_dense_heatmap_is_told_by_its_largest_cells() -> None:
    view = {"label": "a", "rows": ["r0", "r1"], "columns": ["c0", "c1"], "unit": 0.5}
    block = {"b": "heatmap", "summary": "{n} cells", "v": {"n": 3}}
    block["views"] = [{**view, "z": [[1, None], [-4, 0]]}]
    told = TELLERS["heatmap"](block, None)  # type: ignore[arg-type]
    assert told.summary == "3 cells"
    assert [row.cells for row in told.tables[0].rows] == [
        ("r1", "c0", "−2"),
        ("r0", "c0", "0.5"),
    ]


def test_lines_below_zero_and_values_that_are_text_are_told(hostile_run: Path) -> None:
    report = report_of(open_run(hostile_run))
    series = [{"key": "k", "name": "loss", "values": [-0.5, 0.0, 2.0]}]
    told = tell({"b": "lines", "labels": ["a", "b", "c"], "series": series}, report)
    assert told.tables[0].rows[0].cells == ("loss", "2", "0: −0.5, 2: 2")
    token = next(iter(report.vocabulary.shown))
    block = {"b": "tokens", "columns": ["what"], "formats": ["text"], "rows": [[token, "4 of 5"]]}
    assert tell(block, report).tables[0].rows[0].cells[1] == "4 of 5"


def test_an_edge_of_a_bin_at_0_is_0() -> None:
    trace = {"x0": -0.1 + 0.05 / 2, "dx": 0.05, "y": [1, 1, 1, 1]}
    edges = [(low, high) for low, high, _ in bins(trace, {})]
    assert (edges[1][1], edges[2][0]) == (0.0, 0.0)
    assert edges[0][0] == pytest.approx(-0.1)
    assert edges[3][1] == pytest.approx(0.1)
