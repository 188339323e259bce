"""What a link of an attribution graph matters to the outputs, so that links can be compared.

Weights cannot: a link into a latent is a part of its pre-activation and a link into a logit a part
of that logit, on scales of their own. A link's score is its share of what its target receives,
times the target's influence on the outputs. Both are taken from the links that the run holds,
those that pruning left, as the pruning itself ranks them (Ameisen et al., "Circuit Tracing", 2025).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saereport.site.circuits.graph_data import PromptGraph
from saereport.util.errors import SaereportError

Floats = NDArray[np.float64]


def reach(graph: PromptGraph) -> Floats:
    """The influence of each node on the outputs, `[n_nodes]`.

    A logit has its probability. Every other node has, summed over its targets, its share of the
    absolute weights into the target times the target's own influence.

    Raises:
        SaereportError: The graph has a cycle.
    """
    sources, targets, shares = _shares(graph)
    current: Floats = np.array([node.probability for node in graph.nodes], dtype=np.float64)
    total = current.copy()
    # On a path of n nodes there are n - 1 links; a sum that goes on longer never ends.
    for _ in graph.nodes:
        handed = np.bincount(sources, shares * current[targets], len(graph.nodes))
        current = handed.astype(np.float64)
        if not current.any():
            return total
        total += current
    raise SaereportError(
        f"The run is damaged: the attribution graph of '{graph.slug}' has a cycle.",
        "Collect it again.",
    )


def scores(graph: PromptGraph) -> Floats:
    """The score of each link, in the graph's order, `[n_links]`; 0 where nothing is influenced.

    Raises:
        SaereportError: The graph has a cycle.
    """
    _, targets, shares = _shares(graph)
    found: Floats = shares * reach(graph)[targets]
    return found


def _shares(graph: PromptGraph) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Sources, targets, and what part of the absolute weights into its target each link is."""
    sources = np.array([link.source for link in graph.links], dtype=np.int64)
    targets = np.array([link.target for link in graph.links], dtype=np.int64)
    sizes = np.abs(np.array([link.weight for link in graph.links], dtype=np.float64))
    sums = np.bincount(targets, sizes, len(graph.nodes))
    sums[sums == 0] = 1.0
    return sources, targets, sizes / sums[targets]
