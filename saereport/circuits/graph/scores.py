"""Influence in a graph of direct effects, what to keep of it, and two scores; no tensors.

A graph is a sparse matrix `A` with a row for each target and a column for each source, over the
same nodes in the same order; no node reaches itself, so powers of `A` end. The influence of a node
on the logits is the weighted sum over all paths of the shares that it has in what each node on the
way receives: the logits' weights times `B = (I - N)^-1 - I`, `N` being `|A|` with rows that sum to
one. The definitions are those of Ameisen et al., "Circuit Tracing" (2025), as the open-source
circuit-tracer computes them, so that numbers can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

LATENT, ERROR, EMBEDDING, LOGIT = range(4)
"""Kinds of nodes."""

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Kinds = NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Pruned:
    """What pruning leaves.

    Attributes:
        nodes: Which nodes are kept, `[n]`.
        links: The links that are kept, with their weights as they were, `[n, n]`.
        held: For each node, the share of all nodes' influence that it and all stronger ones hold,
            `[n]`; 0 for logits, which are what is influenced.
    """

    nodes: Mask
    links: sparse.csr_matrix
    held: Floats


def row_shares(weights: sparse.csr_matrix) -> sparse.csr_matrix:
    """Absolute weights, each row divided by its sum; rows without entries stay empty."""
    data = np.abs(weights.data).astype(np.float64)
    lengths = np.diff(weights.indptr)
    filled = lengths > 0
    sums = np.zeros(len(lengths))
    if len(data):
        sums[filled] = np.add.reduceat(data, weights.indptr[:-1][filled])
    sums[sums == 0] = 1.0
    data /= np.repeat(sums, lengths)
    return sparse.csr_matrix((data, weights.indices, weights.indptr), shape=weights.shape)


def influence(shares: sparse.csr_matrix, logits: Floats) -> Floats:
    """How much each node has to do with the logits, over all paths of one link and more.

    Args:
        shares: `row_shares` of a graph without cycles, `[n, n]`.
        logits: The weight of each node as a logit, `[n]`.

    Raises:
        ValueError: The graph has a cycle.
    """
    # On a path of n nodes there are n - 1 links; a sum that goes on longer never ends.
    current, total = logits, np.zeros(len(logits))
    for _ in range(len(logits)):
        current = shares.T @ current
        if not current.any():
            return total
        total += current
    raise ValueError("the graph has a cycle")


def cumulative(scores: Floats) -> Floats:
    """For each score, the share of the sum held by it and all larger ones; ties by place."""
    order = np.argsort(-scores, kind="stable")
    sums = np.cumsum(scores[order])
    held = np.zeros(len(scores))
    held[order] = sums / sums[-1] if len(sums) and sums[-1] > 0 else 1.0
    return held


def strongest(scores: Floats, share: float) -> Mask:
    """The fewest of the largest scores that hold a share of the sum, and all equal to the least.

    Scores of zero are never among them.
    """
    ranked = -np.sort(-scores)
    sums = np.cumsum(ranked)
    if not len(sums) or sums[-1] <= 0:
        return np.zeros(len(scores), dtype=bool)
    last = min(int(np.searchsorted(sums / sums[-1], share)), len(sums) - 1)
    kept: Mask = (scores >= ranked[last]) & (scores > 0)
    return kept


def prune(
    weights: sparse.csr_matrix,
    kinds: Kinds,
    logits: Floats,
    *,
    node_threshold: float,
    edge_threshold: float,
) -> Pruned:
    """Keep the nodes, then the links, that hold most of the influence.

    Embeddings and logits always stay. Latents and errors that are left without a link to anything,
    and latents left without a link from anything, are dropped, until none is.

    Args:
        weights: Direct effects, `[n, n]`.
        kinds: Kind of each node, `[n]`.
        logits: The weight of each node as a logit, `[n]`.
        node_threshold: Share of the nodes' influence to keep.
        edge_threshold: Share of the links' influence, within the kept nodes, to keep.
    """
    strength = influence(row_shares(weights), logits)
    fixed = (kinds == EMBEDDING) | (kinds == LOGIT)
    nodes = strongest(strength, node_threshold) | fixed
    index = np.flatnonzero(nodes)
    # Links compete within the kept nodes: what went to dropped ones is shared among the rest.
    inner = weights[index][:, index].tocsr()
    inner.eliminate_zeros()
    shares = row_shares(inner)
    reach = influence(shares, logits[index]) + logits[index]
    links = shares.tocoo()
    kept = strongest(links.data * reach[links.row], edge_threshold)
    targets, sources, data = links.row[kept], links.col[kept], inner.tocoo().data[kept]
    stays = np.ones(len(index), dtype=bool)
    inner_kinds, inner_fixed = kinds[index], fixed[index]
    # Dropping a node takes its links along, which may leave others without one.
    while True:
        live = stays[targets] & stays[sources]
        targets, sources, data = targets[live], sources[live], data[live]
        fed, used = np.zeros(len(index), dtype=bool), np.zeros(len(index), dtype=bool)
        fed[targets], used[sources] = True, True
        alive = stays & (inner_fixed | (used & (fed | (inner_kinds != LATENT))))
        if (alive == stays).all():
            break
        stays = alive
    nodes = np.zeros(len(kinds), dtype=bool)
    nodes[index[stays]] = True
    held = cumulative(strength)
    held[kinds == LOGIT] = 0.0
    kept_links = sparse.csr_matrix((data, (index[targets], index[sources])), shape=weights.shape)
    kept_links.sort_indices()
    return Pruned(nodes, kept_links, held)


def scores(
    weights: sparse.csr_matrix, kinds: Kinds, logits: Floats, known: Mask
) -> tuple[float, float]:
    """Replacement and completeness score of a graph before pruning.

    Args:
        weights: Direct effects, `[n, n]`.
        kinds: Kind of each node, `[n]`.
        logits: The weight of each node as a logit, `[n]`.
        known: Nodes whose links from others were computed, or which have none by their nature.

    Returns:
        The share of the influence that reaches embeddings rather than errors; and the share of
        what nodes receive that does not come from errors, weighted by their influence (the logits'
        by their weight). Embeddings and errors receive nothing, so nothing of it from errors; what
        a node that is not `known` receives is left out of the second.
    """
    shares = row_shares(weights)
    strength = influence(shares, logits)
    tokens, errors = strength[kinds == EMBEDDING].sum(), strength[kinds == ERROR].sum()
    replacement = tokens / (tokens + errors) if tokens + errors > 0 else 0.0
    from_errors = shares @ (kinds == ERROR).astype(np.float64)
    reach = np.where(known, strength + logits, 0.0)
    complete = 1.0 - float(from_errors @ reach) / reach.sum() if reach.sum() > 0 else 0.0
    return float(replacement), float(complete)


def total_effects(weights: sparse.csr_matrix, values: Floats, source: int) -> Floats:
    """The linear effect of a node on every other over all paths, `[n]`.

    A link carries `weight / value` of each change of its source, errors and embeddings do not
    change, and the gates of the latents stay as they are: `(I - D)^-1 D` times the source's value.

    Args:
        weights: Direct effects, `[n, n]`.
        values: Activation of each latent, `[n]`; 0 for other nodes.
        source: The node.

    Raises:
        ValueError: The graph has a cycle.
    """
    inverse = np.divide(1.0, values, out=np.zeros(len(values)), where=values != 0)
    current = np.zeros(len(values))
    current[source] = values[source]
    total = np.zeros(len(values))
    for _ in range(len(values)):
        current = weights @ (current * inverse)
        if not current.any():
            return total
        total += current
    raise ValueError("the graph has a cycle")
