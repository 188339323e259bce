"""The exchange format: its typed model, its coding, and every graph that a report exports."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from saereport.run import open_run
from saereport.site import render
from saereport.site.circuits import neuronpedia_graph as exchange
from saereport.site.circuits.graph_data import DrawnNode
from saereport.site.circuits.graphs import _scan
from saereport.util.errors import SaereportError
from tests.synthetic import Shape, write_run
from tests.synthetic_graph import LARGE, SMALL, GraphShape, graphs

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT.parent / "shared" / "refs" / "neuronpedia-graph.schema.json"
SHAPE = Shape(d_sae=4096, n_chosen=24, n_sequences=80, n_vocabulary=1500, n_saes=3, hostile=True)
HOSTILE = GraphShape(n_tokens=40, hostile=True, slug="hostile", blind=True)


@cache
def reference() -> dict[str, Any]:
    if not REFERENCE.is_file():
        pytest.skip(f"the reference schema is not at {REFERENCE}")
    found: dict[str, Any] = json.loads(REFERENCE.read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graphs") / "run"
    write_run(path, SHAPE, graphs(SMALL, LARGE, HOSTILE))
    return path


@pytest.fixture(scope="module")
def folder(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report") / "report"
    render(run, out)
    return out / "circuits"


def loaded(folder: Path, slug: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{slug}-graph.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("slug", ["small", "large", "hostile"])
def test_every_exported_graph_is_valid_under_the_reference(folder: Path, slug: str) -> None:
    schema = reference()
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(loaded(folder, slug), schema)


def test_the_reference_refuses_what_is_not_a_graph(folder: Path) -> None:
    graph = loaded(folder, "small")
    del graph["nodes"][0]["clerp"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(graph, reference())


@pytest.mark.parametrize("slug", ["small", "large", "hostile"])
def test_an_exported_graph_is_the_table_of_the_run(run: Path, folder: Path, slug: str) -> None:
    opened = open_run(run)
    prompt = next(r for r in opened.table("prompts").to_pylist() if r["slug"] == slug)
    rows = [
        row for row in opened.table("graph_nodes").to_pylist() if row["prompt"] == prompt["prompt"]
    ]
    links = [
        row for row in opened.table("graph_links").to_pylist() if row["prompt"] == prompt["prompt"]
    ]
    graph = loaded(folder, slug)
    assert exchange.GraphFile.model_validate_json(json.dumps(graph)).metadata.slug == slug
    assert [node["node_id"] for node in graph["nodes"]] == [row["id"] for row in rows]
    assert len(graph["metadata"]["prompt_tokens"]) == len(prompt["tokens"])
    assert graph["metadata"]["schema_version"] == 1
    for node, row in zip(graph["nodes"], rows, strict=True):
        assert node["ctx_idx"] == row["position"]
        if row["kind"] == "latent":
            assert cantor_inverse(node["feature"]) == (row["layer"], row["latent"])
            assert node["activation"] == pytest.approx(row["activation"], rel=1e-3)
        if row["kind"] == "error":
            assert -3 < node["feature"] < 0
        if row["kind"] == "logit":
            assert node["token_prob"] == pytest.approx(row["probability"], rel=1e-3)
            assert node["clerp"].endswith(f"(p={row['probability']:.3f})")
        else:
            assert node["influence"] == pytest.approx(row["influence"], rel=1e-3)
    targets = [node for node in graph["nodes"] if node.get("is_target_logit")]
    assert [node["feature"] for node in targets] == [prompt["answer"]]
    ids = [row["id"] for row in rows]
    assert [(k["source"], k["target"]) for k in graph["links"]] == [
        (ids[k["source"]], ids[k["target"]]) for k in links
    ]
    assert [k["weight"] for k in graph["links"]] == pytest.approx(
        [k["weight"] for k in links], rel=1e-3
    )


def test_a_blind_latent_is_not_explained_in_any_file(run: Path, folder: Path) -> None:
    blind = open_run(run).table("blind_latents").to_pylist()[0]
    rows = open_run(run).table("graph_nodes").to_pylist()
    ids = {
        row["id"] for row in rows if (row["sae"], row["latent"]) == (blind["sae"], blind["latent"])
    }
    found = [node for node in loaded(folder, "hostile")["nodes"] if node["node_id"] in ids]
    assert found
    assert {node["clerp"] for node in found} == {""}
    text = (folder / "hostile-graph.js").read_text(encoding="utf-8")
    cards = [line for line in text.split("\n") if '"blind":true' in line]
    assert len(cards) == 1
    assert f"#latent-{blind['latent']}" in cards[0]
    assert '"label":"","on":"","raises":"","max":0' in cards[0]
    assert '"examples":[],"clerp":""' in cards[0]


cantor_inverse = exchange.cantor_inverse
GOOD = DrawnNode(
    node=0,
    id="3_12_1",
    kind="latent",
    sae="",
    layer=3,
    latent=12,
    position=1,
    activation=1.0,
    influence=0.5,
    probability=0.0,
)


def node(sae: str, kind: str, latent: int) -> DrawnNode:
    """One at position 1 of layer 4."""
    place = "4_" if sae in ("", "transcoder") else f"{sae}:"
    own = {"id": f"{place}{latent}_1", "kind": kind, "sae": sae, "layer": 4, "latent": latent}
    return replace(GOOD, **own)


def test_saes_of_one_layer_do_not_share_the_keys_of_viewers() -> None:
    """Neither their latents nor their errors nor what no SAE covers; the transcoder is first."""
    owners = ["attn", "resid", "transcoder"]
    nodes = [
        *(node(sae, "latent", latent) for sae in owners for latent in (0, 3)),
        *(node(sae, "error", -1) for sae in owners),
        replace(node("", "error", -1), id="4_-1_0", position=0),
    ]
    ranks = exchange.ranks_at_layers(nodes)
    assert ranks == {(4, "transcoder"): 0, (4, "attn"): 1, (4, "resid"): 2, (4, ""): 3}
    made = [exchange.node_of(n, clerp="", rank=ranks[n.layer, n.sae]) for n in nodes]
    keys = [(n.layer, n.feature, n.ctx_idx) for n in made]
    assert len(set(keys)) == len(keys)
    found = {n.node_id: n.feature for n in made}
    assert found["4_3_1"] == exchange.cantor(4, 3)
    assert found["4_-1_1"] == -1
    assert all(value < 0 for id_, value in found.items() if ":" in id_)


def test_an_sae_alone_at_its_layer_keeps_the_numbers_of_its_dashboards() -> None:
    nodes = [node("resid", "latent", 3), node("", "error", -1)]
    assert exchange.ranks_at_layers(nodes)[4, "resid"] == 0


def test_two_nodes_with_one_key_are_refused(folder: Path) -> None:
    graph = loaded(folder, "small")
    latents = [n for n in graph["nodes"] if n["feature_type"] == "cross layer transcoder"]
    one = next(n for n in latents if n["feature"] >= 0)
    twin = {**one, "node_id": f"twin:{cantor_inverse(one['feature'])[1]}_{one['ctx_idx']}"}
    broken = {**graph, "nodes": [*graph["nodes"], twin]}
    with pytest.raises(ValidationError, match="take two nodes for one"):
        exchange.GraphFile.model_validate_json(json.dumps(broken))


@pytest.mark.parametrize(
    ("name", "scan"),
    [
        ("HuggingFaceTB/SmolLM2-135M", "SmolLM2-135M"),
        ("gpt2", "gpt2"),
        ("/models/my model", "my-model"),
        ("c:\\models\\é", "-"),
        ("", "model"),
    ],
)
def test_scan_has_the_letters_that_readers_take(name: str, scan: str) -> None:
    assert _scan(name) == scan


@given(st.integers(0, 2**24), st.integers(0, 2**24))
def test_cantor_coding_comes_back(x: int, y: int) -> None:
    assert cantor_inverse(exchange.cantor(x, y)) == (x, y)


def test_cantor_coding_counts_every_pair_once() -> None:
    """Walking the diagonals x + y = 0, 1, 2, ... with y rising numbers the pairs 0, 1, 2, ..."""
    pairs = [(total - y, y) for total in range(40) for y in range(total + 1)]
    assert [exchange.cantor(x, y) for x, y in pairs] == list(range(len(pairs)))


@st.composite
def small_graphs(draw: st.DrawFn) -> exchange.GraphFile:
    texts = st.text(max_size=6)
    tokens = draw(st.lists(texts, min_size=1, max_size=4))
    places = st.integers(0, len(tokens) - 1)
    keys = draw(
        st.sets(
            st.tuples(
                st.sampled_from(["latent", "error", "embedding", "logit"]),
                st.integers(0, 40),
                st.integers(0, 10**6),
                places,
            ),
            max_size=8,
        )
    )
    nodes: dict[str, exchange.GraphNode] = {}
    for kind, layer, latent, position in sorted(keys):
        if kind == "embedding":
            latent = tokens.index(tokens[position])  # there is one token at a position
        index = -1 if kind == "error" else latent
        ids = {
            "latent": f"{layer}_{latent}_{position}"
            if layer % 2
            else f"an-sae:{latent}_{position}",
            "error": f"{layer}_-1_{position}",
            "embedding": f"E_{latent}_{position}",
            "logit": f"99_{latent}_{position}",
        }
        own = DrawnNode(
            node=len(nodes),
            id=ids[kind],
            kind=kind,
            sae="",
            layer=layer,
            latent=index,
            position=position,
            activation=draw(st.floats(0, 100)),
            influence=draw(st.floats(0, 1)),
            probability=draw(st.floats(0, 1)),
        )
        node = exchange.node_of(own, clerp=draw(texts))
        nodes[node.node_id] = node
    ends = st.sampled_from(sorted(nodes)) if nodes else st.nothing()
    weights = st.floats(-50, 50)
    made = st.builds(exchange.GraphLink, source=ends, target=ends, weight=weights)
    links = draw(st.lists(made, max_size=6)) if nodes else []
    return exchange.GraphFile(
        metadata=exchange.Metadata(
            slug="made",
            scan="a-model",
            transcoder_list=("an-sae",),
            prompt_tokens=tuple(tokens),
            prompt="".join(tokens),
            node_threshold=0.8,
            info=exchange.Info(
                description=draw(texts), generator=exchange.Generator(name="test", version="0")
            ),
            pruning_settings=exchange.PruningSettings(node_threshold=0.8, edge_threshold=0.98),
        ),
        qParams=exchange.QParams(),
        nodes=tuple(nodes.values()),
        links=tuple(links),
    )


@settings(max_examples=60, deadline=None)
@given(small_graphs())
def test_any_graph_is_written_as_valid_json(graph: exchange.GraphFile) -> None:
    text = "\n".join(exchange.lines(graph))
    assert not set("<>&\u2028\u2029") & set(text)
    found = json.loads(text)
    jsonschema.validate(found, reference())
    back = exchange.GraphFile.model_validate_json(text)
    assert [node.node_id for node in back.nodes] == [node.node_id for node in graph.nodes]
    assert [node.feature for node in back.nodes] == [node.feature for node in graph.nodes]


@pytest.mark.parametrize(
    "patch",
    [
        {"id": "3_13_1"},
        {"id": "3_12_2"},
        {"id": "3_-1_1"},
        {"id": "E_12_1"},
        {"id": "3_12_1<script>"},
        {"kind": "error"},
        {"kind": "embedding"},
        {"activation": float("nan")},
        {"influence": -0.1},
        {"kind": "logit", "probability": 1.5},
    ],
)
def test_a_node_that_contradicts_itself_is_refused(patch: dict[str, Any]) -> None:
    assert exchange.node_of(GOOD, clerp="").feature == exchange.cantor(3, 12)
    with pytest.raises(ValueError, match=r".+"):
        exchange.node_of(replace(GOOD, **patch), clerp="")


def test_a_graph_that_does_not_hang_together_is_refused(folder: Path) -> None:
    def broken(**patch: Any) -> str:
        return json.dumps({**loaded(folder, "small"), **patch})

    good = loaded(folder, "small")
    nodes, links = good["nodes"], good["links"]
    for patch, reason in (
        ({"nodes": [*nodes, nodes[0]]}, "same id"),
        ({"links": [{**links[0], "source": "3_999999_1"}]}, "is not a node"),
        ({"qParams": {**good["qParams"], "pinnedIds": ["nothing"]}}, "is not a node"),
        ({"qParams": {**good["qParams"], "supernodes": [["name", "nothing"]]}}, "is not a node"),
        ({"metadata": {**good["metadata"], "prompt_tokens": ["one"]}}, "no position"),
    ):
        with pytest.raises(ValidationError, match=reason):
            exchange.GraphFile.model_validate_json(broken(**patch))


def test_equal_runs_give_equal_bytes(run: Path, folder: Path, tmp_path: Path) -> None:
    render(run, tmp_path / "again")
    for path in sorted(folder.glob("*-graph.*")):
        assert (tmp_path / "again" / "circuits" / path.name).read_bytes() == path.read_bytes()


def test_a_damaged_graph_is_one_clear_line(tmp_path: Path) -> None:
    def damage(writer: Any, shape: Shape, shown: dict[str, Any]) -> None:
        class Broken:
            def write(self, name: str, columns: dict[str, Any]) -> None:
                if name == "graph_nodes":
                    columns["id"][8] = columns["id"][7]
                writer.write(name, columns)

        graphs(SMALL)(Broken(), shape, shown)  # type: ignore[arg-type]

    write_run(tmp_path / "run", SHAPE, damage)
    with pytest.raises(SaereportError, match="attribution graph of 'small'"):
        render(tmp_path / "run", tmp_path / "out")
