"""Synthetic prompts with attribution graphs, for runs of `tests.synthetic`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from saereport.run import RunWriter
from tests.synthetic import HOSTILE, Extra, Shape

N_LAYERS = 30


@dataclass(frozen=True)
class GraphShape:
    """How large a graph is.

    Attributes:
        n_tokens: Length of the prompt, BOS included.
        n_latents: Latents in the graph, spread over SAEs and positions.
        n_links: Links at most.
        n_logits: Logits.
        error_layers: Layers with error nodes that no SAE covers.
        n_checks: Links checked by intervention.
        hostile: Whether the prompt is made of hostile tokens.
        slug: Name of the prompt in addresses.
        blind: Whether the first latent of the graph is a blind case study.
        outside: The metric with the graph's latents switched off; 2.1 with all switched off.
        token_links: Whether any link comes from a token.
    """

    n_tokens: int = 7
    n_latents: int = 12
    n_links: int = 60
    n_logits: int = 3
    error_layers: tuple[int, ...] = (1, 5, 20)
    n_checks: int = 8
    hostile: bool = False
    slug: str = "small"
    blind: bool = False
    outside: float = 3.4
    token_links: bool = True


SMALL = GraphShape()
LARGE = GraphShape(
    n_tokens=14,
    n_latents=230,
    n_links=3000,
    n_logits=8,
    error_layers=tuple(range(0, 30, 3)),
    n_checks=20,
    slug="large",
)


def graphs(*shapes: GraphShape) -> Extra:
    """Tables of prompts and their graphs, one prompt for each shape."""

    def write(writer: RunWriter, shape: Shape, shown: dict[str, Any]) -> None:
        made = [_graph(k, item, shape, shown) for k, item in enumerate(shapes)]
        for name in dict.fromkeys(name for tables in made for name in tables):
            rows = [row for tables in made for row in tables.get(name, [])]
            if rows:
                writer.write(name, {key: [row[key] for row in rows] for key in rows[0]})

    return write


def _graph(number: int, item: GraphShape, shape: Shape, shown: dict[str, Any]) -> dict[str, Any]:
    rng = np.random.default_rng([shape.seed, number, 7])
    tokens = [0, *_tokens(item, shape, rng)]
    nodes = _nodes(item, list(shown), shape, shown, tokens, rng)
    links = _links(item, nodes, rng)
    name = f"Prompt {number}" + (" <i>&\u202e" if item.hostile else "")
    for node in nodes:
        node.pop("depth")
    prompt = {
        "prompt": number,
        "slug": item.slug,
        "name": name,
        "kind": "text",
        "tokens": tokens,
        "counted": [k > 0 for k in range(len(tokens))],
        "answer": nodes[-1]["latent"],
        "answer_note": "",
        "period": 0,
        "first": 0,
    }
    row = {
        "prompt": number,
        "saes": list(shown),
        "n_active": 4 * item.n_latents,
        "n_expanded": 3 * item.n_latents,
        "left_out": 0.031,
        "n_nodes_all": 5 * len(nodes),
        "n_nodes": len(nodes),
        "n_links": len(links),
        "node_threshold": 0.8,
        "edge_threshold": 0.98,
        "replacement": 0.413,
        "completeness": 0.738,
        "metric": "logit of the most likely token, less the mean logit",
        "metric_model": 11.2,
        "metric_inside": 8.9,
        "metric_outside": item.outside,
        "metric_none": 2.1,
    }
    tables = {
        "prompts": [prompt],
        "graphs": [row],
        "graph_nodes": [{"prompt": number, "node": k, **n} for k, n in enumerate(nodes)],
        "graph_links": [{"prompt": number, **link} for link in links],
        "graph_checks": _checks(number, item, nodes, links, rng),
    }
    if item.blind:
        latents = (node for node in nodes if node["kind"] == "latent")
        first = next(node for node in latents if node["latent"] in shown[node["sae"]])
        tables["blind_latents"] = [{"sae": first["sae"], "latent": first["latent"], "reveal": True}]
    return tables


def _tokens(item: GraphShape, shape: Shape, rng: Any) -> Sequence[int]:
    if item.hostile:
        return [257 + k % (4 * len(HOSTILE)) for k in range(item.n_tokens - 1)]
    found: list[int] = rng.integers(300, 300 + 400, item.n_tokens - 1).tolist()
    return found


def _nodes(
    item: GraphShape, saes: list[str], shape: Shape, shown: dict[str, Any], tokens: Any, rng: Any
) -> list[dict[str, Any]]:
    last = len(tokens) - 1
    layers = {slug: 3 + 3 * k for k, slug in enumerate(saes)}
    rows: list[dict[str, Any]] = []

    def add(
        id: str, kind: str, layer: int, latent: int, position: int, depth: int, **own: Any
    ) -> None:
        fields = {"sae": "", "activation": 0.0, "influence": 0.0, "probability": 0.0, **own}
        rows.append(
            {
                "id": id,
                "kind": kind,
                "layer": layer,
                "latent": latent,
                "position": position,
                "depth": depth,
                **fields,
            }
        )

    for position, token in enumerate(tokens):
        add(f"E_{token}_{position}", "embedding", -1, token, position, -1)
    taken: set[tuple[str, int, int]] = set()
    while len(taken) < item.n_latents:
        slug = saes[int(rng.integers(len(saes)))]
        pool = shown[slug] if rng.random() < 0.6 else np.arange(shape.d_sae)
        latent = int(pool[int(rng.integers(len(pool)))])
        position = min(last, 1 + int(last * rng.beta(2.2, 1.1)))
        taken.add((slug, latent, position))
    for slug, latent, position in sorted(taken):
        layer = layers[slug]
        active = float(rng.gamma(4, 0.8))
        id = f"{_place(slug, layer)}{latent}_{position}"
        add(id, "latent", layer, latent, position, layer, sae=slug, activation=active)
    for layer in sorted({*item.error_layers, *layers.values()}):
        slug = next((s for s, found in layers.items() if found == layer), "")
        for position in range(1, len(tokens)):
            if rng.random() < 0.4:
                add(
                    f"{_place(slug, layer)}-1_{position}",
                    "error",
                    layer,
                    -1,
                    position,
                    layer,
                    sae=slug,
                )
    inner = [row for row in rows if row["kind"] != "logit"]
    order = rng.permutation(len(inner))
    held = 0.8 * np.cumsum(np.sort(rng.pareto(1.4, len(inner)))[::-1])
    for place, share in zip(order, held / held[-1], strict=True):
        inner[place]["influence"] = float(share * 0.8)
    probability = np.sort(rng.dirichlet(np.full(item.n_logits, 0.6)))
    for k in range(item.n_logits):
        token = 600 + 2 * k
        top = N_LAYERS + 1
        add(
            f"{top}_{token}_{last}", "logit", N_LAYERS, token, last, top, probability=probability[k]
        )
    return rows


def _place(slug: str, layer: int) -> str:
    return f"{layer}_" if not slug or slug.endswith("transcoder") else f"{slug}:"


def _links(item: GraphShape, nodes: list[dict[str, Any]], rng: Any) -> list[dict[str, Any]]:
    depth = np.array([node["depth"] for node in nodes])
    position = np.array([node["position"] for node in nodes])
    fits = (depth[None, :] < depth[:, None]) & (position[None, :] <= position[:, None])
    if not item.token_links:
        fits &= (depth >= 0)[None, :]
    targets, sources = np.nonzero(fits)
    keep = np.sort(rng.permutation(len(targets))[: item.n_links])
    weights = rng.standard_t(2.2, len(keep)) * 0.6
    return [
        {"source": int(s), "target": int(t), "weight": float(np.float32(w))}
        for s, t, w in zip(sources[keep], targets[keep], weights, strict=True)
    ]


def _checks(
    number: int,
    item: GraphShape,
    nodes: list[dict[str, Any]],
    links: list[dict[str, Any]],
    rng: Any,
) -> list[dict[str, Any]]:
    own = [link for link in links if nodes[link["source"]]["kind"] == "latent"]
    own.sort(key=lambda link: -abs(link["weight"]))
    return [
        {
            "prompt": number,
            "rank": rank,
            "source": link["source"],
            "target": link["target"],
            "direct": link["weight"],
            "predicted": -1.2 * link["weight"],
            "measured": -link["weight"] * float(rng.normal(0.95, 0.35)) * (-1 if rank == 5 else 1),
        }
        for rank, link in enumerate(own[: item.n_checks])
    ]


def scores_of(graph: dict[str, Any]) -> dict[tuple[str, str], float]:
    """The score of each link by its ends, from the exported graph and dense matrices."""
    places = {node["node_id"]: k for k, node in enumerate(graph["nodes"])}
    weights = np.zeros((len(places), len(places)))
    for link in graph["links"]:
        weights[places[link["target"]], places[link["source"]]] = abs(link["weight"])
    sums = weights.sum(axis=1, keepdims=True)
    shares = np.divide(weights, sums, out=np.zeros_like(weights), where=sums > 0)
    probabilities = np.array([node.get("token_prob", 0.0) for node in graph["nodes"]])
    reach = np.linalg.solve((np.eye(len(places)) - shares).T, probabilities)
    found = shares * reach[:, None]
    ends = [(link["source"], link["target"]) for link in graph["links"]]
    return {(s, t): float(found[places[t], places[s]]) for s, t in ends}
