"""Attribution graphs of two runs on one prompt, compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from saereport.diff.columns import numbers
from saereport.diff.edges import EdgeMap, joined
from saereport.diff.gradients import Place, is_coarse
from saereport.diff.model import EdgeChange
from saereport.diff.vocabularies import SharedVocabulary
from saereport.run import Run

MARGIN = 0.1
"""Cumulative influence by which a node must lie inside the other side's limit to be missed there.

Nodes near the limit come and go with the smallest change of anything.
"""

Node = tuple[str, str, int, int, int]
"""Kind, SAE, layer, latent (or token, in the numbering of both runs), position."""


@dataclass(frozen=True)
class StoredGraph:
    """One graph of one run.

    Attributes:
        saes: The SAEs in it, as both runs call them, sorted.
        nodes: Its nodes, by their number.
        influence: float64, cumulative influence of each node.
        links: int64[m, 2], source and target, by number.
        weights: float64[m].
        limit: Cumulative influence up to which nodes were kept.
        coarse: Whether the numbers are so coarse that a latent may be on or off.
        replacement: Replacement score.
        completeness: Completeness score.
    """

    saes: tuple[str, ...]
    nodes: tuple[Node, ...]
    influence: NDArray[np.float64]
    links: NDArray[np.int64]
    weights: NDArray[np.float64]
    limit: float
    coarse: bool
    replacement: float
    completeness: float


def graphs(
    run: Run, vocabulary: SharedVocabulary, names: Mapping[str, str]
) -> dict[int, StoredGraph]:
    """The graphs of a run, by prompt.

    Args:
        run: The run.
        vocabulary: Its tokens.
        names: What both runs call an SAE of this run, for those whose latents mean the same; the
            others keep their slug behind a `?`, which no slug of the other run equals.
    """
    if not all(run.has(name) for name in ("graphs", "graph_nodes", "graph_links")):
        return {}
    nodes, links = run.table("graph_nodes"), run.table("graph_links")
    found = {}
    for row in run.table("graphs").to_pylist():
        own = nodes.filter(pc.equal(nodes.column("prompt"), row["prompt"]))
        held = links.filter(pc.equal(links.column("prompt"), row["prompt"]))
        number = {int(node): at for at, node in enumerate(numbers(own, "node"))}
        ends = np.stack([numbers(held, name) for name in ("source", "target")], axis=1)
        known = np.array([a in number and b in number for a, b in ends.tolist()], bool)
        places = [[number[a], number[b]] for a, b in ends[known].tolist()]
        found[row["prompt"]] = StoredGraph(
            saes=tuple(sorted(names.get(slug, f"?{slug}") for slug in row["saes"])),
            nodes=tuple(_node(node, vocabulary, names) for node in own.to_pylist()),
            influence=numbers(own, "influence"),
            links=np.array(places, np.int64).reshape(-1, 2),
            weights=np.nan_to_num(numbers(held, "weight")[known]),
            limit=row["node_threshold"],
            coarse=is_coarse(run),
            replacement=row["replacement"],
            completeness=row["completeness"],
        )
    return found


def _node(
    row: Mapping[str, object], vocabulary: SharedVocabulary, names: Mapping[str, str]
) -> Node:
    kind, sae, latent = str(row["kind"]), str(row["sae"]), int(str(row["latent"]))
    if kind in ("embedding", "logit"):
        latent = int(vocabulary.to_common(np.array([latent]))[0])
    name = names.get(sae, f"?{sae}") if sae else ""
    # A logit's position is the prompt's last, and a layer is the model's own number.
    return kind, name, int(str(row["layer"])), latent, int(str(row["position"]))


def _hidden(
    other: StoredGraph, known: Mapping[Node, int], graph: StoredGraph
) -> NDArray[np.float64]:
    """float64[m]: the weight that each link of `graph` may have in `other`, unseen.

    Links into one node are pruned from the weakest up, so one that was pruned between two nodes
    that were kept is no stronger than the weakest that was kept into the same node. A node that
    is not there was pruned, unless its influence in `graph` is well inside the other's limit: then
    it is gone, and its links with it.
    """
    weakest = np.full(len(known), np.inf)
    targets = np.array([known[other.nodes[t]] for t in other.links[:, 1]], np.int64)
    np.minimum.at(weakest, targets, np.abs(other.weights))
    result = np.zeros(len(graph.links))
    limit = -np.inf if other.coarse or graph.coarse else other.limit - MARGIN
    for i, (source, target) in enumerate(graph.links.tolist()):
        absent = [end for end in (source, target) if graph.nodes[end] not in known]
        if not absent:
            result[i] = weakest[known[graph.nodes[target]]]
        elif any(graph.influence[end] > limit for end in absent):
            result[i] = np.inf
    return result


def changed_links(
    before: StoredGraph,
    after: StoredGraph,
    place: Place,
    token: Callable[[int], str],
    tolerance: float,
) -> list[EdgeChange]:
    """The links that changed, of two graphs over the same SAEs.

    Args:
        before: The graph before.
        after: The graph after.
        place: Shows a position.
        token: Shows a token, in the numbering that both runs share.
        tolerance: Sizes up to this are noise.
    """
    sides = (before, after)
    known = [{node: at for at, node in enumerate(side.nodes)} for side in sides]
    number = {node: at for at, node in enumerate(dict.fromkeys((*before.nodes, *after.nodes)))}
    maps = []
    for side in sides:
        shared = np.array([number[node] for node in side.nodes], np.int64)
        maps.append(EdgeMap(shared[side.links].reshape(-1, 2), side.weights))
    hidden = (
        _hidden(after, known[1], before),
        _hidden(before, known[0], after),
    )
    found = joined(maps[0], maps[1], hidden, tolerance)
    changes = []
    for i, change in enumerate(found.changes):
        one, two = int(found.before[i]), int(found.after[i])
        graph, row = (before, one) if one >= 0 else (after, two)
        early, late = (graph.nodes[end] for end in graph.links[row].tolist())
        changes.append(
            EdgeChange(
                kind="graph",
                early=_shown(early, place, token),
                late=_shown(late, place, token),
                before=float(before.weights[one]) if one >= 0 else None,
                after=float(after.weights[two]) if two >= 0 else None,
                change=change,
                size=float(found.sizes[i]),
            )
        )
    return changes


def _shown(node: Node, place: Place, token: Callable[[int], str]) -> str:
    kind, sae, layer, latent, position = node
    if kind == "logit":
        return f'logit "{token(latent)}"'
    if kind == "embedding":
        return f"token {place(position)}"
    if kind == "error":
        return f"error {sae or f'layer {layer}'} {place(position)}"
    return f"{sae} {latent} {place(position)}"
