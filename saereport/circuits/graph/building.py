"""Attribution graphs: from tokens over latents to logits, by direct linear effects.

In order: `graph_scene` runs the prompt and decides which SAEs take part (`graph_parts`);
`graph_effects` computes the links, with the frozen model of `graph_linear`; `graph_scores` measures
influence, prunes and scores; `graph_interventions` asks the true model; `graph_tables` stores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from saereport.circuits.graph.effects import find_effects
from saereport.circuits.graph.interventions import check_links, measure_metric
from saereport.circuits.graph.scene import GraphSettings, make_scene
from saereport.circuits.graph.scores import LATENT, prune, scores
from saereport.circuits.graph.tables import Graph, graph_tables
from saereport.sources.models import LanguageModel
from saereport.sources.saes.sae import Sae

__all__ = ["Graph", "GraphSettings", "build_graph", "graph_tables"]


def build_graph(
    model: LanguageModel,
    saes: Sequence[Sae],
    tokens: Tensor,
    counted: Tensor,
    settings: GraphSettings,
    *,
    advance: Callable[[int], None] | None = None,
) -> Graph:
    """The attribution graph of a prompt over some SAEs.

    Args:
        model: The language model.
        saes: SAEs and transcoders that are to take part; those that cannot are left out and named
            in the result.
        tokens: Token ids, int64 `[pos]`.
        counted: Positions whose latents take part, bool `[pos]`; at the others everything is error.
        settings: How it is made.
        advance: Is told of each number of latents whose inputs were computed.

    Raises:
        SaereportError: No SAE can take part, or the model is not linear around this prompt in the
            way that graphs need.
    """
    scene = make_scene(model, saes, tokens, counted, settings)
    effects = find_effects(scene, settings, advance=advance)
    nodes = effects.nodes
    pruned = prune(
        effects.weights,
        nodes.kinds,
        nodes.probabilities,
        node_threshold=settings.node_threshold,
        edge_threshold=settings.edge_threshold,
    )
    known = effects.expanded | (nodes.kinds != LATENT)
    replacement, completeness = scores(effects.weights, nodes.kinds, nodes.probabilities, known)
    return Graph(
        settings=settings,
        slugs=tuple(part.sae.slug for part in scene.parts),
        plain_ids=tuple(part.place == "mlp" for part in scene.parts),
        refused=scene.refused,
        n_layers=model.n_layers,
        effects=effects,
        pruned=pruned,
        replacement=replacement,
        completeness=completeness,
        checks=check_links(model, scene, effects, pruned, settings),
        metric=measure_metric(model, scene, effects, pruned),
    )
