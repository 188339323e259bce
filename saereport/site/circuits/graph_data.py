"""Attribution graphs as the run holds them, one object for each prompt that has one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from saereport.run import Run
from saereport.site.columns import plain
from saereport.util.errors import SaereportError

KINDS = ("embedding", "latent", "error", "logit")
_SLUG = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True)
class DrawnNode:
    """A node; the fields are the columns of the table `graph_nodes`."""

    node: int
    id: str
    kind: str
    sae: str
    layer: int
    latent: int
    position: int
    activation: float
    influence: float
    probability: float


@dataclass(frozen=True)
class Link:
    """A direct linear effect; `source` and `target` are places in the graph's list of nodes."""

    source: int
    target: int
    weight: float


@dataclass(frozen=True)
class Check:
    """A link checked by intervention; `source` and `target` as in `Link`."""

    source: int
    target: int
    direct: float
    predicted: float
    measured: float


@dataclass(frozen=True)
class Scores:
    """What the run says about a graph as a whole; the columns of the table `graphs`."""

    saes: tuple[str, ...]
    n_active: int
    n_expanded: int
    left_out: float
    n_nodes_all: int
    n_nodes: int
    n_links: int
    node_threshold: float
    edge_threshold: float
    replacement: float
    completeness: float
    metric: str
    metric_model: float
    metric_inside: float
    metric_outside: float
    metric_none: float

    @property
    def faithfulness(self) -> float | None:
        """(inside - none) / (model - none); None where the latents make no difference."""
        return self._share(self.metric_inside)

    @property
    def without(self) -> float | None:
        """(outside - none) / (model - none): what is left when the graph is taken away."""
        return self._share(self.metric_outside)

    def _share(self, value: float) -> float | None:
        whole = self.metric_model - self.metric_none
        return (value - self.metric_none) / whole if whole else None


@dataclass(frozen=True)
class PromptGraph:
    """The attribution graph of one prompt.

    Attributes:
        number: The prompt's number.
        slug: Its name in addresses.
        name: Its name for readers.
        tokens: Its token ids.
        answer: The token that is followed, -1 for none.
        scores: What is known of the graph as a whole.
        nodes: Its nodes, in the run's order.
        links: Its links, by target, then source.
        checks: Links checked by intervention, the strongest first.
    """

    number: int
    slug: str
    name: str
    tokens: tuple[int, ...]
    answer: int
    scores: Scores
    nodes: tuple[DrawnNode, ...]
    links: tuple[Link, ...]
    checks: tuple[Check, ...]


def read_graphs(run: Run) -> list[PromptGraph]:
    """Every attribution graph of a run, in the order of the prompts.

    Raises:
        SaereportError: The tables contradict each other.
    """
    if not run.has("graphs") or not run.has("prompts"):
        return []
    prompts = {row["prompt"]: row for row in _rows(run, "prompts")}
    nodes, links, checks = (
        _by_prompt(run, f"graph_{what}") for what in ("nodes", "links", "checks")
    )
    result = []
    for row in _rows(run, "graphs"):
        number = row.pop("prompt")
        prompt = prompts.get(number)
        if prompt is None or not _SLUG.fullmatch(prompt["slug"]):
            raise _damaged(f"graph {number} has no prompt with a usable name")
        own = [DrawnNode(**node) for node in nodes.get(number, [])]
        places = {node.node: place for place, node in enumerate(own)}
        if any(node.kind not in KINDS for node in own):
            raise _damaged(f"a node of graph {number} is of no known kind")
        if any(not 0 <= node.position < len(prompt["tokens"]) for node in own):
            raise _damaged(f"a node of graph {number} is at no position of its prompt")
        result.append(
            PromptGraph(
                number=number,
                slug=prompt["slug"],
                name=prompt["name"],
                tokens=tuple(prompt["tokens"]),
                answer=prompt["answer"],
                scores=Scores(**{**row, "saes": tuple(row["saes"])}),
                nodes=tuple(own),
                links=tuple(Link(**_ends(item, places)) for item in links.get(number, [])),
                checks=tuple(Check(**_ends(item, places)) for item in checks.get(number, [])),
            )
        )
    return result


def _ends(item: dict[str, Any], places: dict[int, int]) -> dict[str, Any]:
    item.pop("rank", None)
    try:
        return {**item, "source": places[item["source"]], "target": places[item["target"]]}
    except KeyError as error:
        raise _damaged(f"a link ends at node {error}, which its graph does not have") from error


def _rows(run: Run, name: str) -> list[dict[str, Any]]:
    table = run.table(name)
    columns = [plain(table.column(column)) for column in table.column_names]
    return [dict(zip(table.column_names, row, strict=True)) for row in zip(*columns, strict=True)]


def _by_prompt(run: Run, name: str) -> dict[int, list[dict[str, Any]]]:
    result: dict[int, list[dict[str, Any]]] = {}
    for row in _rows(run, name) if run.has(name) else []:
        result.setdefault(row.pop("prompt"), []).append(row)
    return result


def _damaged(what: str) -> SaereportError:
    return SaereportError(f"The run is damaged: {what}.", "Collect it again.")
