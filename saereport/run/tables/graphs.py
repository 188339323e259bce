"""The tables of attribution graphs, of attribution on top examples, and of blind case studies."""

from __future__ import annotations

from saereport.run.kinds import (
    POSITIONS,
    Count,
    Flag,
    Head,
    Latent,
    Layer,
    Node,
    Offset,
    OneOf,
    Position,
    Rank,
    Real,
    SaeName,
    Sequence,
    Share,
    Text,
    Token,
    When,
)
from saereport.run.table import (
    BOOL,
    F32,
    F64,
    I32,
    I64,
    LATENT,
    PROMPT,
    RANK,
    TEXT,
    TOKEN_LISTS,
    Column,
    Table,
    listed,
)

GRAPH_TABLES = (
    Table(
        "graphs",
        "run",
        ("prompt",),
        (
            PROMPT,
            Column("saes", listed(TEXT), SaeName()),
            Column("n_active", I32, Count()),
            Column("n_expanded", I32, Count()),
            Column("left_out", F64, Real()),
            Column("n_nodes_all", I32, Count()),
            Column("n_nodes", I32, Count()),
            Column("n_links", I32, Count()),
            Column("node_threshold", F64, Share()),
            Column("edge_threshold", F64, Share()),
            Column("replacement", F64, Real()),
            Column("completeness", F64, Real()),
            Column("metric", TEXT, Text()),
            Column("metric_model", F64, Real()),
            Column("metric_inside", F64, Real()),
            Column("metric_outside", F64, Real()),
            Column("metric_none", F64, Real()),
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
        "intervention is (outside - none) / (model - none), small where the graph has it all.\n\n"
        "A latent of a cross-layer transcoder is one node, where it reads, and its links are what "
        "all its writes do together; an MLP's error is what the layers up to its own leave of its "
        "output in sum. All layers take part, or none. In interventions its MLPs are replaced: by "
        "the latents, computed anew from what the change leaves, and the errors.",
        about="prompt",
    ),
    Table(
        "graph_nodes",
        "run",
        ("prompt", "node"),
        (
            PROMPT,
            Column("node", I32, Node()),
            Column("id", TEXT, Text()),
            Column("kind", TEXT, OneOf(words=("embedding", "latent", "error", "logit"))),
            Column("sae", TEXT, SaeName(or_model=True)),
            Column("layer", I32, Layer(or_none=True)),
            Column(
                "latent",
                I32,
                Latent(of="sae", or_none=True, token_when=When("kind", ("embedding", "logit"))),
            ),
            Column("position", I32, Position("prompt")),
            Column("activation", F32, Real()),
            Column("influence", F32, Share()),
            Column("probability", F32, Share()),
        ),
        "Nodes of attribution graphs",
        "`kind` is `embedding`, `latent`, `error` or `logit`. `latent` is the token of an "
        "embedding or a logit and -1 for an error; an error's `sae` is empty where no SAE covers "
        "what it stands for. `influence` is the share of the influence on the logits that is held "
        "by this node and all stronger ones (as other tools store it for pruning while reading); "
        "`probability` that of a logit, else 0.",
        about="prompt",
    ),
    Table(
        "graph_links",
        "run",
        ("prompt", "target", "source"),
        (
            PROMPT,
            Column("source", I32, Node()),
            Column("target", I32, Node()),
            Column("weight", F32, Real()),
        ),
        "Links of attribution graphs",
        "The direct linear effect of a source on a target: on a latent's pre-activation, or on a "
        "logit less the mean of all logits. All links into a node, with the biases and before "
        "pruning, sum to it exactly.",
        about="prompt",
    ),
    Table(
        "graph_checks",
        "run",
        ("prompt", "rank"),
        (
            PROMPT,
            RANK,
            Column("source", I32, Node()),
            Column("target", I32, Node()),
            Column("direct", F32, Real()),
            Column("predicted", F32, Real()),
            Column("measured", F32, Real()),
        ),
        "Links, checked by intervention",
        "For the strongest links from latents: the link (`direct`), minus the linear effect over "
        "all paths of the graph (`predicted`), and what setting the source to zero in the true "
        "model, errors kept, does to the target's pre-activation or logit less the mean logit "
        "(`measured`). Where a cross-layer transcoder takes part, its MLPs are replaced in these "
        "runs: by its latents, computed anew from what the change leaves, and the errors.",
        about="prompt",
    ),
)

EXAMPLE_TABLES = (
    Table(
        "example_heads",
        "sae",
        ("latent", "rank"),
        (
            LATENT,
            RANK,
            Column("sequence", I64, Sequence(), redacted=-1),
            Column("position", I32, Position("sequence")),
            Column("start", I32, Position("sequence")),
            Column("activation", F32, Real()),
            Column("pre_activation", F32, Real()),
            Column("bias", F32, Real()),
            Column("heads", listed(F32), Real(), each="head", uniform=True),
            Column("sources", listed(F32), Real(), each="source", longest=POSITIONS),
        ),
        "Direct latent attribution on top examples",
        "For a latent's strongest examples (`rank` as in the examples of group `top`): the direct "
        "latent attribution at the peak, summed by head and summed by source position. `sources` "
        "begins at position `start`; its first entry has what comes before it too. Heads plus "
        "`bias`, and sources plus `bias`, are the pre-activation.",
        about="latent",
        of_text=True,
    ),
    Table(
        "example_components",
        "sae",
        ("latent", "rank"),
        (
            LATENT,
            RANK,
            Column("sequence", I64, Sequence(), redacted=-1),
            Column("position", I32, Position("sequence")),
            Column("activation", F32, Real()),
            Column("pre_activation", F32, Real()),
            Column("embedding", F32, Real()),
            Column("heads", listed(F32), Real(), each="head", uniform=True),
            Column("mlps", listed(F32), Real(), uniform=True),
            Column("bias", F32, Real()),
        ),
        "Components on top examples",
        "The pre-activation as a sum over embedding, heads and MLPs, as on prompts, at the peak of "
        "a latent's strongest examples.",
        about="latent",
        of_text=True,
    ),
    Table(
        "example_influences",
        "sae",
        ("latent", "rank", "number"),
        (
            LATENT,
            RANK,
            Column("number", I32, Rank()),
            Column("early", TEXT, SaeName()),
            Column("layer", I32, Layer(or_none=True)),
            Column("head", I32, Head(or_none=True)),
            Column("early_latent", I32, Latent(of="early")),
            Column("source", I32, Offset()),
            Column("token", I32, Token(), redacted=-1),
            Column("value", F32, Real()),
        ),
        "Influences on top examples",
        "As for prompts, at the peak of a latent's strongest examples; `source` counts from the "
        "peak (0 is the peak itself, -1 the token before), and `token` is the token there.",
        about="latent",
        of_text=True,
    ),
    Table(
        "influence_counts",
        "sae",
        ("latent", "number"),
        (
            LATENT,
            Column("number", I32, Rank()),
            Column("early", TEXT, SaeName()),
            Column("early_latent", I32, Latent(of="early")),
            Column("n_among", I32, Count()),
            Column("n_examples", I32, Count()),
            Column("mean", F64, Real()),
        ),
        "Latents that are most often an influence",
        "Earlier latents by the number of a latent's top examples on which they are among the "
        "strongest influences, all routes together. `mean` is the mean of their listed influence "
        "over all `n_examples` examples: an example on which they are not among the strongest "
        "counts as 0, so what is small is missing from it.",
        version=2,
        about="latent",
        of_text=True,
    ),
    Table(
        "example_head_deembedding",
        "sae",
        ("latent", "number"),
        (
            LATENT,
            Column("number", I32, Rank()),
            Column("layer", I32, Layer()),
            Column("head", I32, Head()),
            Column("mean", F32, Real()),
            *TOKEN_LISTS,
        ),
        "De-embedding through the heads of the top examples",
        "The heads with the largest mean absolute component over a latent's top examples (`mean` "
        "is the mean with its sign), and the extended de-embedding through each: which tokens, "
        "moved by that head, would excite the latent most and least.",
        about="latent",
        of_text=True,
    ),
)

BLIND_TABLES = (
    Table(
        "blind_latents",
        "run",
        ("sae", "latent"),
        (
            Column("sae", TEXT, SaeName()),
            Column("latent", I32, Latent(of="sae")),
            Column("reveal", BOOL, Flag(), left_out=False),
        ),
        "Blind case studies",
        "Latents that a reader meets blind: weights and influences only, prompts as token ids, "
        "until the reader reveals the rest. Where `reveal` is false the run holds no example, "
        "token statistic or explanation of the latent. The report's own prompts are not hidden, "
        "nor which latents have gradients, attributions or graph nodes on them.",
        about="latent",
    ),
)
