"""Attribution graphs of circuit-tracer and Neuronpedia become pages, and hostile ones one line."""

from __future__ import annotations

import json
import time
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from saereport.cli.main import cli
from saereport.exchange import export_report, graph_files, import_files, importing_graphs
from saereport.exchange.graph_files import read_graph
from saereport.run import Run, open_run
from saereport.site import render
from saereport.util.errors import SaereportError
from tests.synthetic import HOSTILE, Shape, write_run
from tests.synthetic_graph import LARGE, SMALL, GraphShape, graphs

SHAPE = Shape(d_sae=4096, n_chosen=24, n_sequences=80, n_vocabulary=1500, n_saes=3, hostile=True)
HARM = GraphShape(n_tokens=40, hostile=True, slug="hostile")


def cantor(x: int, y: int) -> int:
    return (x + y) * (x + y + 1) // 2 + y


def feature(layer: int, latent: int, position: int, **own: Any) -> dict[str, Any]:
    """A latent as circuit-tracer writes it."""
    return {
        "node_id": f"{layer}_{latent}_{position}",
        "feature": cantor(layer, latent),
        "layer": str(layer),
        "ctx_idx": position,
        "feature_type": "cross layer transcoder",
        "jsNodeId": f"{layer}_{latent}-0",
        "clerp": "",
        "influence": 0.5,
        "activation": 2.5,
        **own,
    }


def error(layer: int, position: int) -> dict[str, Any]:
    """An error as circuit-tracer writes it: its id looks like that of a latent of layer 0."""
    return {
        **feature(0, layer, position),
        "feature": -1,
        "layer": str(layer),
        "feature_type": "mlp reconstruction error",
        "activation": None,
    }


def token(number: int, position: int) -> dict[str, Any]:
    return {
        **feature(0, number, position),
        "node_id": f"E_{number}_{position}",
        "feature": position,
        "layer": "E",
        "feature_type": "embedding",
        "activation": None,
    }


def output(number: int, text: str, position: int, probability: float, **own: Any) -> dict[str, Any]:
    return {
        **feature(0, number, position),
        "node_id": f"4_{number}_{position}",
        "feature": number,
        "layer": "4",
        "feature_type": "logit",
        "clerp": f'Output "{text}" (p={probability:.3f})',
        "token_prob": probability,
        "influence": None,
        "activation": None,
        **own,
    }


GRAPH: dict[str, Any] = {
    "metadata": {
        "slug": "Austin is!",
        "scan": "gemma-2-2b",
        "transcoder_list": [],
        "prompt_tokens": ["<bos>", "The", " capital"],
        "prompt": "<bos>The capital",
        "node_threshold": 0.8,
        "feature_details": {"neuronpedia_source_set": "gemmascope-transcoder-16k"},
        "schema_version": 1,
    },
    "qParams": {
        "pinnedIds": [],
        "supernodes": [],
        "linkType": "both",
        "clickedId": "",
        "sg_pos": "",
    },
    "nodes": [
        token(2, 0),
        token(651, 1),
        token(6037, 2),
        feature(0, 7, 1),
        feature(2, 7, 2, clerp="capitals <b>of</b> states"),
        error(1, 1),
        error(2, 2),
        output(9, " Austin", 2, 0.6, is_target_logit=True),
        output(10, " Austin", 2, 0.1),
    ],
    "links": [
        {"source": "E_651_1", "target": "0_7_1", "weight": 2.0},
        {"source": "0_7_1", "target": "2_7_2", "weight": 1.5},
        {"source": "0_1_1", "target": "2_7_2", "weight": -0.5},
        {"source": "2_7_2", "target": "4_9_2", "weight": 3.0},
        {"source": "0_2_2", "target": "4_9_2", "weight": 1.0},
        {"source": "2_7_2", "target": "4_10_2", "weight": -1.0},
    ],
}


def changed(**patch: Any) -> dict[str, Any]:
    return {**deepcopy(GRAPH), **patch}


def written(path: Path, graph: Any) -> Path:
    path.write_text(json.dumps(graph), "utf-8")
    return path


def imported(folder: Path, graph: Any) -> Run:
    import_files([written(folder / "graph.json", graph)], folder / "run")
    run = open_run(folder / "run")
    run.verify()
    return run


def page_json(run: Run, out: Path) -> dict[str, Any]:
    render(run.path, out)
    (path,) = (out / "circuits").glob("*-graph.json")
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def test_a_graph_of_circuit_tracer_becomes_a_page(tmp_path: Path) -> None:
    run = imported(tmp_path, GRAPH)
    (prompt,) = run.table("prompts").to_pylist()
    words = {row["token"]: row["bytes"] for row in run.table("vocabulary").to_pylist()}
    assert [words[t] for t in prompt["tokens"]] == [b"<bos>", b"The", b" capital"]
    assert (prompt["slug"], words[prompt["answer"]]) == ("austin-is", b" Austin")
    nodes = run.table("graph_nodes").to_pylist()
    latents = [(n["sae"], n["layer"], n["latent"], n["position"]) for n in nodes if n["sae"]]
    assert latents == [
        ("transcoder-l0", 0, 7, 1),
        ("transcoder-l2", 2, 7, 2),
        ("transcoder-l2", 2, -1, 2),
    ]
    errors = [(n["sae"], n["layer"], n["position"]) for n in nodes if n["kind"] == "error"]
    assert errors == [("", 1, 1), ("transcoder-l2", 2, 2)]
    by_id = [n["id"] for n in nodes]
    links = {
        (by_id[k["source"]], by_id[k["target"]]): k["weight"]
        for k in run.table("graph_links").to_pylist()
    }
    assert links["1_-1_1", "2_7_2"] == -0.5
    assert len(links) == len(GRAPH["links"])
    sae = run.info.sae("transcoder-l2")
    assert sae.neuronpedia_id == "gemma-2-2b/2-gemmascope-transcoder-16k"
    (label,) = run.table("explanations", "transcoder-l2").to_pylist()
    assert (label["latent"], label["text"]) == (7, "capitals <b>of</b> states")
    graph = page_json(run, tmp_path / "report")
    assert {n["clerp"] for n in graph["nodes"] if n["layer"] == "2" and n["feature"] > 0} == {
        "capitals <b>of</b> states"
    }
    page = (tmp_path / "report" / "circuits" / "austin-is-graph.html").read_text("utf-8")
    assert "another tool" in page
    assert "Faithfulness" not in page
    # A latent that was never measured is not shown as one that is never active.
    assert not list((tmp_path / "report").glob("transcoder-*"))
    assert "dead" not in (tmp_path / "report" / "index.html").read_text("utf-8").lower()
    assert "<b>of</b>" not in page


def test_a_source_set_is_of_the_latents_that_viewers_look_for_in_it(tmp_path: Path) -> None:
    """circuit-tracer's `custom-` is no part of a model's id; nor is every SAE of a layer listed."""
    graph = changed()
    graph["metadata"]["scan"] = "custom-gemma-2-2b"
    graph["nodes"] += [
        {**feature(2, 9, 2), "node_id": "res-l2:9_2", "feature": -1001 - cantor(0, 9)},
        {**feature(1, 9, 2), "node_id": "res-l1:9_2"},
    ]
    run = imported(tmp_path, graph)
    assert {sae.slug: sae.neuronpedia_id for sae in run.info.saes} == {
        "transcoder-l0": "gemma-2-2b/0-gemmascope-transcoder-16k",
        "transcoder-l2": "gemma-2-2b/2-gemmascope-transcoder-16k",
        "res-l1": "gemma-2-2b/1-gemmascope-transcoder-16k",
        "res-l2": "",
    }


def test_an_id_that_an_error_and_a_latent_share_is_no_guess(tmp_path: Path) -> None:
    """circuit-tracer calls the error of layer 7 and latent 7 of layer 0 the same."""
    graph = changed()
    graph["nodes"].append(error(7, 1))
    run = imported(tmp_path, graph)
    links = run.table("graph_links").to_pylist()
    ids = {n["node"]: n["id"] for n in run.table("graph_nodes").to_pylist()}
    assert "0_7_1" in ids.values()
    assert "7_-1_1" in ids.values()
    ends = {(ids[k["source"]], ids[k["target"]]) for k in links}
    assert ("0_7_1", "2_7_2") not in ends
    assert any(target == "0_7_1" for _, target in ends)
    (note,) = run.table("prompt_notes").to_pylist()
    assert "1 links name an id that two nodes have" in note["text"]


def test_influence_is_computed_where_the_file_has_none(tmp_path: Path) -> None:
    graph = changed()
    for node in graph["nodes"]:
        node["influence"] = None
    run = imported(tmp_path, graph)
    nodes = run.table("graph_nodes").to_pylist()
    # By hand: shares of absolute weights, then what reaches the outputs.
    at = {n["id"]: i for i, n in enumerate(nodes)}
    n = len(nodes)
    shares = np.zeros((n, n))
    for link in run.table("graph_links").to_pylist():
        shares[link["target"], link["source"]] = abs(link["weight"])
    sums = shares.sum(1, keepdims=True)
    shares = np.divide(shares, sums, out=np.zeros_like(shares), where=sums > 0)
    probability = np.array([node["probability"] for node in nodes])
    reach = np.linalg.solve(np.eye(n) - shares.T, probability)
    inner = [i for i in range(n) if nodes[i]["kind"] != "logit"]
    ranked = sorted(inner, key=lambda i: -reach[i])
    expected = np.cumsum(reach[ranked]) / reach[inner].sum()
    for place, share in zip(ranked, expected, strict=True):
        assert nodes[place]["influence"] == pytest.approx(share, rel=1e-5)
    assert nodes[at["2_7_2"]]["influence"] == pytest.approx(expected[0], rel=1e-5)
    assert any(row["topic"] == "influence" for row in run.table("prompt_notes").to_pylist())


def test_a_long_chain_takes_time_by_its_links() -> None:
    n = 49_000
    nodes = [feature(0, i, 1, influence=None) for i in range(n)]
    ids = [node["node_id"] for node in nodes] + ["4_9_2"]
    links = [{"source": a, "target": b, "weight": 1.0} for a, b in pairwise(ids)]
    graph = changed(nodes=[*nodes, output(9, " Austin", 2, 1.0)], links=links)
    text = json.dumps(graph).encode()
    before = time.process_time()
    read = read_graph(text, "graph.json")
    assert time.process_time() - before < 4
    # Every node passes on all it has, so all have the same share.
    assert sorted(read.influences[:-1]) == pytest.approx(np.arange(1, n + 1) / n)


def test_what_neuronpedia_adds_is_understood_or_said(tmp_path: Path) -> None:
    graph = changed()
    graph["nodes"] += [
        {**feature(1, 3, 2), "feature_type": "lorsa", "layer": 1},
        {**feature(1, 0, 2), "node_id": "bias_1", "feature": None, "feature_type": "bias"},
    ]
    graph["links"].append({"source": "bias_1", "target": "2_7_2", "weight": 0.1})
    run = imported(tmp_path, graph)
    assert "lorsa-l1" in {sae.slug for sae in run.info.saes}
    (note,) = run.table("prompt_notes").to_pylist()
    assert "1 nodes that stand for biases" in note["text"]
    render(run.path, tmp_path / "report")


def test_an_export_comes_back(tmp_path: Path) -> None:
    write_run(tmp_path / "was", SHAPE, graphs(SMALL, LARGE, HARM))
    export_report(tmp_path / "was", tmp_path / "files", format="circuit-tracer")
    import_files([tmp_path / "files"], tmp_path / "run")
    was, now = open_run(tmp_path / "was"), open_run(tmp_path / "run")
    now.verify()
    render(now.path, tmp_path / "report")
    slugs = [
        {row["prompt"]: row["slug"] for row in run.table("prompts").to_pylist()}
        for run in (was, now)
    ]
    assert sorted(slugs[0].values()) == sorted(slugs[1].values())
    found, expected = drawn(now, slugs[1]), drawn(was, slugs[0])
    assert found.keys() == expected.keys()
    for key, weights in found.items():
        assert weights == pytest.approx(expected[key], rel=2e-3)


def drawn(run: Run, slugs: dict[int, str]) -> dict[Any, Any]:
    """Links by what their ends are, without names of SAEs and numbers of tokens."""
    nodes: dict[tuple[int, int], Any] = {}
    for row in run.table("graph_nodes").to_pylist():
        latent = row["latent"] if row["kind"] == "latent" else round(row["probability"], 2)
        key = (row["kind"], row["layer"], row["position"], latent)
        nodes[row["prompt"], row["node"]] = key
    found: dict[Any, Any] = {}
    for row in run.table("graph_links").to_pylist():
        ends = (nodes[row["prompt"], row["source"]], nodes[row["prompt"], row["target"]])
        found.setdefault((slugs[row["prompt"]], *ends), []).append(row["weight"])
    return {key: sorted(weights) for key, weights in found.items()}


@pytest.mark.parametrize("slug", ["index", "my-graph", "graph", "", "con", "--", "x" * 300])
def test_a_graph_of_any_name_makes_a_run_that_can_be_shown(tmp_path: Path, slug: str) -> None:
    """Pages of prompts lie beside `index.html`, and those of their graphs end in `graph`."""
    run = imported(tmp_path, patched(("metadata", "slug"), slug))
    render(run.path, tmp_path / "report")
    (prompt,) = run.table("prompts").to_pylist()
    assert (tmp_path / "report" / "circuits" / f"{prompt['slug']}-graph.html").is_file()


def test_more_words_than_a_run_can_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing_graphs, "WORDS", 4)
    with pytest.raises(SaereportError, match="more than 4 distinct tokens"):
        imported(tmp_path, GRAPH)


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    words = [data.decode("utf-8", "replace") for data in HOSTILE if data]
    graph = changed()
    graph["metadata"]["prompt_tokens"] = words[:40]
    graph["metadata"]["prompt"] = "".join(words)
    graph["metadata"]["slug"] = "../../evil"
    graph["metadata"]["scan"] = words[0][:100]
    graph["metadata"]["feature_details"] = {"neuronpedia_source_set": words[1][:100]}
    graph["nodes"][4]["clerp"] = " ".join(words)[:10_000]
    graph["nodes"][7]["clerp"] = f'Output "{words[2]}" (p=0.600)'
    run = imported(tmp_path, graph)
    render(run.path, tmp_path / "report")
    assert not list(tmp_path.parent.glob("evil*"))
    for path in (tmp_path / "report").rglob("*.html"):
        assert "<script>self.stolen" not in path.read_text("utf-8")


def patched(place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    graph = changed()
    inner: Any = graph
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return graph


CYCLE = [*GRAPH["links"], {"source": "2_7_2", "target": "0_7_1", "weight": 1.0}]


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (patched(("nodes", 3, "ctx_idx"), 3), "the prompt has no position 3"),
        (patched(("nodes", 3, "layer"), "nine"), "'nine' is no layer"),
        (patched(("nodes", 3, "layer"), "99999"), "is no layer"),
        (patched(("nodes", 3, "feature_type"), "secret"), "'secret' is no known type"),
        (patched(("nodes", 3, "node_id"), "x"), None),
        (
            patched(("nodes", 3), {**feature(0, 7, 1), "node_id": "x", "feature": -1}),
            "which latent",
        ),
        (patched(("nodes", 3, "activation"), 1e300), "less than or equal"),
        (patched(("links", 0, "weight"), 1e30), "less than or equal"),
        (patched(("nodes", 3), {**feature(0, 7, 1), "node_id": "0_16777216_1"}), "which latent"),
        (changed(nodes=[], links=[]), "has no nodes"),
        (patched(("nodes", 3, "influence"), 7.0), "no share"),
        (patched(("nodes", 7, "token_prob"), 1.5), "no probability"),
        (patched(("nodes", 3), feature(2, 7, 2)), "is there twice"),
        (patched(("links", 0, "source"), "nothing"), "names a node that is not there"),
        (patched(("links",), [*GRAPH["links"], GRAPH["links"][0]]), "is there twice"),
        (patched(("links",), CYCLE), "in a circle"),
        (patched(("links", 0, "weight"), "heavy"), "valid number"),
        (patched(("metadata", "prompt_tokens"), "text"), "prompt_tokens"),
        (patched(("nodes", 3, "ctx_idx"), -1), "ctx_idx"),
        (patched(("nodes",), {}), "nodes"),
    ],
)
def test_what_contradicts_itself_is_one_line(
    tmp_path: Path, graph: dict[str, Any], message: str | None
) -> None:
    path = written(tmp_path / "graph.json", graph)
    if message is None:  # what the links name is gone with the id
        message = "names a node that is not there"
    with pytest.raises(SaereportError) as raised:
        import_files([path], tmp_path / "run")
    assert message in raised.value.message
    assert raised.value.message.startswith("graph.json")
    assert "\n" not in raised.value.message
    assert not (tmp_path / "run").exists()


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    text = json.dumps(GRAPH).replace('"weight": 2.0', '"weight": NaN')
    (tmp_path / "graph.json").write_text(text)
    with pytest.raises(SaereportError, match=r"graph\.json"):
        import_files([tmp_path / "graph.json"], tmp_path / "run")


def test_sizes_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = json.dumps(GRAPH)[:-1] + ', "x": ' + "[" * 100 + "]" * 100 + "}"
    (tmp_path / "graph.json").write_text(deep)
    with pytest.raises(SaereportError, match="nested more than"):
        import_files([tmp_path / "graph.json"], tmp_path / "run")
    many = changed(nodes=[feature(0, i, 1) for i in range(graph_files.NODES + 1)], links=[])
    with pytest.raises(SaereportError, match="nodes"):
        import_files([written(tmp_path / "many.json", many)], tmp_path / "run")


def test_graphs_go_together_with_graphs_of_their_model_only(tmp_path: Path) -> None:
    one = written(tmp_path / "one.json", GRAPH)
    other = patched(("metadata", "scan"), "qwen3-4b")
    two = written(tmp_path / "two.json", other)
    with pytest.raises(SaereportError, match="graphs are of two models"):
        import_files([one, two], tmp_path / "run")
    batch = written(tmp_path / "batch-0.json", {"features": []})
    with pytest.raises(SaereportError, match="Import graphs by themselves"):
        import_files([one, batch], tmp_path / "run")
    same = written(tmp_path / "same.json", GRAPH)
    import_files([one, same], tmp_path / "run")
    slugs = open_run(tmp_path / "run").table("prompts")["slug"].to_pylist()
    assert len(set(slugs)) == 2


def test_from_the_command_line(tmp_path: Path) -> None:
    path = written(tmp_path / "graph.json", GRAPH)
    done = CliRunner().invoke(cli, ["import", str(path), "--out", str(tmp_path / "report")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "report" / "circuits" / "austin-is-graph.html").is_file()
    again = CliRunner().invoke(
        cli,
        [
            "export",
            str(tmp_path / "report"),
            "--format",
            "circuit-tracer",
            "--out",
            str(tmp_path / "g"),
        ],
    )
    assert again.exit_code == 0, again.output
