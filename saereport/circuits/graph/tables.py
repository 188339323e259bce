"""What an attribution graph is, and the tables in which a run stores it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saereport.circuits.graph.effects import Effects
from saereport.circuits.graph.interventions import Checks, GraphMetric
from saereport.circuits.graph.scene import GraphSettings
from saereport.circuits.graph.scores import EMBEDDING, ERROR, LATENT, LOGIT, Pruned

KIND_NAMES = {EMBEDDING: "embedding", LATENT: "latent", ERROR: "error", LOGIT: "logit"}
"""Kinds of nodes as the tables name them, in the order in which they are listed."""


@dataclass(frozen=True, eq=False)
class Graph:
    """An attribution graph.

    Attributes:
        settings: How it was made.
        slugs: The SAEs that take part, the shallowest first.
        plain_ids: For each, whether its nodes are named by layer and latent alone; the others'
            names begin with the SAE's, so that no two are the same.
        refused: SAEs that could not take part, by slug, and why.
        n_layers: Layers of the model.
        effects: All nodes and the direct effects between them.
        pruned: What is kept of them.
        replacement: Replacement score.
        completeness: Completeness score.
        checks: Links, checked by intervention.
        metric: A logit with and without the graph's latents.
    """

    settings: GraphSettings
    slugs: tuple[str, ...]
    plain_ids: tuple[bool, ...]
    refused: dict[str, str]
    n_layers: int
    effects: Effects
    pruned: Pruned
    replacement: float
    completeness: float
    checks: Checks
    metric: GraphMetric


def graph_tables(graph: Graph) -> dict[str, dict[str, Any]]:
    """Tables `graphs`, `graph_nodes`, `graph_links`, `graph_checks`, without their `prompt`."""
    nodes = graph.effects.nodes
    kept = _listed(graph)
    number = np.full(len(nodes), -1, dtype=np.int64)
    number[kept] = np.arange(len(kept))
    links = graph.pruned.links.tocoo()
    targets, sources = number[links.row], number[links.col]
    order = np.lexsort((sources, targets))
    latents = nodes.kinds == LATENT
    slugs = ["", *graph.slugs]
    return {
        "graphs": {
            "saes": [list(graph.slugs)],
            "n_active": [int(latents.sum())],
            "n_expanded": [int((latents & graph.effects.expanded).sum())],
            "left_out": [graph.effects.left_out],
            "n_nodes_all": [len(nodes)],
            "n_nodes": [len(kept)],
            "n_links": [links.nnz],
            "node_threshold": [graph.settings.node_threshold],
            "edge_threshold": [graph.settings.edge_threshold],
            "replacement": [graph.replacement],
            "completeness": [graph.completeness],
            "metric": [graph.metric.words],
            "metric_model": [graph.metric.model],
            "metric_inside": [graph.metric.inside],
            "metric_outside": [graph.metric.outside],
            "metric_none": [graph.metric.none],
        },
        "graph_nodes": {
            "node": np.arange(len(kept)),
            "id": [node_id(graph, int(k)) for k in kept],
            "kind": [KIND_NAMES[int(kind)] for kind in nodes.kinds[kept]],
            "sae": [slugs[part + 1] for part in nodes.parts[kept]],
            "layer": nodes.layers[kept],
            "latent": nodes.latents[kept],
            "position": nodes.positions[kept],
            "activation": nodes.activations[kept],
            "influence": graph.pruned.held[kept],
            "probability": nodes.probabilities[kept],
        },
        "graph_links": {
            "source": sources[order],
            "target": targets[order],
            "weight": links.data[order],
        },
        "graph_checks": {
            "rank": np.arange(len(graph.checks.sources)),
            "source": number[graph.checks.sources],
            "target": number[graph.checks.targets],
            "direct": graph.checks.direct,
            "predicted": graph.checks.predicted,
            "measured": graph.checks.measured,
        },
    }


def node_id(graph: Graph, node: int) -> str:
    """A node's name: `{layer}_{latent}_{position}`, with variations.

    The latent is -1 for an error. Embeddings are `E_{token}_{position}`; a logit's layer is one
    above the layer after the last. Where SAEs do not stand for an MLP, the SAE's name and a colon
    stand in place of the layer, so that no two nodes have one name.
    """
    nodes = graph.effects.nodes
    kind, part = int(nodes.kinds[node]), int(nodes.parts[node])
    rest = f"{nodes.latents[node]}_{nodes.positions[node]}"
    if kind == EMBEDDING:
        return f"E_{rest}"
    if kind == LOGIT:
        return f"{graph.n_layers + 1}_{rest}"
    if part >= 0 and not graph.plain_ids[part]:
        return f"{graph.slugs[part]}:{rest}"
    return f"{nodes.layers[node]}_{rest}"


def _listed(graph: Graph) -> NDArray[np.int64]:
    """The kept nodes by kind, then by layer, place, position and latent; logits by probability."""
    nodes = graph.effects.nodes
    kept = np.flatnonzero(graph.pruned.nodes)
    rank = {kind: k for k, kind in enumerate(KIND_NAMES)}
    kinds = np.array([rank[int(kind)] for kind in nodes.kinds[kept]], dtype=np.int64)
    keys = (
        nodes.latents[kept],
        nodes.positions[kept],
        nodes.parts[kept],
        nodes.layers[kept],
        -nodes.probabilities[kept],
        kinds,
    )
    return kept[np.lexsort(keys)]
