"""The tables of steering: what latents do to the text that a model writes.

`prompt` is the number of a steering prompt, `step` the place of a strength among those that were
tried, from the smallest. Both count from 0.
"""

from __future__ import annotations

from saereport.run.kinds import Count, Flag, NonNegative, OneOf, Rank, Real, Share, Text, Token
from saereport.run.table import BOOL, F32, F64, I32, I64, LATENT, TEXT, Column, Table, listed

_NUMBER = Column("prompt", I32, Rank())
_STEP = Column("step", I32, Rank())
_STRENGTH = Column("strength", F64, Real())

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
        (
            LATENT,
            Column("form", TEXT, OneOf(words=("additive", "orthogonal"))),
            Column("max", F32, NonNegative()),
            Column("norm", F64, NonNegative()),
            Column("top_tokens", listed(I32), Token()),
            Column("visible_from", F64, NonNegative()),
            Column("broken_from", F64, NonNegative()),
        ),
        "Steering",
        "A latent is turned up while the model writes. At every position of prompt and "
        "continuation, where the SAE writes, `strength` times a vector v is added: v is the "
        "latent's decoder row times its largest activation on the text (`max`), so that strength 1 "
        "is what the latent itself adds at its strongest, a vector of length `norm`. In the "
        "`orthogonal` form the component along v of what is there is replaced by that. At strength "
        "0 nothing is done, in either form.\n\n"
        "Tokens are drawn at the same random numbers for every strength: of the distribution in "
        "the order of probability, the token is taken at which the cumulative one passes the "
        "number. A continuation ends at the token that ends a text or a turn.\n\n"
        "The steering window has two ends. `visible_from` is the least positive strength with a "
        "visible effect: more continuations than without steering hold a top token of the "
        "latent's logit lens (`top_tokens`), or have the latent active on them when the unsteered "
        "model reads them, by Fisher's exact test, one-sided, at 5 % over both signs and all "
        "positive strengths together (Bonferroni); so with a handful of continuations nothing can "
        "be visible. `broken_from` is the least positive "
        "strength at which the perplexity of the continuations under the unsteered model has "
        "doubled. 0 stands for none of the strengths that were tried. Without a logit lens there "
        "are no top tokens, and the latent's activation is the only sign.",
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
            _STEP,
            _STRENGTH,
            Column("n_texts", I64, Count()),
            Column("n_tokens", I64, Count()),
            Column("perplexity", F64, NonNegative()),
            Column("n_with_top", I64, Count()),
            Column("share_with_top", F64, Share()),
            Column("activation", F64, Real()),
            Column("n_active", I64, Count()),
            Column("share_active", F64, Share()),
        ),
        "Steering by strength",
        "All continuations at one strength, over prompts and samples: how many they are, and their "
        "tokens; their perplexity under the unsteered model, exp of the mean cross-entropy of all "
        "of their tokens (at most 1e30); how many, and which share, hold a top token of the "
        "latent's logit lens; the latent's mean activation on them in the unsteered model (mean "
        "over continuations of the mean over tokens, special ones left out), and on how many and "
        "which share of them it is active at all.",
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
            _NUMBER,
            _STEP,
            Column("sample", I32, Rank()),
            _STRENGTH,
            Column("tokens", listed(I32), Token(), never_empty=True),
            Column("perplexity", F64, NonNegative()),
            Column("mean_activation", F64, Real()),
            Column("max_activation", F64, Real()),
            Column("n_top_tokens", I32, Count()),
        ),
        "Steered text",
        "Each continuation: its tokens, its perplexity under the unsteered model given the prompt "
        "(at most 1e30), the mean and the largest activation of the latent on it in the unsteered "
        "model, special tokens left out, and how many of its tokens are top tokens of the latent's "
        "logit lens.",
        about="latent",
        reveals_text=True,
        on_pages=False,
    ),
)
