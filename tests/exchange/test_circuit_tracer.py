"""The folder that circuit-tracer's viewer serves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from saereport.exchange import export_report
from saereport.run import Run, open_run
from saereport.util.errors import SaereportError
from tests.exchange import samples
from tests.synthetic import Shape, write_run
from tests.synthetic_graph import LARGE, SMALL, GraphShape, graphs

SHAPE = Shape(d_sae=4096, n_chosen=24, n_sequences=80, n_vocabulary=1500, n_saes=3, hostile=True)
BLIND = GraphShape(n_tokens=20, slug="blind", blind=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    path = tmp_path_factory.mktemp("tracer") / "run"
    write_run(path, SHAPE, graphs(SMALL, LARGE, BLIND))
    return open_run(path)


@pytest.fixture(scope="module")
def folder(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("served") / "graphs"
    export_report(run.path, out, format="circuit-tracer")
    return out


def loaded(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def address(graph: dict[str, Any], node: dict[str, Any]) -> str:
    """Where the viewer looks for a node's examples, below the served folder."""
    assert graph["metadata"]["scan"].startswith("custom-")
    scan = graph["metadata"]["transcoder_list"][int(node["layer"])]
    assert scan.startswith("./data/")
    return f"{scan.removeprefix('./data/')}/{node['feature']}.json"


def test_the_list_names_every_graph(folder: Path) -> None:
    found = loaded(folder / "graph-metadata.json")["graphs"]
    assert [graph["slug"] for graph in found] == ["small", "large", "blind"]
    for metadata in found:
        assert loaded(folder / f"{metadata['slug']}.json")["metadata"] == metadata


def test_the_viewer_finds_the_examples_of_every_shown_latent(run: Run, folder: Path) -> None:
    shown = {(sae.slug, i) for sae in run.info.saes for i in run.latents(sae.slug)}
    (row,) = run.table("blind_latents").to_pylist()
    blind = (row["sae"], row["latent"])
    prompts = {row["prompt"]: row["slug"] for row in run.table("prompts").to_pylist()}
    seen = set()
    for number, slug in prompts.items():
        graph = loaded(folder / f"{slug}.json")
        rows = [r for r in run.table("graph_nodes").to_pylist() if r["prompt"] == number]
        for node, own in zip(graph["nodes"], rows, strict=True):
            if own["kind"] != "latent":
                continue
            key = (own["sae"], own["latent"])
            path = folder / address(graph, node)
            assert path.exists() == (key in shown and key != blind)
            if path.exists():
                feature = loaded(path)
                assert (feature["transcoder_id"], feature["index"]) == key
                seen.add(path)
    assert seen == set((folder / "features").rglob("*.json"))


def test_examples_are_those_of_the_run(run: Run, folder: Path) -> None:
    path = min((folder / "features").rglob("*.json"))
    feature = loaded(path)
    slug, latent = feature["transcoder_id"], feature["index"]
    expected = [one for one in samples.shown_examples(run, slug) if one[0] == latent]
    examples = [one for group in feature["examples_quantiles"] for one in group["examples"]]
    assert len(examples) == len(expected)
    for one in examples:
        assert len(one["tokens"]) == len(one["tokens_acts_list"])
        assert one["tokens_acts_list"][one["train_token_ind"]] > 0
    assert feature["examples_quantiles"][0]["quantile_name"] == "Top activations"
    assert feature["act_max"] == pytest.approx(
        max(value for one in examples for value in one["tokens_acts_list"]), rel=1e-3
    )


def test_an_older_export_is_replaced_and_nothing_else(run: Run, tmp_path: Path) -> None:
    export_report(run.path, tmp_path / "out", format="circuit-tracer")
    export_report(run.path, tmp_path / "out", format="circuit-tracer")
    (tmp_path / "out" / "mine.txt").write_text("x")
    with pytest.raises(SaereportError, match=r"also holds .*mine\.txt"):
        export_report(run.path, tmp_path / "out", format="circuit-tracer")


def test_a_report_without_a_graph_is_one_line(tmp_path: Path) -> None:
    write_run(tmp_path / "run", Shape(d_sae=24, n_chosen=5, n_sequences=30, n_vocabulary=300))
    with pytest.raises(SaereportError, match="has no attribution graph"):
        export_report(tmp_path / "run", tmp_path / "out", format="circuit-tracer")
    assert not (tmp_path / "out").exists()
