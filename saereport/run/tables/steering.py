"""The tables of steering: what latents do to the text that a model writes.

`prompt` is the number of a steering prompt, `step` the place of a strength among those that were
tried, from the smallest. Both count from 0.
"""

from __future__ import annotations

from saereport.run.kinds import (
    Cosine,
    Count,
    Flag,
    Latent,
    NonNegative,
    OneOf,
    Position,
    Rank,
    Real,
    SaeName,
    Share,
    Text,
    Token,
)
from saereport.run.table import BOOL, F32, F64, I32, I64, LATENT, TEXT, Column, Table, listed

_DIRECTION = Column("direction", I32, Rank())
_NUMBER = Column("prompt", I32, Rank())
_STEP = Column("step", I32, Rank())
_STRENGTH = Column("strength", F64, Real())

_WINDOW = (
    Column("form", TEXT, OneOf(words=("additive", "orthogonal", "projection_cap"))),
    Column("positions", TEXT, Text()),
    Column("norm", F64, NonNegative()),
    Column("top_tokens", listed(I32), Token()),
    Column("words", listed(TEXT), Text()),
    Column("visible_from", F64, NonNegative()),
    Column("broken_from", F64, NonNegative()),
    Column("best", F64, NonNegative()),
    Column("effect", F64, Real()),
    Column("effect_interval", listed(F64), Real()),
    Column("perplexity_ratio", F64, NonNegative()),
)
_AT_STRENGTH = (
    _STEP,
    _STRENGTH,
    Column("n_texts", I64, Count()),
    Column("n_tokens", I64, Count()),
    Column("perplexity", F64, NonNegative()),
    Column("n_with_top", I64, Count()),
    Column("share_with_top", F64, Share()),
    Column("n_with_concept", I64, Count()),
    Column("share_with_concept", F64, Share()),
    Column("concept_interval", listed(F64), Share()),
    Column("difference", F64, Real()),
    Column("difference_interval", listed(F64), Real()),
)
_TEXT_OF = (
    _NUMBER,
    _STEP,
    Column("sample", I32, Rank()),
    _STRENGTH,
    Column("tokens", listed(I32), Token(), never_empty=True),
    Column("perplexity", F64, NonNegative()),
)
_CONCEPT = (
    "The concept that is looked for are `words` that the user gave (in upper or lower case, alone "
    "between spaces and signs), or where there are none the `top_tokens` of the logit lens. "
    "`best` is the positive strength, of those at which the text is not broken, with the largest "
    "share of continuations that hold it, and 0 where there is none; `effect` is that share minus "
    "the one without steering, with Newcombe's 95 % interval (as of independent samples, though "
    "continuations share prompts and random numbers), and `perplexity_ratio` the perplexity there "
    "in multiples of that without steering.\n\n"
)
_BROKEN = (
    "`broken_from` is the least positive strength at which the perplexity of the continuations "
    "under the unsteered model has doubled. 0 stands for none of the strengths that were tried."
)
_OF_STRENGTH = (
    "All continuations at one strength, over prompts and samples: how many they are, and their "
    "tokens; their perplexity under the unsteered model, exp of the mean cross-entropy of all of "
    "their tokens (at most 1e30); how many, and which share, hold a top token of the logit lens; "
    "how many, and which share, hold the concept that is looked for, with Wilson's 95 % interval; "
    "that share minus the one without steering, with Newcombe's 95 % interval."
)

STEERING_TABLES = (
    Table(
        "steering_prompts",
        "run",
        ("prompt",),
        (
            _NUMBER,
            Column("text", TEXT, Text()),
            Column("built_in", BOOL, Flag()),
            Column("tokens", listed(I32), Token(), never_empty=True),
        ),
        "Prompts to steer on",
        "The prompts that steered and unsteered text continues. `tokens` are what the model reads: "
        "BOS and the text, or the text as a user's turn in the tokeniser's chat template.",
        about="run",
    ),
    Table(
        "steering_windows",
        "sae",
        ("latent",),
        (LATENT, Column("max", F32, NonNegative()), *_WINDOW),
        "Steering",
        "A latent is turned up while the model writes. At every position of prompt and "
        "continuation, or at some (`positions`: those of `generated` tokens, or from one to "
        "another, from 0), where the SAE writes, `strength` times a vector v is added: v is the "
        "latent's decoder row times its largest activation on the text (`max`), so that strength 1 "
        "is what the latent itself adds at its strongest, a vector of length `norm`. In the "
        "`orthogonal` form the component along v of what is there is replaced by that; with a "
        "`projection_cap` that component is lowered to it where it is above. At strength 0 nothing "
        "is done, in any form.\n\n"
        "Tokens are drawn at the same random numbers for every strength: of the distribution in "
        "the order of probability, the token is taken at which the cumulative one passes the "
        "number. A continuation ends at the token that ends a text or a turn.\n\n"
        + _CONCEPT
        + "The steering window has two ends. `visible_from` is the least positive strength with a "
        "visible effect: more continuations than without steering hold the concept, or have the "
        "latent active on them when the unsteered model reads them, by Fisher's exact test, "
        "one-sided, at 5 % over both signs and all positive strengths together (Bonferroni); so "
        "with a handful of continuations nothing can be visible. " + _BROKEN,
        about="latent",
        reveals_text=True,
        on_pages=False,
    ),
    Table(
        "steering_strengths",
        "sae",
        ("latent", "step"),
        (
            LATENT,
            *_AT_STRENGTH,
            Column("activation", F64, Real()),
            Column("n_active", I64, Count()),
            Column("share_active", F64, Share()),
        ),
        "Steering by strength",
        _OF_STRENGTH
        + " Also the latent's mean activation on them in the unsteered model (mean over "
        "continuations of the mean over tokens, special ones left out), and on how many and which "
        "share of them it is active at all.",
        about="latent",
        reveals_text=True,
        on_pages=False,
    ),
    Table(
        "steered_texts",
        "sae",
        ("latent", "prompt", "step", "sample"),
        (
            LATENT,
            *_TEXT_OF,
            Column("mean_activation", F64, Real()),
            Column("max_activation", F64, Real()),
            Column("n_top_tokens", I32, Count()),
            Column("n_concept", I32, Count()),
        ),
        "Steered text",
        "Each continuation: its tokens, its perplexity under the unsteered model given the prompt "
        "(at most 1e30), the mean and the largest activation of the latent on it in the unsteered "
        "model, special tokens left out, how many of its tokens are top tokens of the latent's "
        "logit lens, and how often its concept stands in it.",
        about="latent",
        reveals_text=True,
        on_pages=False,
    ),
    Table(
        "steering_directions",
        "run",
        ("direction",),
        (
            _DIRECTION,
            Column("name", TEXT, Text()),
            Column("kind", TEXT, OneOf(words=("latents", "file", "means"))),
            Column("hooks", listed(TEXT), Text()),
            Column("unit", TEXT, Text()),
            Column("saes", listed(TEXT), Text()),
            Column("latents", listed(I32), Rank(), same_length_as="saes"),
            Column("weights", listed(F64), Real(), same_length_as="saes"),
            Column("top_values", listed(F32), Real()),
            Column("bottom_tokens", listed(I32), Token()),
            Column("bottom_values", listed(F32), Real()),
            *_WINDOW,
        ),
        "Steering with directions",
        "A direction is steered as a latent is: `latents` is a weighted sum of latents of `saes`, "
        "each written where its SAE writes, strength 1 being each one's largest activation on the "
        "text times its weight; a `file`'s vector lies at one hook point, and strength 1 is the "
        "median length of the activations there on the first 4,096 tokens of the text that count; "
        "`means` is the mean activation over one set of prompts (of each one's last token, or over "
        "all of their tokens but special ones) minus that over another, and strength 1 is that "
        "difference. Where a length was asked for, strength 1 has that (`norm`). The logit lens "
        "is what the direction adds to the residual stream times the unembedding, the final "
        "norm's weight folded in.\n\n"
        + _CONCEPT
        + "The steering window has two ends. `visible_from` is the least positive strength with "
        "more continuations that hold the concept than without steering, by Fisher's exact test, "
        "one-sided, at 2.5 % over all positive strengths together (Bonferroni). " + _BROKEN,
        about="run",
        on_pages=False,
    ),
    Table(
        "direction_strengths",
        "run",
        ("direction", "step"),
        (_DIRECTION, *_AT_STRENGTH, Column("activation", F64, Real())),
        "Directions by strength",
        _OF_STRENGTH
        + " Also the mean, over continuations of the mean over tokens without special ones, of the "
        "projection of the unsteered model's activations on the direction; of a sum of latents, "
        "of the sum over latents of weight times activation, each in parts of its maximum.",
        about="run",
        on_pages=False,
    ),
    Table(
        "directed_texts",
        "run",
        ("direction", "prompt", "step", "sample"),
        (
            _DIRECTION,
            *_TEXT_OF,
            Column("mean_activation", F64, Real()),
            Column("max_activation", F64, Real()),
            Column("n_top_tokens", I32, Count()),
            Column("n_concept", I32, Count()),
        ),
        "Text steered with directions",
        "As of latents; in place of an activation, the mean projection on the direction (or the "
        "weighted sum of activations), and the largest of it either way.",
        about="run",
        on_pages=False,
    ),
    Table(
        "direction_latents",
        "run",
        ("direction", "sae", "rank"),
        (
            _DIRECTION,
            Column("sae", TEXT, SaeName()),
            Column("rank", I32, Rank()),
            Column("latent", I32, Latent(of="sae")),
            Column("cosine", F64, Cosine()),
        ),
        "Latents nearest to directions",
        "Of each SAE that writes at a direction's hook point, the ten latents whose decoder rows "
        "have the cosine with it that is farthest from zero, either way.",
        about="sae",
        on_pages=False,
    ),
    Table(
        "direction_projections",
        "run",
        ("direction",),
        (
            _DIRECTION,
            Column("n_tokens", I64, Count()),
            Column("mean", F64, Real()),
            Column("std", F64, NonNegative()),
            Column("lower", F64, Real()),
            Column("width", F64, NonNegative()),
            Column("counts", listed(I64), Count()),
        ),
        "Projection on directions",
        "Activations at a direction's hook point times the direction at length 1, on the first "
        "4,096 tokens of the text that count: mean, standard deviation, and counts in equal bins "
        "from the smallest (`lower`).",
        about="run",
        on_pages=False,
    ),
    Table(
        "direction_examples",
        "run",
        ("direction", "side", "rank"),
        (
            _DIRECTION,
            Column("side", TEXT, OneOf(words=("largest", "smallest"))),
            Column("rank", I32, Rank()),
            Column("projection", F64, Real()),
            Column("tokens", listed(I32), Token(), never_empty=True),
            Column("place", I32, Position()),
        ),
        "Examples of projections on directions",
        "Where in these tokens the projection is largest and smallest, one place a sequence, with "
        "twelve tokens before and four after.",
        about="run",
        on_pages=False,
    ),
)
