"""The JSON format in which attribution graphs are exchanged, as typed models.

It is the format that Neuronpedia's graph viewer opens and that other tools for attribution graphs
write, version 1. What is peculiar to it:

- `node_id` is `{layer}_{latent}_{position}`, for an error `{layer}_-1_{position}`, for a token
  `E_{token}_{position}`; a logit stands one layer above the layer after the last. A layer has one
  transcoder; for SAEs at other places `{name}:` stands for `{layer}_`, so that ids stay unique.
- `layer` is a string, `E` for tokens.
- `feature` of a latent is its layer and index in one number, by Cantor's pairing function; of a
  token its position, of a logit the token, of an error -1. Viewers keep nodes apart by
  `{layer}_{feature}_{position}` alone. So where a layer has several SAEs, only the first is
  numbered so, whose dashboards they look for; the latents and errors of the others have negative
  numbers of their own.
- `scan` has letters, digits, `_`, `.` and `-` only.
- There are four values of `feature_type`. Every latent, of whatever SAE, is a `cross layer
  transcoder` and every error a `mlp reconstruction error`: readers of the format know no others.
- `influence` is cumulative: the share held by a node and all stronger ones.

Every graph that a report exports is checked by these models when it is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from math import isqrt
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from saereport.site import jsonwriter
from saereport.site.circuits.graph_data import DrawnNode

SCHEMA_VERSION: Final = 1

FeatureType = Literal["cross layer transcoder", "mlp reconstruction error", "embedding", "logit"]

FEATURE_TYPES: dict[str, FeatureType] = {
    "latent": "cross layer transcoder",
    "error": "mlp reconstruction error",
    "embedding": "embedding",
    "logit": "logit",
}

_PLACE = r"(?:(?P<layer>\d+)_|[a-z0-9][a-z0-9._-]*:)"
_SHAPES = {
    "latent": re.compile(_PLACE + r"(?P<latent>\d+)_(?P<position>\d+)"),
    "error": re.compile(_PLACE + r"(?P<latent>-1)_(?P<position>\d+)"),
    "embedding": re.compile(r"(?P<layer>E)_(?P<latent>\d+)_(?P<position>\d+)"),
    "logit": re.compile(r"(?P<layer>\d+)_(?P<latent>\d+)_(?P<position>\d+)"),
}
_OTHERS = -1001
"""The numbers of latents of a layer's second and later SAEs begin there and go down; above are the
errors."""
_PATTERNS = {FEATURE_TYPES[kind]: pattern for kind, pattern in _SHAPES.items()}

Share = Annotated[float, Field(ge=0, le=1)]


class _Model(BaseModel):
    """Base of all parts: frozen, finite, and without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Generator(_Model):
    """The program that made a graph."""

    name: str
    version: str


class Info(_Model):
    """What a viewer may show about a graph."""

    description: str
    source_urls: tuple[str, ...] = ()
    generator: Generator


class FeatureDetails(_Model):
    """Where the dashboards of the latents are."""

    neuronpedia_source_set: str


class PruningSettings(_Model):
    """The shares of cumulative influence that nodes and links were kept for."""

    node_threshold: float
    edge_threshold: float


class Metadata(_Model):
    """What a graph is of.

    Attributes:
        slug: Its name in addresses.
        scan: The model; Neuronpedia takes it as the id of a model.
        transcoder_list: The SAEs and transcoders that take part.
        prompt_tokens: The prompt, token by token.
        prompt: The prompt.
        node_threshold: Share of cumulative influence that the nodes were kept for.
        feature_details: Where the dashboards of the latents are, if anywhere.
        info: For people.
        pruning_settings: How the graph was pruned.
        schema_version: 1: `feature` is Cantor-coded.
    """

    slug: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
    scan: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
    transcoder_list: tuple[str, ...]
    prompt_tokens: tuple[str, ...]
    prompt: str
    node_threshold: Share
    feature_details: FeatureDetails | None = None
    info: Info
    pruning_settings: PruningSettings
    schema_version: Literal[1] = SCHEMA_VERSION


class QParams(_Model):
    """The state of a viewer.

    Attributes:
        pinnedIds: Nodes of the reader's subgraph.
        supernodes: Groups of nodes: a name, then the ids of its members.
        linkType: Which links a viewer shows.
        clickedId: The node that is looked at.
        sg_pos: Places of nodes in the reader's subgraph.
    """

    pinnedIds: tuple[str, ...] = ()
    supernodes: tuple[tuple[str, ...], ...] = ()
    linkType: Literal["both", "input", "output", "either"] = "both"
    clickedId: str = ""
    sg_pos: str = ""


class GraphNode(_Model):
    """One node; see the module's docstring for what its numbers mean."""

    node_id: str
    feature: int
    layer: Annotated[str, Field(pattern=r"^(E|\d+)$")]
    ctx_idx: int = Field(ge=0)
    feature_type: FeatureType
    token_prob: Share = 0.0
    is_target_logit: bool = False
    run_idx: Literal[0] = 0
    reverse_ctx_idx: Literal[0] = 0
    jsNodeId: str
    clerp: str
    influence: float | None = Field(None, ge=0)
    activation: float | None = None

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> GraphNode:
        """The id, the layer, the position and the coded number must say the same."""
        match = _PATTERNS[self.feature_type].fullmatch(self.node_id)
        if match is None:
            raise ValueError(f"'{self.node_id}' is no id of a node of type '{self.feature_type}'")
        if match["layer"] not in (None, self.layer) or int(match["position"]) != self.ctx_idx:
            raise ValueError(f"'{self.node_id}' is not in layer {self.layer} at {self.ctx_idx}")
        latent = int(match["latent"])
        rank = _rank_in(self.feature, self.feature_type)
        coded = _feature(self.feature_type, self.layer, latent, self.ctx_idx, rank)
        if self.feature != coded:
            raise ValueError(f"the feature of '{self.node_id}' is {coded}, not {self.feature}")
        return self


class GraphLink(_Model):
    """One direct effect, by the ids of its ends."""

    source: str
    target: str
    weight: float


class GraphFile(_Model):
    """A whole graph."""

    metadata: Metadata
    qParams: QParams
    nodes: tuple[GraphNode, ...]
    links: tuple[GraphLink, ...]

    @model_validator(mode="after")
    def _hangs_together(self) -> GraphFile:
        """Ids are unique, everything named exists, and tokens lie within the prompt."""
        ids = {node.node_id for node in self.nodes}
        if len(ids) != len(self.nodes):
            raise ValueError("two nodes have the same id")
        keys = {(node.layer, node.feature, node.ctx_idx) for node in self.nodes}
        if len(keys) != len(self.nodes):
            raise ValueError("viewers would take two nodes for one")
        named = {end for link in self.links for end in (link.source, link.target)}
        named.update(self.qParams.pinnedIds)
        named.update(id_ for group in self.qParams.supernodes for id_ in group[1:])
        if missing := sorted(named - ids):
            raise ValueError(f"'{missing[0]}' is named and is not a node")
        if any(node.ctx_idx >= len(self.metadata.prompt_tokens) for node in self.nodes):
            raise ValueError("a node is at no position of the prompt")
        if sum(node.is_target_logit for node in self.nodes) > 1:
            raise ValueError("there is more than one target")
        return self


def cantor(x: int, y: int) -> int:
    """Cantor's pairing function: one number for two, both at least 0."""
    return (x + y) * (x + y + 1) // 2 + y


def cantor_inverse(number: int) -> tuple[int, int]:
    """The two numbers that the pairing function makes one number of."""
    total = (isqrt(8 * number + 1) - 1) // 2
    second = number - total * (total + 1) // 2
    return total - second, second


def ranks_at_layers(nodes: Iterable[DrawnNode]) -> dict[tuple[int, str], int]:
    """For each layer and SAE, which of the layer's it is: the transcoder first, then by name.

    What no SAE covers comes last, so that a layer's only SAE is always the first.
    """
    owners: dict[int, dict[str, bool]] = {}
    for node in nodes:
        plain = node.id.partition("_")[0].isdigit()
        own = owners.setdefault(node.layer, {})
        own[node.sae] = own.get(node.sae, False) or (plain and node.kind == "latent")
    return {
        (layer, sae): rank
        for layer, own in owners.items()
        for rank, sae in enumerate(sorted(own, key=lambda sae: (not sae, not own[sae], sae)))
    }


def _feature(kind: FeatureType, layer: str, latent: int, position: int, rank: int) -> int:
    """The number that stands for a node in the format."""
    if kind == "cross layer transcoder":
        return _OTHERS - cantor(rank - 1, latent) if rank else cantor(int(layer), latent)
    if kind == "embedding":
        return position
    return latent if kind == "logit" else -1 - rank


def _rank_in(feature: int, kind: FeatureType) -> int:
    """Which SAE of its layer a number says that a node is of."""
    if kind == "mlp reconstruction error":
        return max(0, -1 - feature)
    return cantor_inverse(_OTHERS - feature)[0] + 1 if feature <= _OTHERS else 0


def node_of(node: DrawnNode, *, clerp: str, target: bool = False, rank: int = 0) -> GraphNode:
    """A node from what the run says of it.

    Args:
        node: The run's node; its id names the layer of a token, a logit, and of most other nodes.
        clerp: What it stands for, in words.
        target: Whether it is the logit that the reader asks about.
        rank: Which SAE of its layer it is of, see `ranks_at_layers`.

    Raises:
        ValueError: The id contradicts the rest.
    """
    match = _SHAPES[node.kind].fullmatch(node.id)
    if match is None:
        raise ValueError(f"'{node.id}' is no id of a node of kind '{node.kind}'")
    place = match["layer"] or str(node.layer)
    stem = f"L_{node.latent}" if node.kind == "logit" else node.id.rpartition("_")[0]
    return GraphNode(
        node_id=node.id,
        feature=_feature(FEATURE_TYPES[node.kind], place, node.latent, node.position, rank),
        layer=place,
        ctx_idx=node.position,
        feature_type=FEATURE_TYPES[node.kind],
        token_prob=node.probability if node.kind == "logit" else 0.0,
        is_target_logit=target,
        jsNodeId=f"{stem}-{0 if node.kind == 'latent' else node.position}",
        clerp=clerp,
        influence=None if node.kind == "logit" else node.influence,
        activation=node.activation if node.kind == "latent" else None,
    )


def lines(graph: GraphFile) -> Iterator[str]:
    """The file of a graph, each node and link on a line of its own.

    Of a node, fields that the format lets out and that say nothing are left out.
    """
    head = {
        "metadata": graph.metadata.model_dump(exclude_none=True),
        "qParams": graph.qParams.model_dump(),
    }
    yield jsonwriter.dumps(head)[:-1] + ',"nodes":['
    yield from _items(node.model_dump(exclude_defaults=True) for node in graph.nodes)
    yield '],"links":['
    yield from _items(link.model_dump() for link in graph.links)
    yield "]}"


def _items(records: Iterable[dict[str, Any]]) -> Iterator[str]:
    previous: str | None = None
    for record in records:
        if previous is not None:
            yield previous + ","
        previous = jsonwriter.dumps(record)
    if previous is not None:
        yield previous
