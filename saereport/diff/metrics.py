"""Every metric that a comparison knows: what it measures, and how much of it is noise.

The names are what gates speak of. A *size* is how much a metric changed, in the measure that its
definition gives; sizes up to the tolerance are noise between machines, batch sizes and number
types. A *relative change* is the absolute change divided by the larger of the two values, so it
lies between 0 and 1 and is the same in both directions.

A latent that is active on few tokens has noisy numbers. Where a metric has a `rare` factor, its
tolerance for a latent that is active on n tokens (on the side where they are more) is
`tolerance * (1 + rare / sqrt(n))`: `tolerance` alone for frequent latents, and 0 stays 0.

A figure of an SAE with a 95 % interval is not known better than that. Half of each side's interval
makes together h = sqrt(before^2 + after^2), and where h is larger than the metric's tolerance it is
the tolerance: always for metrics that are `sampled` "always", which divide by what may be little;
for those that are `sampled` "other text" only where the two runs read different tokens, since on
the same tokens chance moves both sides alike. A tolerance that a user sets stands as it is.

*Importance* sorts the latents that changed. It is the sum over the metrics that changed of
`weight * min(size / full, 1)`, and 4 more for a latent that turned: from active to never active or
back, or across a density of 10 %. So a latent that vanished or became dense stands above one that
reads other tokens, and that above one whose numbers drifted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Scope = Literal["report", "sae", "latent", "prompt", "edge"]


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: What gates and outputs call it.
        scope: What it is a property of.
        title: Short name for a reader.
        tolerance: Sizes up to this are noise.
        definition: What it and its size mean, in words.
        one_sided: Whether one report alone has a value of it, which `saereport check` can gate.
        rare: How much the tolerance grows for latents that are active on few tokens.
        weight: What the metric adds to a latent's importance at most.
        full: The size at which it adds that.
        sampled: When the tolerance follows the intervals of the two values.
        relative: Whether its size is a relative change, for metrics of SAEs.
        stage: The stage whose tables it is taken from; empty where that is none of saereport's own,
            and for what comparisons count themselves.
    """

    name: str
    scope: Scope
    title: str
    tolerance: float
    definition: str
    one_sided: bool = False
    rare: float = 0.0
    weight: float = 0.0
    full: float = 1.0
    sampled: Literal["never", "other text", "always"] = "never"
    relative: bool = False
    stage: str = ""

    def tolerances(self, tolerance: float, n_active: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64[n]: the tolerance of each latent.

        Args:
            tolerance: The metric's own, or the user's in its place.
            n_active: float64[n], tokens on which each is active; NaN where unknown.
        """
        few = 1 + self.rare / np.sqrt(np.maximum(n_active, 1))
        return tolerance * np.where(np.isnan(n_active), 1.0, few)


_JSD = (
    "Jensen-Shannon distance, the square root of the divergence with logarithms to base 2: 0 for "
    "equal distributions, 1 for disjoint ones"
)
_RBO = (
    "1 minus the rank-biased overlap (extrapolated, persistence 0.9) of the two lists: 0 for equal "
    "lists, 1 for disjoint ones"
)

_FIGURES = tuple(
    Metric(
        name,
        "sae",
        title,
        tolerance,
        f"{definition}; {'relative' if relative else 'absolute'} change.",
        one_sided=True,
        sampled="always" if "_recovered" in name else "other text",
        relative=relative,
        stage="evaluation",
    )
    for name, title, tolerance, relative, definition in (
        ("explained_variance", "Explained variance", 0.01, False, "As on the methods page"),
        (
            "explained_variance_usual",
            "Explained variance, usual tokens",
            0.01,
            False,
            "Without the 0.1 % of tokens of largest norm",
        ),
        ("mse", "Squared error", 0.02, True, "As on the methods page"),
        (
            "mse_usual",
            "Squared error, usual tokens",
            0.02,
            True,
            "Without the 0.1 % of tokens of largest norm",
        ),
        ("cosine", "Cosine", 0.01, False, "As on the methods page"),
        ("l2_ratio", "L2 ratio", 0.01, False, "As on the methods page"),
        ("ce_original", "CE of the model", 0.02, False, "Nats a token"),
        ("ce_spliced", "CE with the SAE", 0.02, False, "Nats a token"),
        ("ce_zero", "CE, zero ablation", 0.08, True, "Nats a token"),
        ("ce_mean", "CE, mean ablation", 0.08, True, "Nats a token"),
        (
            "ce_added_spliced",
            "CE added by the SAE",
            0.02,
            False,
            "spliced - original, nats a token",
        ),
        (
            "ce_recovered",
            "CE recovered",
            0.02,
            False,
            "(zero - spliced) / (zero - original)",
        ),
        (
            "ce_recovered_mean",
            "CE recovered of mean ablation",
            0.02,
            False,
            "(mean - spliced) / (mean - original)",
        ),
        ("kl_spliced", "KL with the SAE", 0.02, False, "Nats a token"),
        ("kl_recovered", "KL recovered", 0.02, False, "1 - spliced / zero ablation"),
        (
            "kl_recovered_mean",
            "KL recovered of mean ablation",
            0.02,
            False,
            "1 - spliced / mean ablation",
        ),
    )
)

_CAPABILITY = tuple(
    Metric(
        f"capability.{name}" + (f".{one}" if one else ""),
        "sae",
        f"{title}, {words}" if one else title,
        of_set if one else of_all,
        f"{definition} with the SAE spliced in, "
        + (f"on the built-in prompts `{one}`" if one else "over all prompts of the report")
        + "; absolute change.",
        one_sided=True,
        stage="capability",
    )
    for one, words in (
        ("", ""),
        ("indirect_objects", "indirect objects"),
        ("capitals", "capitals"),
        ("induction", "induction"),
        ("agreement", "agreement"),
        ("greater_than", "greater-than"),
    )
    for name, title, of_all, of_set, definition in (
        (
            "accuracy",
            "Capability tests",
            0.02,
            0.05,
            "Share of prompts on which the answer is preferred",
        ),
        (
            "logit_difference",
            "Logit difference",
            0.05,
            0.1,
            "Mean logit of the answer minus that of the wrong one",
        ),
    )
)
"""Of all prompts, and of one set; see `docs/tolerances.md` for what was measured."""

_LENS = tuple(
    Metric(
        f"lens.{name}",
        "sae",
        title,
        tolerance,
        f"{definition}; {'relative' if relative else 'absolute'} change.",
        one_sided=True,
        relative=relative,
        stage="lens",
    )
    for name, title, tolerance, relative, definition in (
        ("std", "Logit lens, std", 0.01, True, "Median over the latents measured"),
        ("kurtosis", "Logit lens, kurtosis", 0.02, False, "Median of the excess kurtosis"),
        ("prediction", "Prediction latents", 0.005, False, "Share of the latents measured"),
        ("suppression", "Suppression latents", 0.005, False, "Share of the latents measured"),
        ("partition", "Partition latents", 0.005, False, "Share of the latents measured"),
        (
            "enriched",
            "Token sets significant",
            0.02,
            False,
            "Share of the tests of token sets that are significant after correction",
        ),
    )
)

_GEOMETRY = tuple(
    Metric(
        name,
        "sae",
        title,
        0.005,
        f"{definition}; absolute change.",
        one_sided=True,
        stage="directions",
    )
    for name, title, definition in (
        (
            "geometry.match",
            "Best matches in other SAEs",
            "Mean cosine of the latents' best matches, mean over the SAEs of the report that it is "
            "compared with",
        ),
        (
            "geometry.unmatched",
            "Without a match",
            "Share of the latents without a match, mean over the SAEs of the report that it is "
            "compared with",
        ),
        (
            "geometry.clustered",
            "In a cluster",
            "Share of the latents that are in a cluster",
        ),
        (
            "geometry.split",
            "Split latents",
            "Share of the latents that are split into several of another SAE, mean over the SAEs "
            "of the report that it is compared with",
        ),
    )
)

_STEERING = tuple(
    Metric(
        f"steering.{name}",
        "latent",
        title,
        tolerance,
        f"{definition} change.",
        True,
        weight=weight,
        stage="steering",
    )
    for name, title, tolerance, weight, definition in (
        (
            "visible_from",
            "Steering visible from",
            0.6,
            1.0,
            "Least strength at which steering with the latent shows, 0 where none does; relative",
        ),
        (
            "broken_from",
            "Steering breaks from",
            0.6,
            1.0,
            "Least strength at which steering doubles perplexity, 0 where none does; relative",
        ),
        (
            "effect",
            "Steering effect",
            0.4,
            2.0,
            "Share of steered texts that hold the concept minus that of unsteered, at the best "
            "strength that leaves text whole; absolute",
        ),
        (
            "perplexity_ratio",
            "Steering perplexity",
            0.4,
            1.0,
            "Perplexity of the steered text in multiples of the unsteered, at that strength; "
            "relative",
        ),
    )
)

_INTERVENTIONS = (
    Metric(
        "interventions.largest",
        "prompt",
        "Largest effect of a latent",
        0.3,
        "Largest change of the answer's logit, either way, when one latent is ablated at all "
        "positions; absolute change.",
        True,
        stage="interventions",
    ),
    Metric(
        "interventions.ablated",
        "prompt",
        "Effects of ablation",
        0.4,
        "Largest difference between the runs in what ablating a latent, the same in both, does to "
        "the answer's logit.",
        stage="interventions",
    ),
    Metric(
        "interventions.clamped",
        "prompt",
        "Effects of clamping",
        0.5,
        "The same of clamping it to a multiple of its maximum; only where the text is the same.",
        stage="interventions",
    ),
)

_PROBING = (
    Metric(
        "probing.accuracy",
        "sae",
        "Sparse probing",
        0.03,
        "Held-out accuracy of probes on the most latents, mean over the concepts of the report; "
        "absolute change.",
        one_sided=True,
        stage="probing",
    ),
    Metric(
        "probing.auc",
        "sae",
        "Sparse probing, AUC",
        0.03,
        "Held-out area under the curve of probes on the most latents, mean over the concepts of "
        "the report; absolute change.",
        one_sided=True,
        stage="probing",
    ),
    Metric(
        "probing.accuracy_activations",
        "sae",
        "Probing of activations",
        0.03,
        "Held-out accuracy of probes on the activations that the SAE reads, mean over the concepts "
        "of the report; absolute change.",
        one_sided=True,
        stage="probing",
    ),
)

_BIAS = tuple(
    Metric(
        f"bias.{name}",
        "sae",
        title,
        0.05 if name == "accuracy_after" else 0.12,
        f"Bias test, {definition}; absolute change.",
        one_sided=True,
        stage="bias",
    )
    for name, title, definition in (
        ("worst_before", "Bias test, before", "accuracy in the worst group of the biased probe"),
        (
            "worst_after",
            "Bias test, after",
            "the same with the latents that are judged irrelevant held at their means",
        ),
        (
            "accuracy_after",
            "Bias test, accuracy after",
            "accuracy on balanced texts with these held at their means",
        ),
        (
            "worst_skyline",
            "Bias test, skyline",
            "accuracy in the worst group with latents of the attribute's probe held at their means",
        ),
    )
)

_ABSORPTION = (
    Metric(
        "absorption.fraction",
        "sae",
        "Absorption",
        0.03,
        "Mean absorption fraction on first letters, over letters whose probe is good enough; "
        "absolute change.",
        one_sided=True,
        stage="absorption",
    ),
    Metric(
        "absorption.full",
        "sae",
        "Full absorption",
        0.03,
        "Share of words that another latent absorbs fully, mean over letters whose probe is good "
        "enough; absolute change.",
        one_sided=True,
        stage="absorption",
    ),
)

_META = (
    Metric(
        "meta.explained_variance",
        "sae",
        "Meta-SAE, explained variance",
        0.01,
        "Explained variance of the decoder rows, mean over the meta-SAEs of the SAE; absolute "
        "change.",
        one_sided=True,
        stage="meta",
        sampled="always",
    ),
    Metric(
        "meta.active",
        "sae",
        "Meta-SAE, active",
        0.02,
        "Active meta-latents a decoder row, mean over the meta-SAEs of the SAE; relative change.",
        one_sided=True,
        stage="meta",
        sampled="always",
        relative=True,
    ),
    Metric(
        "meta.dead_share",
        "sae",
        "Meta-SAE, never active",
        0.01,
        "Share of the meta-latents that are active on no decoder row, mean over the meta-SAEs of "
        "the SAE; absolute change.",
        one_sided=True,
        stage="meta",
    ),
)

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        # ---- report: counts, of which any is a change
        Metric("saes.added", "report", "SAEs added", 0, "SAEs only after."),
        Metric("saes.removed", "report", "SAEs removed", 0, "SAEs only before."),
        Metric("prompts.added", "report", "Prompts added", 0, "Prompts only after."),
        Metric("prompts.removed", "report", "Prompts removed", 0, "Prompts only before."),
        Metric(
            "facts.changed",
            "report",
            "Settings changed",
            0,
            "Settings and origins that differ and on which numbers may depend.",
        ),
        # ---- SAE
        Metric("latents.shown", "sae", "Latents shown", 0, "Latents in the report.", True),
        Metric("latents.added", "sae", "Latents added", 0, "Latents only after."),
        Metric("latents.removed", "sae", "Latents removed", 0, "Latents only before."),
        Metric("latents.changed", "sae", "Latents changed", 0, "Latents that changed."),
        Metric(
            "l0",
            "sae",
            "L0",
            0.02,
            "Active latents a token; relative change.",
            True,
            relative=True,
            stage="statistics",
        ),
        Metric(
            "dead_share",
            "sae",
            "Never active",
            0.005,
            "Share of the SAE's latents that were never active on the text; absolute change.",
            True,
            stage="statistics",
        ),
        *(
            Metric(
                f"dense_share.{percent}",
                "sae",
                f"Active on more than {percent} %",
                0.01,
                f"Share of the SAE's latents that were active on more than {percent} % of the "
                "counted tokens; absolute change.",
                True,
                stage="statistics",
            )
            for percent in (1, 10)
        ),
        Metric(
            "density.jsd",
            "sae",
            "Densities of all latents",
            0.05,
            "Distribution of log10 density over all latents of the SAE: " + _JSD + ".",
            stage="statistics",
        ),
        *_FIGURES,
        *_CAPABILITY,
        *_LENS,
        *_GEOMETRY,
        *_META,
        *_PROBING,
        *_BIAS,
        *_ABSORPTION,
        # ---- latent
        Metric(
            "density",
            "latent",
            "Density",
            0.12,
            "Share of tokens on which the latent is active; size is |log2(after / before)|, each "
            "with half a token added.",
            True,
            rare=15,
            weight=4,
            full=4,
            stage="statistics",
        ),
        Metric(
            "max",
            "latent",
            "Maximum",
            0.15,
            "Largest activation; relative change.",
            True,
            weight=1,
            stage="statistics",
        ),
        Metric(
            "histogram.jsd",
            "latent",
            "Activation histogram",
            0.12,
            "Distribution of the non-zero activations over the bins of the logarithmic histogram: "
            + _JSD
            + ".",
            rare=12,
            weight=1,
            stage="statistics",
        ),
        Metric(
            "top_tokens.rbo",
            "latent",
            "Tokens by share",
            0.25,
            _RBO + ".",
            rare=4,
            weight=4,
            stage="statistics",
        ),
        Metric(
            "examples",
            "latent",
            "Top examples",
            0.35,
            "1 minus the share of common places in the text among the top examples; only where the "
            "text is the same.",
            weight=2,
            stage="statistics",
        ),
        Metric(
            "logit_lens.rbo",
            "latent",
            "Raised tokens",
            0.25,
            _RBO + ".",
            weight=2,
            stage="weights",
        ),
        Metric(
            "deembedding.rbo",
            "latent",
            "De-embedding",
            0.35,
            _RBO + ".",
            weight=2,
            stage="weights",
        ),
        Metric(
            "neighbours.rbo",
            "latent",
            "Neighbours",
            0.25,
            _RBO + "; only between equal SAEs.",
            weight=0.5,
            stage="weights",
        ),
        Metric(
            "coactivation.rbo",
            "latent",
            "Co-activation",
            0.4,
            _RBO + "; likewise.",
            rare=2,
            weight=0.5,
            stage="statistics",
        ),
        Metric(
            "output_score",
            "latent",
            "Output score",
            0.05,
            "How much turning the latent up raises its own top tokens; absolute change.",
            True,
            weight=1,
            full=0.5,
            stage="output_scores",
        ),
        Metric(
            "output_score.percentile",
            "latent",
            "Output score among controls",
            0.5,
            "Share of latents of like density, turned up by as much, that score lower; absolute "
            "change.",
            True,
            stage="output_scores",
        ),
        Metric(
            "explanations",
            "latent",
            "Explanations",
            0,
            "Share of explanations that only one side has.",
            weight=1,
            stage="explanations",
        ),
        *_STEERING,
        # ---- prompt
        Metric(
            "answer.probability",
            "prompt",
            "Answer's probability",
            0.03,
            "Of the true model; absolute change.",
            True,
            stage="circuits",
        ),
        Metric(
            "next.rbo",
            "prompt",
            "Next tokens",
            0.2,
            _RBO + ".",
            stage="circuits",
        ),
        Metric(
            "graph.replacement",
            "prompt",
            "Replacement score",
            0.02,
            "Of the attribution graph; absolute change.",
            True,
            stage="circuits",
        ),
        Metric(
            "graph.completeness",
            "prompt",
            "Completeness score",
            0.02,
            "Of the attribution graph; absolute change.",
            True,
            stage="circuits",
        ),
        *_INTERVENTIONS,
        Metric(
            "edges.gained",
            "prompt",
            "Edges gained",
            0,
            "Edges only after, beyond noise.",
            stage="circuits",
        ),
        Metric(
            "edges.lost",
            "prompt",
            "Edges lost",
            0,
            "Edges only before, beyond noise.",
            stage="circuits",
        ),
        Metric(
            "edges.sign",
            "prompt",
            "Edges that turned",
            0,
            "Edges whose sign changed.",
            stage="circuits",
        ),
        Metric(
            "edges.weight",
            "prompt",
            "Edges reweighted",
            0,
            "Edges whose weight changed.",
            stage="circuits",
        ),
        # ---- edge
        Metric(
            "edge",
            "edge",
            "Edge",
            0.1,
            "Absolute change of an edge's weight, divided by the largest absolute weight of its "
            "map on either side.",
            stage="circuits",
        ),
    )
}
"""Every metric by name, in the order in which reports show them."""

WITHOUT_METRICS: Mapping[str, str] = {
    "blind": "It says which latents are met blind, and measures nothing.",
    "sparsity": "It is what a file that comes with the SAE says; `density` is what was measured.",
    "mean_gradients": "Of edges averaged over a file of prompts only the strongest are kept, which "
    "are others in every run; edges are compared prompt by prompt (`edge`).",
    "example_attribution": "It is about single top examples; whether these are the same ones is "
    "compared (`examples`).",
}
"""Stages whose tables no metric is taken from, and why."""


def register(metric: Metric) -> None:
    """Add a metric behind the others; what computes it is registered where it is computed.

    Raises:
        ValueError: There is one of that name.
    """
    if metric.name in METRICS:
        raise ValueError(f"there are two metrics '{metric.name}'")
    METRICS[metric.name] = metric
