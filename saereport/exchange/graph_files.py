"""Attribution graphs as JSON, of circuit-tracer or Neuronpedia: read, and understood.

What the format says in strings and coded numbers is turned into nodes that name an SAE, a latent
and a position. A file may come from anyone: sizes are limited, and what contradicts itself is
refused.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from saereport.exchange.limits import (
    BIG,
    DOCUMENT,
    LARGEST_INDEX,
    Count,
    Given,
    Name,
    Number,
    Text,
    Tokens,
    parsed,
)
from saereport.site.circuits.neuronpedia_graph import cantor, cantor_inverse
from saereport.util.errors import SaereportError
from saereport.util.untrusted import parse_json

NODES, LINKS = 50_000, 1_000_000
LATENT, ERROR, EMBEDDING, LOGIT = "latent", "error", "embedding", "logit"
KINDS = {
    "cross layer transcoder": LATENT,
    "unexplored node": LATENT,
    "lorsa": LATENT,
    "mlp reconstruction error": ERROR,
    "lorsa error": ERROR,
    "embedding": EMBEDDING,
    "logit": LOGIT,
}
PASSED_OVER = ("bias", "unknown")
"""Types of nodes that stand for nothing that a run knows."""
_ID = re.compile(
    r"(?:(?P<layer>\d{1,4})_|(?P<sae>[a-z0-9][a-z0-9._-]{0,60}):)(?P<latent>\d{1,9})_\d{1,9}"
)
_NAMED_ERROR = re.compile(r"(?P<sae>[a-z0-9][a-z0-9._-]{0,60}):-1_\d{1,9}")
_OUTPUT = re.compile(
    r"output:? (?:\"(?P<a>.*)\"|'(?P<b>.*)') \(p=[0-9.e-]+\)", re.DOTALL | re.IGNORECASE
)
_MOST_LAYERS = 4_000
Weight = Annotated[float, Field(ge=-0.9 * BIG, le=0.9 * BIG)]
"""Not so large that it is over a run's limit once it is rounded to float32."""


class GivenDetails(Given):
    """Where dashboards of the latents are."""

    neuronpedia_source_set: Name | None = None
    neuronpedia_lorsa_source_set: Name | None = None


class GivenPruning(Given):
    """The shares of influence that were kept."""

    node_threshold: Number | None = None
    edge_threshold: Number | None = None


class GivenMetadata(Given):
    """What a graph is of."""

    slug: Name = ""
    scan: Name = ""
    prompt: Text = ""
    prompt_tokens: Tokens
    node_threshold: Number | None = None
    feature_details: GivenDetails | None = None
    pruning_settings: GivenPruning | None = None


class FileNode(Given):
    """A node."""

    node_id: Name
    feature: Annotated[int, Field(ge=-(2**62), le=2**62)] | None = None
    layer: Name | Count
    ctx_idx: Count
    feature_type: Name
    token_prob: Number | None = None
    is_target_logit: bool | None = None
    clerp: Text | None = None
    influence: Number | None = None
    activation: Weight | None = None


class FileLink(Given):
    """A link."""

    source: Name
    target: Name
    weight: Weight


class GraphDocument(Given):
    """A whole file."""

    metadata: GivenMetadata
    nodes: Annotated[tuple[FileNode, ...], Field(max_length=NODES, fail_fast=True)]
    links: Annotated[tuple[FileLink, ...], Field(max_length=LINKS, fail_fast=True)]


@dataclass(frozen=True)
class GivenNode:
    """A node as it is understood.

    Attributes:
        kind: `embedding`, `latent`, `error` or `logit`.
        sae: The SAE, by the name that this module gives it; empty where none covers an error.
        layer: -1 for a token; of a logit the number of layers.
        latent: Index of a latent; -1 otherwise.
        word: Of a token or an output what it says.
        position: Place in the prompt.
        target: Whether it is the output that was asked about.
        listed: Whether its layer and latent are what viewers look for in the file's source set.
    """

    kind: str
    sae: str
    layer: int
    latent: int
    word: str
    position: int
    activation: float
    influence: float | None
    probability: float
    target: bool
    listed: bool
    label: str


@dataclass(frozen=True)
class GivenGraph:
    """A graph as it is understood.

    Attributes:
        metadata: What the file says of it.
        nodes: Tokens, then latents and errors by layer, then outputs.
        influences: The cumulative influence of each node.
        links: Source and target, as places among the nodes, and weight; by target, then source.
        notes: What was passed over or computed here.
    """

    metadata: GivenMetadata
    nodes: tuple[GivenNode, ...]
    influences: tuple[float, ...]
    links: tuple[tuple[int, int, float], ...]
    notes: dict[str, str] = field(default_factory=dict)


def is_graph(text: bytes, where: str) -> bool:
    """Whether JSON is a graph, by its keys.

    Raises:
        SaereportError: It is no JSON, or over a limit.
    """
    if not all(key in text for key in (b'"metadata"', b'"nodes"', b'"links"')):
        return False
    value = parse_json(text, where, DOCUMENT)
    return isinstance(value, dict) and {"metadata", "nodes", "links"} <= set(value)


def read_graph(text: bytes, where: str) -> GivenGraph:
    """A graph.

    Raises:
        SaereportError: It is damaged, over a limit, or contradicts itself; says where.
    """
    return _Reading(parsed(GraphDocument, text, where, DOCUMENT), where).graph()


class _Reading:
    """The parts of one file as they are understood."""

    def __init__(self, document: GraphDocument, where: str) -> None:
        self.document, self.where = document, where
        self.notes: dict[str, str] = {}
        kept = [(i, n) for i, n in enumerate(document.nodes) if n.feature_type not in PASSED_OVER]
        self.passed = {n.node_id for n in document.nodes if n.feature_type in PASSED_OVER}
        covered = {self._owner(n, i) for i, n in kept if KINDS.get(n.feature_type) == LATENT}
        self.outputs: Counter[str] = Counter()
        made = [(node, self._node(node, i, covered)) for i, node in kept]
        order = sorted(range(len(made)), key=lambda i: (_depth(made[i][1]), i))
        self.files = [made[i][0] for i in order]
        self.nodes = [made[i][1] for i in order]

    def graph(self) -> GivenGraph:
        """The whole."""
        if not self.nodes:
            raise SaereportError(f"{self.where}: the graph has no nodes.")
        keys = Counter((n.kind, n.sae, n.layer, n.latent, n.word, n.position) for n in self.nodes)
        twice = next((key for key, count in keys.items() if count > 1), None)
        if twice:
            raise self._wrong(f"a node of kind '{twice[0]}' at position {twice[-1]} is there twice")
        links = self._links()
        return GivenGraph(
            self.document.metadata, tuple(self.nodes), self._influences(links), links, self.notes
        )

    def _wrong(self, what: str) -> SaereportError:
        return SaereportError(f"{self.where}: {what}.", "Is it a graph of another version?")

    def _layer(self, node: FileNode, place: int) -> int:
        text = str(node.layer)
        if node.feature_type == "embedding":
            return -1
        if not (text.isascii() and text.isdigit() and int(text) <= _MOST_LAYERS):
            raise self._wrong(f"nodes.{place}: '{text[:40]}' is no layer")
        return int(text)

    def _owner(self, node: FileNode, place: int) -> str:
        """The SAE that a latent or an error is of."""
        named = (_ID if KINDS[node.feature_type] == LATENT else _NAMED_ERROR).fullmatch(
            node.node_id
        )
        if named and named["sae"]:
            return named["sae"]
        sort = "lorsa" if node.feature_type.startswith("lorsa") else "transcoder"
        return f"{sort}-l{self._layer(node, place)}"

    def _latent(self, node: FileNode, layer: int, place: int) -> int:
        named = _ID.fullmatch(node.node_id)
        found = -1
        if named and (named["sae"] or int(named["layer"]) == layer):
            found = int(named["latent"])
        elif node.feature is not None and node.feature >= 0:
            coded = cantor_inverse(node.feature)
            found = coded[1] if coded[0] == layer else -1
        if not 0 <= found <= LARGEST_INDEX:
            raise self._wrong(
                f"nodes.{place}: '{node.node_id[:60]}' does not say which latent it is"
            )
        return found

    def _node(self, node: FileNode, place: int, covered: set[str]) -> GivenNode:
        kind = KINDS.get(node.feature_type)
        if kind is None:
            raise self._wrong(f"nodes.{place}: '{node.feature_type[:60]}' is no known type of node")
        tokens = self.document.metadata.prompt_tokens
        if node.ctx_idx >= len(tokens):
            raise self._wrong(f"nodes.{place}: the prompt has no position {node.ctx_idx:,}")
        layer = self._layer(node, place)
        probability = node.token_prob or 0.0
        if not 0 <= probability <= 1:
            raise self._wrong(f"nodes.{place}: {probability} is no probability")
        sae = self._owner(node, place) if kind in (LATENT, ERROR) else ""
        latent = self._latent(node, layer, place) if kind == LATENT else -1
        # Of an SAE beside its layer's transcoder the number says that there is no dashboard.
        plain = ":" not in node.node_id
        word = tokens[node.ctx_idx] if kind == EMBEDDING else ""
        return GivenNode(
            kind=kind,
            sae=sae if kind == LATENT or sae in covered else "",
            layer=max(0, layer - 1) if kind == LOGIT else layer,
            latent=latent,
            word=self._output(node) if kind == LOGIT else word,
            position=node.ctx_idx,
            activation=(node.activation or 0.0) if kind == LATENT else 0.0,
            influence=node.influence,
            probability=probability if kind == LOGIT else 0.0,
            target=bool(node.is_target_logit) and kind == LOGIT,
            listed=kind == LATENT and (plain or node.feature == cantor(layer, latent)),
            label=" ".join((node.clerp or "").split()) if kind == LATENT else "",
        )

    def _output(self, node: FileNode) -> str:
        said = _OUTPUT.fullmatch(node.clerp or "")
        number = f"<token {node.feature}>"
        word = (said["a"] or said["b"] or "")[:1_000] if said else number
        self.outputs[word] += 1
        return word if self.outputs[word] == 1 else f"{word} {number}"[:1_000]

    def _links(self) -> tuple[tuple[int, int, float], ...]:
        places: dict[str, list[int]] = {}
        for place, file in enumerate(self.files):
            places.setdefault(file.node_id, []).append(place)
        found: dict[tuple[int, int], float] = {}
        unclear = passed = 0
        for number, link in enumerate(self.document.links):
            if link.source in self.passed or link.target in self.passed:
                passed += 1
                continue
            sources, targets = places.get(link.source, []), places.get(link.target, [])
            if len(targets) > 1:
                # Nothing leads into an error, so a target that shares its id with one is clear.
                targets = [i for i in targets if self.nodes[i].kind != ERROR]
            if not sources or not targets:
                raise self._wrong(f"links.{number} names a node that is not there")
            if len(sources) > 1 or len(targets) > 1:
                unclear += 1
                continue
            if (targets[0], sources[0]) in found:
                raise self._wrong(f"links.{number} is there twice")
            found[targets[0], sources[0]] = link.weight
        if unclear:
            self.notes["links"] = f"{unclear:,} links name an id that two nodes have; left out"
        if self.passed:
            self.notes["nodes"] = (
                f"{len(self.passed):,} nodes that stand for biases or for what is not known, and "
                f"{passed:,} links of theirs, are left out"
            )
        return tuple((source, target, found[target, source]) for target, source in sorted(found))

    def _influences(self, links: Sequence[tuple[int, int, float]]) -> tuple[float, ...]:
        """Those of the file, or where it lacks some, computed from its links."""
        reach = self._reach(links)
        inner = np.array([node.kind != LOGIT for node in self.nodes], bool)
        given = [node.influence for node in self.nodes]
        if all(value is not None for value, inside in zip(given, inner, strict=True) if inside):
            values = [
                value or 0.0 if inside else 0.0 for value, inside in zip(given, inner, strict=True)
            ]
            if any(not -1e-3 <= value <= 1 + 1e-3 for value in values):
                raise self._wrong("an influence is no share")
            return tuple(min(1.0, max(0.0, value)) for value in values)
        self.notes["influence"] = (
            "the file does not give the influence of every node; it is computed from the links "
            "that the file has"
        )
        own = np.where(inner, reach, 0.0)
        order = np.argsort(-own, kind="stable")
        shares = np.zeros(len(own))
        shares[order] = np.cumsum(own[order]) / (own.sum() or 1.0)
        return tuple(np.where(inner, np.minimum(shares, 1.0), 0.0).tolist())

    def _reach(self, links: Sequence[tuple[int, int, float]]) -> NDArray[np.float64]:
        """The influence of each node on the outputs, and a look for cycles."""
        n = len(self.nodes)
        ordered = sorted(links)
        sources = np.array([source for source, _, _ in ordered], np.int64)
        targets = np.array([target for _, target, _ in ordered], np.int64)
        sizes = np.abs(np.array([weight for _, _, weight in ordered], np.float64))
        starts = np.searchsorted(sources, np.arange(n + 1))
        order = _in_order(targets, starts, self._wrong("its links lead in a circle"))
        sums = np.bincount(targets, sizes, n)
        shares = sizes / np.where(sums == 0, 1.0, sums)[targets]
        total = np.array([node.probability for node in self.nodes])
        # Each link once, however long the paths are.
        for node in reversed(order):
            own = slice(starts[node], starts[node + 1])
            total[node] += shares[own] @ total[targets[own]]
        return total


def _depth(node: GivenNode) -> tuple[int, int, int]:
    order = {EMBEDDING: 0, LATENT: 1, ERROR: 1, LOGIT: 2}[node.kind]
    return order, node.layer, int(node.kind == ERROR)


def _in_order(
    targets: NDArray[np.int64], starts: NDArray[np.int64], wrong: SaereportError
) -> list[int]:
    """The nodes, sources before targets: what nothing leads into is taken away, and again.

    Args:
        targets: Of all links, by source.
        starts: Where the links of each source begin among them, and where the last ones end.
        wrong: Raised where the links lead in a circle.
    """
    n = len(starts) - 1
    waiting = np.bincount(targets, minlength=n)
    open_ = np.flatnonzero(waiting == 0).tolist()
    done = []
    while open_:
        node = open_.pop()
        done.append(node)
        for target in targets[starts[node] : starts[node + 1]].tolist():
            waiting[target] -= 1
            if waiting[target] == 0:
                open_.append(target)
    if len(done) < n:
        raise wrong
    return done
