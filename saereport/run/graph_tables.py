"""The tables of attribution graphs, of attribution on top examples, and of blind case studies."""

from __future__ import annotations

import pyarrow as pa

from saereport.run.table import F32, F64, I32, I64, TEXT, TOKEN_LISTS, Table, listed

GRAPH_TABLES = (
    Table(
        "graphs",
        "run",
        ("prompt",),
        (
            ("prompt", I32),
            ("saes", listed(TEXT)),
            ("n_active", I32),
            ("n_expanded", I32),
            ("left_out", F64),
            ("n_nodes_all", I32),
            ("n_nodes", I32),
            ("n_links", I32),
            ("node_threshold", F64),
            ("edge_threshold", F64),
            ("replacement", F64),
            ("completeness", F64),
            ("metric", TEXT),
            ("metric_model", F64),
            ("metric_inside", F64),
            ("metric_outside", F64),
            ("metric_none", F64),
        ),
        "Attribution graphs",
        "Direct linear effects between embeddings, active latents, reconstruction errors and "
        "logits, with attention patterns, norm scales and the gates of the latents frozen at their "
        "values in the true run. What no SAE of the graph covers goes to error nodes. The graph is "
        "pruned: nodes by their influence on the logits (row-normalised absolute adjacency A, "
        "B = (I - A)^-1 - I, weighted by the logits' probabilities) until `node_threshold` of the "
        "cumulative influence is kept, then edges until `edge_threshold` is. `n_active` latents "
        "were active; the edges into `n_expanded` of them were computed, those with the largest "
        "influence first, and `left_out` is the share of the latents' influence that lies on the "
        "others.\n\n"
        "Replacement score: the share of the influence that reaches the tokens and not the error "
        "nodes, end to end, before pruning. Completeness score: the share of the input of each "
        "node, weighted by its influence, that does not come from error nodes.\n\n"
        "By intervention in the true model, errors kept: `metric` with every latent as it is, "
        "`metric_inside` with only the graph's latents (all others of its SAEs set to zero), "
        "`metric_outside` with the graph's latents set to zero, and `metric_none` with all of them "
        "set to zero. Faithfulness is (inside - none) / (model - none), completeness by "
        "intervention is (outside - none) / (model - none), small where the graph has it all.",
    ),
    Table(
        "graph_nodes",
        "run",
        ("prompt", "node"),
        (
            ("prompt", I32),
            ("node", I32),
            ("id", TEXT),
            ("kind", TEXT),
            ("sae", TEXT),
            ("layer", I32),
            ("latent", I32),
            ("position", I32),
            ("activation", F32),
            ("influence", F32),
            ("probability", F32),
        ),
        "Nodes of attribution graphs",
        "`kind` is `embedding`, `latent`, `error` or `logit`. `latent` is the token of an "
        "embedding or a logit and -1 for an error; an error's `sae` is empty where no SAE covers "
        "what it stands for. `influence` is the share of the influence on the logits that is held "
        "by this node and all stronger ones (as other tools store it for pruning while reading); "
        "`probability` that of a logit, else 0.",
    ),
    Table(
        "graph_links",
        "run",
        ("prompt", "target", "source"),
        (("prompt", I32), ("source", I32), ("target", I32), ("weight", F32)),
        "Links of attribution graphs",
        "The direct linear effect of a source on a target: on a latent's pre-activation, or on a "
        "logit less the mean of all logits. All links into a node, with the biases and before "
        "pruning, sum to it exactly.",
    ),
    Table(
        "graph_checks",
        "run",
        ("prompt", "rank"),
        (
            ("prompt", I32),
            ("rank", I32),
            ("source", I32),
            ("target", I32),
            ("direct", F32),
            ("predicted", F32),
            ("measured", F32),
        ),
        "Links, checked by intervention",
        "For the strongest links from latents: the link (`direct`), minus the linear effect over "
        "all paths of the graph (`predicted`), and what setting the source to zero in the true "
        "model, errors kept, does to the target's pre-activation or logit less the mean logit "
        "(`measured`).",
    ),
)

EXAMPLE_TABLES = (
    Table(
        "example_heads",
        "sae",
        ("latent", "rank"),
        (
            ("latent", I32),
            ("rank", I32),
            ("sequence", I64),
            ("position", I32),
            ("start", I32),
            ("activation", F32),
            ("pre_activation", F32),
            ("bias", F32),
            ("heads", listed(F32)),
            ("sources", listed(F32)),
        ),
        "Direct latent attribution on top examples",
        "For a latent's strongest examples (`rank` as in the examples of group `top`): the direct "
        "latent attribution at the peak, summed by head and summed by source position. `sources` "
        "begins at position `start`; its first entry has what comes before it too. Heads plus "
        "`bias`, and sources plus `bias`, are the pre-activation.",
    ),
    Table(
        "example_components",
        "sae",
        ("latent", "rank"),
        (
            ("latent", I32),
            ("rank", I32),
            ("sequence", I64),
            ("position", I32),
            ("activation", F32),
            ("pre_activation", F32),
            ("embedding", F32),
            ("heads", listed(F32)),
            ("mlps", listed(F32)),
            ("bias", F32),
        ),
        "Components on top examples",
        "The pre-activation as a sum over embedding, heads and MLPs, as on prompts, at the peak of "
        "a latent's strongest examples.",
    ),
    Table(
        "example_influences",
        "sae",
        ("latent", "rank", "number"),
        (
            ("latent", I32),
            ("rank", I32),
            ("number", I32),
            ("early", TEXT),
            ("layer", I32),
            ("head", I32),
            ("early_latent", I32),
            ("source", I32),
            ("token", I32),
            ("value", F32),
        ),
        "Influences on top examples",
        "As for prompts, at the peak of a latent's strongest examples; `source` counts from the "
        "peak (0 is the peak itself, -1 the token before), and `token` is the token there.",
    ),
    Table(
        "influence_counts",
        "sae",
        ("latent", "number"),
        (
            ("latent", I32),
            ("number", I32),
            ("early", TEXT),
            ("early_latent", I32),
            ("n_among", I32),
            ("n_examples", I32),
            ("mean", F64),
        ),
        "Latents that are most often an influence",
        "Earlier latents by the number of a latent's top examples on which they are among the "
        "strongest influences, all routes together. `mean` is the mean of their listed influence "
        "over all `n_examples` examples: an example on which they are not among the strongest "
        "counts as 0, so what is small is missing from it.",
        version=2,
    ),
    Table(
        "example_head_deembedding",
        "sae",
        ("latent", "number"),
        (
            ("latent", I32),
            ("number", I32),
            ("layer", I32),
            ("head", I32),
            ("mean", F32),
            *TOKEN_LISTS,
        ),
        "De-embedding through the heads of the top examples",
        "The heads with the largest mean absolute component over a latent's top examples (`mean` "
        "is the mean with its sign), and the extended de-embedding through each: which tokens, "
        "moved by that head, would excite the latent most and least.",
    ),
)

BLIND_TABLES = (
    Table(
        "blind_latents",
        "run",
        ("sae", "latent"),
        (("sae", TEXT), ("latent", I32), ("reveal", pa.bool_())),
        "Blind case studies",
        "Latents that a reader meets blind: weights and influences only, prompts as token ids, "
        "until the reader reveals the rest. Where `reveal` is false the run holds no example, "
        "token statistic or explanation of the latent. The report's own prompts are not hidden, "
        "nor which latents have gradients, attributions or graph nodes on them.",
    ),
)
