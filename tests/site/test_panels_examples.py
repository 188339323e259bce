"""Panels of top examples taken apart, against tables made by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup

from saereport.run import RunWriter, open_run
from saereport.site import render
from saereport.site.blocks import Block, merged
from saereport.site.context import LatentView
from saereport.site.packing import unpack
from saereport.site.panels import PANELS
from saereport.site.panels.components import grid
from saereport.site.telling import filled
from tests.site.test_blocks import latents_of, leaves
from tests.site.test_render import contents, data_scripts, pages
from tests.synthetic import Shape, write_run
from tests.synthetic_examples import examples_extra

SMALL = Shape(d_sae=64, n_chosen=12, n_sequences=60, n_vocabulary=900, n_saes=3, n_dead=1)
RESIDUAL, ATTENTION, TRANSCODER = (
    "synthetic-l3-residual",
    "synthetic-l6-attention",
    "synthetic-l9-transcoder",
)
HEADS = [[0.5] * 9 + [0.0] * 8 + [3.0], [-0.5] * 9 + [0.0] * 8 + [1.0]]
MLPS = [[0.25], [-0.75]]
EARLY = [5, 63]


def by_hand(writer: RunWriter, shape: Shape, shown: dict[str, Any]) -> None:
    """Two examples of the last chosen latent of each SAE, with round numbers."""
    apart, driven = (int(shown[slug][-1]) for slug in (ATTENTION, TRANSCODER))
    place = {"rank": [0, 1], "sequence": [3, 4], "position": [20, 9]}
    writer.write(
        "example_heads",
        {
            "latent": [apart] * 2,
            **place,
            "start": [17, 0],
            "activation": [4.0, 0.0],
            "pre_activation": [4.0, -1.0],
            "bias": [-1.0, -1.0],
            "heads": [[5.0] + [0.0] * 8, [0.0] * 9],
            "sources": [[1.0, -2.0, 5.5, 0.5], [0.0] * 10],
        },
        slug=ATTENTION,
    )
    writer.write(
        "example_components",
        {
            "latent": [driven] * 2,
            **place,
            "activation": [8.0, 0.0],
            "pre_activation": [8.0, -4.25],
            "embedding": [1.25, 0.5],
            "heads": HEADS,
            "mlps": MLPS,
            "bias": [-1.0, -0.5],
        },
        slug=TRANSCODER,
    )
    writer.write(
        "example_influences",
        {
            "latent": [driven] * 3,
            "rank": [0, 0, 1],
            "number": [0, 1, 0],
            "early": [ATTENTION, RESIDUAL, RESIDUAL],
            "layer": [-1, 8, -1],
            "head": [-1, 4, -1],
            "early_latent": [int(shown[ATTENTION][2]), EARLY[0], EARLY[1]],
            "source": [0, -3, 0],
            "token": [300, 301, 302],
            "value": [2.0, -1.5, 0.125],
        },
        slug=TRANSCODER,
    )
    writer.write(
        "influence_counts",
        {
            "latent": [driven] * 2,
            "number": [0, 1],
            "early": [ATTENTION, RESIDUAL],
            "early_latent": [int(shown[ATTENTION][2]), EARLY[0]],
            "n_among": [2, 1],
            "n_examples": [2, 2],
            "mean": [1.0, -0.75],
        },
        slug=TRANSCODER,
    )
    writer.write(
        "example_head_deembedding",
        {
            "latent": [driven],
            "number": [0],
            "layer": [1],
            "head": [8],
            "mean": [2.0],
            "top_tokens": [[310, 311]],
            "top_values": [[3.0, 2.0]],
            "bottom_tokens": [[312]],
            "bottom_values": [[-1.0]],
        },
        slug=TRANSCODER,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("by-hand") / "run"
    write_run(path, SMALL, by_hand)
    return path


def last(run: Path, slug: str) -> LatentView:
    return [latent for latent in latents_of(run) if latent.sae.info.slug == slug][-1]


def built(run: Path, slug: str, name: str) -> list[Block]:
    return [leaf for block in PANELS[name].build(last(run, slug)) for leaf in leaves(block)]


def test_sources_are_told_by_their_distance_from_the_peak(run: Path) -> None:
    (block,) = built(run, ATTENTION, "attribution")
    first, second = block["examples"]
    assert first[:6] == (4.0, 4.0, -1.0, [5.0] + [0.0] * 8, -3, [1.0, -2.0, 5.5, 0.5])
    assert second.first == -9
    assert block["layer"] == 6
    tops = [e for e in last(run, ATTENTION).rows("examples").each("group", "sequence", "position",
                                                                 "start", "stop")
            if e[0] == "top"]  # fmt: skip
    _, sequence, position, start, stop = tops[0]
    assert first.where[:3] == (sequence, position, start)
    text = open_run(run).table("sequences")["tokens"].to_pylist()[sequence]
    assert unpack(first.where.window) == text[start:stop]


def test_parts_sum_to_the_pre_activation(run: Path) -> None:
    (block,) = built(run, TRANSCODER, "components")
    mean, first, second = block["views"]
    assert [view["label"] for view in block["views"]] == ["mean", "1", "2"]
    for view, total in ((mean, 1.875), (first, 8.0), (second, -4.25)):
        v = view["v"]
        assert v["total"] == total
        assert v["embedding"] + v["heads"] + v["mlps"] + v["bias"] == pytest.approx(total)
        cells = [n for row in view["z"] for n in row if n is not None]
        assert sum(cells) * view["unit"] == pytest.approx(v["heads"] + v["mlps"], abs=1e-2)
    assert first["rows"] == [*(f"H{h}" for h in range(9)), "MLP"]
    assert block["v"] == {"n": 2, "part": "L1 H8", "value": 2.0}


def test_cells_are_multiples_of_a_unit(run: Path) -> None:
    (block,) = built(run, TRANSCODER, "components")
    view = block["views"][1]
    shown = [[None if n is None else n * view["unit"] for n in row] for row in view["z"]]
    for row, wanted in zip(shown, grid(HEADS[0], MLPS[0], 9), strict=True):
        for cell, value in zip(row, wanted, strict=True):
            assert cell == value if value is None else cell == pytest.approx(value, abs=1e-3)
    assert shown[-1] == [pytest.approx(0.25), None]
    assert shown[8] == [pytest.approx(0.5), pytest.approx(3.0)]


@pytest.mark.parametrize(
    ("heads", "mlps", "rows"),
    [
        ([1.0, 2.0], [], [[1.0], [2.0], [None]]),
        ([1.0, 2.0, 3.0, 4.0], [5.0], [[1.0, 3.0], [2.0, 4.0], [5.0, None]]),
        ([], [], [[], [], []]),
    ],
)
def test_grid(heads: list[float], mlps: list[float], rows: list[list[float | None]]) -> None:
    assert grid(heads, mlps, 2) == rows


def test_influences_name_the_earlier_latent_and_its_path(run: Path) -> None:
    note, residual, attention, examples = built(run, TRANSCODER, "influences")
    assert "every path together" in note["text"]
    shown = int(open_run(run).table("activity", ATTENTION)["latent"].to_pylist()[2])
    inside = int(EARLY[0] in open_run(run).table("activity", RESIDUAL)["latent"].to_pylist())
    assert (residual["sae"], residual["rows"]) == (RESIDUAL, [[EARLY[0], inside, 1, 2, -0.75]])
    assert (attention["sae"], attention["rows"]) == (ATTENTION, [[shown, 1, 2, 2, 1.0]])
    assert examples["saes"] == [RESIDUAL, ATTENTION]
    first, second = examples["examples"]
    assert first.rows == [
        (1, shown, 1, -1, -1, 0, 300, 2.0),
        (0, EARLY[0], inside, 8, 4, -3, 301, -1.5),
    ]
    assert second.rows[0][5:] == (0, 302, 0.125)
    assert [first.activation, second.activation] == [8.0, 0.0]


def test_heads_list_what_would_excite_and_inhibit(run: Path) -> None:
    _, top, bottom = built(run, TRANSCODER, "through_heads")
    assert top["title"] == "L1H8, mean 2: excited by"
    assert top["rows"] == [[310, 3.0], [311, 2.0]]
    assert bottom["rows"] == [[312, -1.0]]


def test_panels_without_rows_are_left_out(run: Path) -> None:
    for name in ("attribution", "components", "influences", "through_heads"):
        assert not built(run, RESIDUAL, name)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile-examples") / "run"
    shape = Shape(
        d_sae=64, n_chosen=10, n_sequences=60, n_vocabulary=900, n_saes=3, hostile=True
    )  # fmt: skip
    write_run(path, shape, examples_extra())
    return path


def test_every_view_has_a_cell_for_each_part(hostile: Path) -> None:
    drawn = [
        block
        for latent in latents_of(hostile)
        for block in PANELS["components"].build(latent)
    ]  # fmt: skip
    assert len(drawn) == 20
    for block in map(merged, drawn):
        assert len(block["views"]) == 5
        for view in block["views"]:
            assert view["columns"] == [f"L{layer}" for layer in range(len(view["z"][0]))]
            assert len(view["rows"]) == len(view["z"])
            assert filled(view["note"], view["v"]).startswith(view["v"]["about"])
        assert block["summary"].format(**block["v"])


def test_hostile_names_stay_text_and_bytes_stay_the_same(hostile: Path, tmp_path: Path) -> None:
    render(hostile, tmp_path / "a")
    render(hostile, tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    for script in data_scripts(tmp_path / "a"):
        text = script.read_text("utf-8")
        assert not set(text.split("push(", 1)[1]) & set("<>&\u2028\u2029")
    for page in pages(tmp_path / "a"):
        soup = BeautifulSoup(page.read_text("utf-8"), "html.parser")
        assert all(script.get("src") and not script.text for script in soup.find_all("script"))


def test_the_data_script_holds_the_panels(hostile: Path, tmp_path: Path) -> None:
    render(hostile, tmp_path / "out")
    text = (tmp_path / "out" / TRANSCODER / "d0000.js").read_text("utf-8")
    record = json.loads(re.split(r"push\(", text, maxsplit=1)[1].rstrip().removesuffix(");"))
    names = [name for name, _ in record["latents"][0]["panels"]]
    assert {"influences", "components", "through_heads"} <= set(names)
    assert names.index("pullbacks") < names.index("influences") < names.index("components")
