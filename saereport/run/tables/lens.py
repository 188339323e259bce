"""The tables of the logit lens over a whole dictionary, and of token sets that it separates."""

from __future__ import annotations

from saereport.run.kinds import Count, Flag, Latent, NonNegative, OneOf, Real, Share, Text, Token
from saereport.run.table import (
    BOOL,
    F32,
    F64,
    I32,
    I64,
    LATENT,
    RANK,
    TEXT,
    TOKEN_LISTS,
    Column,
    Table,
    listed,
)

SET = Column("set", TEXT, Text())
OTHER = Column("latent", I32, Latent())
SCORES = (
    Column("score", F32, Real()),
    Column("p", F32, Share()),
    Column("corrected", F32, Share()),
)

_SCORE = (
    "The tokens that stand for text are ranked by the logit lens: none that the tokeniser calls "
    "special, no places that a vocabulary keeps free (`<unused7>`, `[unused7]`, "
    "`<|reserved_special_token_7|>`, ids without a token), and no byte (`<0x41>`) where another "
    "token is its text. Walking down from the token that is raised most, each token of the set S "
    "adds 1/|S| to a sum, each other one takes 1/(V - |S|) away; `score` is the sum where it is "
    "farthest "
    "from 0, with its sign: near 1 the set stands at the top and is raised as a whole, near -1 "
    "it is lowered. (Gene set enrichment analysis with equal weights, Subramanian et al. 2005; "
    "the two-sample Kolmogorov-Smirnov statistic with a sign.) Tokens with equal logits have no "
    "order, so the sum is looked at only before and behind all of them."
)
_P = (
    "`p` is from a permutation test: the share of random sets of as many tokens whose sum gets "
    "at least as far from 0 to either side, the set itself counted in. Where no logits are "
    "equal that null is the same for every latent, so it is drawn once for each size of a set; "
    "equal logits bring scores nearer to 0, and p-values then err towards 1. `corrected` is "
    "corrected for the number of tests by the method of Benjamini and Hochberg (1995) over all "
    "sets and latents of the SAE that were tested: of those with at most 0.05, about 5 % are to "
    "be expected by chance. Sets overlap and latents are alike, so tests are not independent. "
    "That a set stands apart says nothing of how much: the score does."
)

LENS_TABLES = (
    Table(
        "lens_moments",
        "sae",
        ("latent",),
        (
            OTHER,
            Column("mean", F32, Real()),
            Column("std", F32, NonNegative()),
            Column("skewness", F32, Real()),
            Column("kurtosis", F32, Real()),
        ),
        "Logit lens of the whole dictionary",
        "For every latent of the SAE, shown or not (or for evenly spaced ones, where a number of "
        "them was asked for): mean, standard deviation, skewness and excess kurtosis (0 for a "
        "normal distribution) of the logit lens over the vocabulary, population moments from "
        "deviations from the mean in float64. The logit lens is that of the table `logit_lens`, "
        "with all that is folded into it.\n\n"
        "What they tell apart follows Gurnee et al. 2024, 'Universal neurons in GPT2 language "
        "models', who describe neurons so, without thresholds; those here are ours, and the "
        "kinds a heuristic for where to look. `prediction`: excess kurtosis of at least 1 and "
        "skewness of at least 0.2, a few tokens are raised far more than the rest moves. "
        "`suppression`: the same with skewness of at most -0.2, a few tokens are lowered. "
        "`partition`: excess kurtosis below 0, flatter than a normal distribution as with two "
        "humps, and a standard deviation above the median of the latents measured: one part of "
        "the vocabulary is moved against the other.",
        about="sae",
        on_pages=False,
    ),
    Table(
        "lens_extremes",
        "sae",
        ("kind", "rank"),
        (
            Column("kind", TEXT, OneOf(words=("prediction", "suppression", "partition"))),
            RANK,
            OTHER,
            *TOKEN_LISTS,
        ),
        "Extremes of the logit lens",
        "The latents that are farthest towards each kind of `lens_moments`, whether they reach "
        "its thresholds or not: towards prediction those of the largest kurtosis among latents "
        "of positive skewness, towards suppression among those of negative skewness, and towards "
        "partition those of the largest standard deviation among latents whose kurtosis is not "
        "above the median; each with the tokens that it raises and lowers most.",
        about="sae",
        on_pages=False,
    ),
    Table(
        "token_sets",
        "run",
        ("set",),
        (
            SET,
            Column("own", BOOL, Flag()),
            Column("n_tokens", I64, Count()),
            Column("n_ranked", I64, Count()),
            Column("n_left_out", I64, Count()),
            Column("n_permutations", I64, Count()),
            Column("smallest_p", F64, Share()),
            Column("examples", listed(I32), Token()),
            Column("missing", listed(TEXT), Text()),
            Column("n_missing", I64, Count()),
        ),
        "Token sets",
        "The sets of tokens that the logit lens is tested for: built in, or the user's `own`. "
        "Tokens are taken as the text that they stand for, without a space before it where that "
        "matters to no set: `leading_space` begins with a space, `white_space` is nothing else; "
        "`digits`, `punctuation` (with symbols) and `upper_case` (two letters or more) consist "
        "of these; `capitalised` is an upper-case letter and then lower-case ones. `given_names`, "
        "`pronouns`, `function_words`, `number_words`, `days`, `months` and `countries` are lists "
        "of English words. A token is of a script where it has letters and all of them are of it, "
        "by the names that Unicode gives characters; `part_of_a_character` are bytes that are no "
        "text alone. A word of the user's stands for the tokens that are it, with and without a "
        "space before; one that no single token is, is among the `missing`.\n\n"
        "`n_ranked` is the number of tokens V that are ranked, `n_left_out` that of those that "
        "stand for no text, `smallest_p` the smallest p-value "
        "that `n_permutations` random sets allow, 1/(n + 1). A set of fewer than 5 tokens, or of "
        "all but fewer than 5, is not tested and has 0 of these.",
        about="run",
        version=2,
    ),
    Table(
        "token_set_scores",
        "sae",
        ("latent", "set"),
        (LATENT, SET, *SCORES),
        "Token sets",
        "Which sets of tokens a latent raises or lowers as a whole. " + _SCORE + "\n\n" + _P,
        about="latent",
    ),
    Table(
        "token_set_strongest",
        "sae",
        ("set", "end", "rank"),
        (
            SET,
            Column("end", TEXT, OneOf(words=("raised", "lowered"))),
            RANK,
            OTHER,
            *SCORES,
        ),
        "Strongest latents of each token set",
        "Of the latents that were tested, those with the largest scores of a set (`raised`) and "
        "with the smallest (`lowered`), as in `token_set_scores`.",
        about="sae",
        on_pages=False,
    ),
    Table(
        "token_set_counts",
        "sae",
        ("set",),
        (
            SET,
            Column("n_tested", I64, Count()),
            Column("n_raised", I64, Count()),
            Column("n_lowered", I64, Count()),
        ),
        "Latents of each token set",
        "How many latents were tested for a set, and how many of them raise or lower it with a "
        "corrected p-value of at most 0.05.",
        about="sae",
        on_pages=False,
    ),
)
