"""The nodes of an attribution graph and the direct effects between them.

Not every active latent can have its inputs computed on a long prompt. The logits' are computed
first; then, in rounds, those of the latents that have the most influence on the logits as far as
is known by then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from saereport.circuits.graph.linear import EffectColumns, Network, make_columns
from saereport.circuits.graph.scene import GraphSettings, Scene
from saereport.circuits.graph.scores import (
    EMBEDDING,
    ERROR,
    LATENT,
    LOGIT,
    Floats,
    Kinds,
    Mask,
    influence,
    row_shares,
)
from saereport.sources.devices import float64_of

ROUNDS = 16
"""In how many rounds latents are chosen where not all can be expanded."""

ROWS = 128
"""Rows computed at once, if memory allows; more is no faster."""

COPIES = 12
"""How many times its own size a batch of read directions takes on the way down."""


@dataclass(frozen=True, eq=False)
class Nodes:
    """All nodes of a graph before pruning: sources in the order of `EffectColumns`, then logits.

    Attributes:
        kinds: Kinds, as in `graph_scores`, `[n]`.
        parts: The number of the SAE of a latent or of its errors; -1 where there is none.
        layers: Layer at which a latent reads, or of an error's place; -1 for embeddings, the number
            of layers for logits.
        latents: Index of a latent, -1 for an error, a token for the others.
        positions: Token positions.
        activations: Activations of latents, 0 for others.
        probabilities: Probabilities of logits, 0 for others.
    """

    kinds: Kinds
    parts: NDArray[np.int32]
    layers: NDArray[np.int32]
    latents: NDArray[np.int64]
    positions: NDArray[np.int64]
    activations: Floats
    probabilities: Floats

    def __len__(self) -> int:
        return len(self.kinds)


@dataclass(frozen=True, eq=False)
class Effects:
    """Direct effects between the nodes of a graph, before pruning.

    Attributes:
        nodes: The nodes.
        weights: Effect of a source (column) on a target (row), `[n, n]`; rows of nodes that were
            not expanded are empty.
        constants: What biases add to each expanded target, `[n]`; 0 elsewhere.
        expanded: Nodes whose row was computed, `[n]`.
        left_out: Share of the latents' influence that lies on those that were not expanded.
    """

    nodes: Nodes
    weights: sparse.csr_matrix
    constants: Floats
    expanded: Mask
    left_out: float


def make_nodes(scene: Scene, columns: EffectColumns) -> Nodes:
    """All nodes of a graph."""
    n_layers, n_positions = len(scene.run.layers), len(scene.run.tokens)
    n_logits = len(scene.logits.tokens)
    n = columns.n + n_logits
    kinds = np.full(n, ERROR, dtype=np.int8)
    parts, layers = np.full(n, -1, dtype=np.int32), np.full(n, -1, dtype=np.int32)
    latents, positions = np.full(n, -1, dtype=np.int64), np.zeros(n, dtype=np.int64)
    activations, probabilities = np.zeros(n), np.zeros(n)
    along = np.arange(n_positions)
    for layer, first in enumerate(columns.mlps):
        here = slice(first, first + n_positions)
        layers[here], positions[here] = layer, along
    for k, site in enumerate(scene.sites):
        here = slice(columns.errors[k], columns.errors[k] + n_positions)
        parts[here], layers[here], positions[here] = site.owner, site.hook.layer, along
    for k, part in enumerate(scene.parts):
        here = slice(columns.latents[k], columns.latents[k] + len(part.active))
        kinds[here], parts[here], layers[here] = LATENT, k, part.sae.hook_in.layer
        latents[here] = part.active.latents.cpu().numpy()
        positions[here] = part.active.positions.cpu().numpy()
        activations[here] = float64_of(part.active.values).cpu().numpy()
    here = slice(columns.embeddings, columns.n)
    kinds[here], positions[here] = EMBEDDING, along
    latents[here] = scene.run.tokens.cpu().numpy()
    here = slice(columns.n, n)
    kinds[here], layers[here], positions[here] = LOGIT, n_layers, n_positions - 1
    latents[here] = scene.logits.tokens.cpu().numpy()
    probabilities[here] = float64_of(scene.logits.probabilities).cpu().numpy()
    return Nodes(kinds, parts, layers, latents, positions, activations, probabilities)


def find_effects(
    scene: Scene, settings: GraphSettings, *, advance: Callable[[int], None] | None = None
) -> Effects:
    """Compute the direct effects on the logits and on the most influential latents.

    Args:
        scene: The run and its SAEs.
        settings: How many latents, and how much memory.
        advance: Is told of each number of latents that were expanded.
    """
    run = scene.run
    columns = make_columns(len(run.layers), len(run.tokens), scene.parts, scene.sites)
    network = Network(run.layers, run.embedded, run.parallel, scene.parts, scene.sites, columns)
    nodes = make_nodes(scene, columns)
    rows = _Rows(len(nodes))
    found, constants = network.logits(scene.norm, scene.logits.directions)
    logits = np.arange(columns.n, len(nodes))
    rows.add(logits, found, constants + scene.logits.constants)
    left = settings.max_latents
    step = max(1, -(-settings.max_latents // ROUNDS))
    while True:
        weights = rows.matrix()
        strength = influence(row_shares(weights), nodes.probabilities)
        strength[nodes.kinds != LATENT] = 0.0
        waiting = np.flatnonzero((strength > 0) & ~rows.expanded)
        if not len(waiting) or not left:
            break
        if len(waiting) > left:
            order = np.argsort(-strength[waiting], kind="stable")
            waiting = np.sort(waiting[order[: min(step, left)]])
        left -= len(waiting)
        for chunk in _chunks(waiting, nodes, network, settings.memory):
            part = int(nodes.parts[chunk[0]])
            index = torch.from_numpy(chunk - columns.latents[part]).to(run.final.device)
            seen = network.until(int(nodes.positions[chunk].max()) + 1)
            rows.add(chunk, *seen.latents(part, index))
            if advance is not None:
                advance(len(chunk))
    total = strength.sum()
    left_out = float(strength[~rows.expanded].sum() / total) if total > 0 else 0.0
    return Effects(nodes, weights, rows.constants, rows.expanded, left_out)


def _chunks(
    wanted: NDArray[np.int64], nodes: Nodes, network: Network, memory: int
) -> list[NDArray[np.int64]]:
    """Latents in batches of one SAE and of rising positions, each small enough for memory."""
    size = network.embedded.element_size()
    width = max([network.embedded.shape[1], *(part.sae.d_in for part in network.parts)])
    chunks = []
    at = 0
    while at < len(wanted):
        stop = at + 1
        part = nodes.parts[wanted[at]]
        while stop < len(wanted) and stop - at < ROWS and nodes.parts[wanted[stop]] == part:
            # Positions rise within an SAE, so the next one decides how long the prefix is.
            length = int(nodes.positions[wanted[stop]]) + 1
            row = (COPIES * length * width + 3 * network.columns.n) * size
            if (stop + 1 - at) * row > memory:
                break
            stop += 1
        chunks.append(wanted[at:stop])
        at = stop
    return chunks


class _Rows:
    """Rows of effects as they are computed.

    Args:
        n: Number of nodes.
    """

    def __init__(self, n: int) -> None:
        self.constants: Floats = np.zeros(n)
        self.expanded: Mask = np.zeros(n, dtype=bool)
        self._n = n
        self._order: list[NDArray[np.int64]] = []
        self._blocks: list[sparse.csr_matrix] = []

    def add(self, nodes: NDArray[np.int64], effects: torch.Tensor, constants: torch.Tensor) -> None:
        """Add the rows of some nodes, `[n, columns]`."""
        self.constants[nodes] = float64_of(constants).cpu().numpy()
        self.expanded[nodes] = True
        self._order.append(nodes)
        self._blocks.append(sparse.csr_matrix(effects.cpu().numpy()))

    def matrix(self) -> sparse.csr_matrix:
        """All rows so far, `[n, n]`, those of other nodes empty."""
        order = np.concatenate(self._order)
        stacked = sparse.vstack(self._blocks, format="csr")[np.argsort(order, kind="stable")]
        # Kept in order, so that the next call has less to move.
        self._order, self._blocks = [np.sort(order)], [stacked]
        lengths = np.zeros(self._n, dtype=np.int64)
        lengths[self._order[0]] = np.diff(stacked.indptr)
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        return sparse.csr_matrix((stacked.data, stacked.indices, indptr), shape=(self._n, self._n))
