"""The tables of circuits on prompts.

They belong to the registry in `tables`, which is where the rest of the program reads them; they
are written down here to keep both modules readable. Shared conventions: `prompt` is the number of
a prompt in the order in which they were asked for; `position` counts tokens from 0; an empty name
of an SAE (`splice`, `early`, `late`) stands for the model itself: the true run, the tokens before
the first block, or the logits.
"""

from __future__ import annotations

from saereport.run.kinds import (
    POSITIONS,
    Count,
    FileName,
    Flag,
    Head,
    Latent,
    Layer,
    OneOf,
    Position,
    Rank,
    Real,
    SaeName,
    Share,
    Text,
    Token,
    When,
    Whole,
)
from saereport.run.table import (
    BOOL,
    F32,
    F64,
    GROUP_VALUES,
    I32,
    I64,
    PROMPT,
    RANK,
    TEXT,
    Column,
    Table,
    listed,
)

_BOS = (
    "BOS and other special tokens keep their true activation wherever a reconstruction is spliced "
    "in, and their latents are neither inputs nor outputs, unless the report was made with BOS "
    "included: BOS has enormous activations that SAEs are rarely trained on, and left in it "
    "dominates every table."
)

PROMPT_TABLES = (
    Table(
        "prompts",
        "run",
        ("prompt",),
        (
            PROMPT,
            Column("slug", TEXT, FileName(), unique=True),
            Column("name", TEXT, Text()),
            Column("kind", TEXT, OneOf(words=("text", "ids", "random"))),
            Column("tokens", listed(I32), Token(), longest=POSITIONS),
            Column("counted", listed(BOOL), Flag(), same_length_as="tokens", longest=POSITIONS),
            Column("answer", I32, Token(or_none=True)),
            Column("answer_note", TEXT, Text()),
            Column("period", I32, Whole(high=POSITIONS - 1)),
            Column("first", I32, Position()),
        ),
        "Prompts",
        "The prompts that circuits are computed on, as token ids, with the tokens that take part "
        "(`counted`). " + _BOS + " `kind` is `text`, `ids`, or `random`: `period` seeded random "
        "tokens, repeated, the first of them at position `first`. `answer` is the token whose rank "
        "and probability are followed, -1 for none; where an answer has several tokens it is the "
        "first, and `answer_note` says so.",
        about="prompt",
    ),
    Table(
        "prompt_notes",
        "run",
        ("prompt", "number"),
        (
            PROMPT,
            Column("number", I32, Rank()),
            Column("topic", TEXT, Text()),
            Column("text", TEXT, Text()),
        ),
        "Left out of prompts",
        "What was asked for on a prompt and could not be computed, or only in part, with the "
        "reason.",
        about="prompt",
    ),
    Table(
        "prompt_next",
        "run",
        ("prompt", "splice", "rank"),
        (
            PROMPT,
            Column("splice", TEXT, SaeName(or_model=True)),
            RANK,
            Column("token", I32, Token()),
            Column("logit", F32, Real()),
            Column("probability", F32, Share()),
        ),
        "Next tokens",
        "The ten most likely next tokens after a prompt: by the true model, and with the "
        "reconstruction of one SAE (`splice`) in place of its activations at every counted "
        "position. Logits are the model's own; probabilities are over the whole vocabulary.",
        about="prompt",
    ),
    Table(
        "prompt_answers",
        "run",
        ("prompt", "splice"),
        (
            PROMPT,
            Column("splice", TEXT, SaeName(or_model=True)),
            Column("token", I32, Token()),
            RANK,
            Column("logit", F32, Real()),
            Column("probability", F32, Share()),
        ),
        "Answers",
        "Rank (1 is the most likely next token), logit and probability of a prompt's answer, by "
        "the true model and with each SAE's reconstruction spliced in.",
        about="prompt",
    ),
    Table(
        "prompt_activations",
        "run",
        ("prompt", "sae", "latent"),
        (
            PROMPT,
            Column("sae", TEXT, SaeName()),
            Column("latent", I32, Latent(of="sae", shown_only=True)),
            Column("values", listed(F32), Real(), each="token", longest=GROUP_VALUES),
        ),
        "Activations on prompts",
        "Activations of the report's chosen latents at each position of a prompt, in the true run; "
        "only latents that are active at some counted position. Positions that do not count are 0.",
        about="prompt",
    ),
    Table(
        "gradient_maps",
        "run",
        ("prompt", "early", "late"),
        (
            PROMPT,
            Column("early", TEXT, SaeName(or_model=True)),
            Column("late", TEXT, SaeName(or_model=True)),
            Column("n_early", I32, Count()),
            Column("n_late", I32, Count()),
            Column("n_true", I32, Count()),
            Column("n_reconstructed", I32, Count()),
            Column("n_one_only", I32, Count()),
            Column("n_early_all", I32, Count()),
            Column("n_late_all", I32, Count()),
            Column("early_share", F64, Share()),
            Column("late_share", F64, Share()),
            Column("n_pairs", I64, Count()),
            Column("n_kept", I64, Count()),
            Column("total", F64, Real()),
            Column("kept_share", F64, Share()),
        ),
        "Gradient maps",
        "One row for each pair of places on a prompt: tokens to the latents of an SAE, latents to "
        "later latents, latents to logits. `n_early` inputs and `n_late` outputs, each an active "
        "(position, latent), were used, of `n_early_all` and `n_late_all` that were active: where "
        "there are too many, those with the largest activations are looked at, and `early_share` "
        "and `late_share` are the shares of all the activation that they hold. Later latents "
        "are downstream of the earlier SAE's reconstruction, so they are not quite those of the "
        "true run: `n_true` are active in the true run, `n_reconstructed` in the run with the "
        "reconstruction, `n_one_only` in one but not both. Of the `n_pairs` pairs with a gradient, "
        "the `n_kept` largest in absolute value are stored; they hold `kept_share` of the sum of "
        "absolute gradients, `total`, which is over the inputs and outputs that were looked at: "
        "what the others would add is not known. On repeated random tokens as many of the largest "
        "of one block are stored besides: into latents that are active throughout the second "
        "half, at its positions. " + _BOS,
        version=2,
        about="prompt",
    ),
    Table(
        "gradients",
        "run",
        ("prompt", "early", "late", "rank"),
        (
            PROMPT,
            Column("early", TEXT, SaeName(or_model=True)),
            Column("late", TEXT, SaeName(or_model=True)),
            RANK,
            Column("early_latent", I32, Latent(of="early", or_none=True)),
            Column("early_position", I32, Position("prompt")),
            Column("early_activation", F32, Real()),
            Column("late_latent", I32, Latent(of="late", token_when=When("late", ("",)))),
            Column("late_position", I32, Position("prompt")),
            Column("late_activation", F32, Real()),
            Column("gradient", F32, Real()),
        ),
        "Gradients",
        "Derivatives on a prompt, the largest in absolute value first.\n\n"
        "Latent to latent: the derivative of a later latent's activation with respect to an "
        "earlier latent's, through decoder, model and encoder, the other latents held at their "
        "values. The earlier SAE's reconstruction is spliced in, so `late_activation` is that of "
        "the run with the reconstruction; only pairs where both are active. A layer of a "
        "cross-layer transcoder has no reconstruction of its own: what it writes goes to its own "
        "layer's MLP and to every later one, and these are held at what they put out in the true "
        "run, so that what the latent writes there is all that changes.\n\n"
        "Token to latent (`early` empty): the embeddings (token and, where there is one, position) "
        "at one position are multiplied by a scale s; the derivative of a latent with respect to s "
        "at s = 1, in the true run. `early_latent` is -1 and `early_activation` 1.\n\n"
        "Latent to logit (`late` empty): the derivative of the last position's logits of the most "
        "likely tokens of the true run, and of the answer; `late_latent` is the token and "
        "`late_activation` its logit, with the reconstruction spliced in.",
        about="prompt",
    ),
    Table(
        "gradient_checks",
        "run",
        ("prompt", "early", "late", "rank"),
        (
            PROMPT,
            Column("early", TEXT, SaeName(or_model=True)),
            Column("late", TEXT, SaeName(or_model=True)),
            RANK,
            Column("predicted", F32, Real()),
            Column("measured", F32, Real()),
        ),
        "Gradients, checked by intervention",
        "For the strongest pairs (by `rank` in the gradients): what setting the earlier latent to "
        "zero in the true model does to the later latent or logit. Measured: the earlier latent's "
        "write vector times its activation is taken away from the true activation (the SAE's error "
        "stays in), and the model is run. Predicted: minus the activation times the gradient. "
        "Where the two part, the effect is not linear. Of a layer of a cross-layer transcoder it "
        "is taken away from every MLP that the latent writes to, these held otherwise at what they "
        "put out in the true run.",
        about="prompt",
    ),
    Table(
        "induction_latents",
        "run",
        ("prompt", "sae", "latent"),
        (
            PROMPT,
            Column("sae", TEXT, SaeName()),
            Column("latent", I32, Latent(of="sae")),
            Column("mean", F32, Real()),
        ),
        "Latents active throughout the repetition",
        "On a prompt of repeated random tokens: latents that are active, in the true run, on every "
        "counted position of the second half, with their mean activation there. Induction shows "
        "among these: random tokens have nothing else in common.",
        about="prompt",
    ),
    Table(
        "head_attributions",
        "run",
        ("prompt", "sae", "latent", "position"),
        (
            PROMPT,
            Column("sae", TEXT, SaeName()),
            Column("latent", I32, Latent(of="sae")),
            Column("position", I32, Position("prompt")),
            Column("activation", F32, Real()),
            Column("pre_activation", F32, Real()),
            Column("bias", F32, Real()),
            Column("values", listed(F32), Real(), each="head and source", longest=GROUP_VALUES),
        ),
        "Direct latent attribution",
        "What each head h brings from each source position s to an attention latent at position "
        "d: A[h, d, s] (v[s, h] @ W_enc[h, :, i]), with attention pattern A and values v (without "
        "their bias, whose share is part of `bias`). `values` holds heads times positions 0 to d, "
        "row by row; with `bias` they sum to the latent's pre-activation.",
        about="prompt",
    ),
    Table(
        "patterns",
        "run",
        ("prompt", "layer", "head"),
        (
            PROMPT,
            Column("layer", I32, Layer()),
            Column("head", I32, Head()),
            Column("values", listed(F32), Real(), each="pair of tokens", longest=GROUP_VALUES),
        ),
        "Attention patterns",
        "Attention of the heads that matter most to the latents above, destination before source, "
        "row by row without the zeros above the diagonal.",
        about="prompt",
    ),
    Table(
        "components",
        "run",
        ("prompt", "sae", "latent", "position"),
        (
            PROMPT,
            Column("sae", TEXT, SaeName()),
            Column("latent", I32, Latent(of="sae")),
            Column("position", I32, Position("prompt")),
            Column("activation", F32, Real()),
            Column("pre_activation", F32, Real()),
            Column("embedding", F32, Real()),
            Column("heads", listed(F32), Real(), each="head"),
            Column("mlps", listed(F32), Real()),
            Column("bias", F32, Real()),
        ),
        "Components",
        "The pre-activation of a latent as a sum: what the embedding, each head (by layer, then "
        "head) and each MLP (by layer) add to the residual stream at its position, each dotted "
        "with the latent's read direction, with the norm's scale fixed at its value in this run; "
        "`bias` is the rest (biases of the SAE, the attention and the norm).",
        about="prompt",
    ),
    Table(
        "influences",
        "run",
        ("prompt", "sae", "latent", "position", "rank"),
        (
            PROMPT,
            Column("sae", TEXT, SaeName()),
            Column("latent", I32, Latent(of="sae")),
            Column("position", I32, Position("prompt")),
            RANK,
            Column("early", TEXT, SaeName()),
            Column("layer", I32, Layer(or_none=True)),
            Column("head", I32, Head(or_none=True)),
            Column("early_latent", I32, Latent(of="early")),
            Column("source", I32, Position("prompt")),
            Column("value", F32, Real()),
        ),
        "Influences",
        "Input-dependent influence of an earlier transcoder's or SAE's latent on a latent at one "
        "position. Direct (`layer` and `head` -1): activation times pullback at the same position, "
        "the norm's scale fixed. Through a head: the earlier latent's activation at a source "
        "position, times its write direction through the head's value and output matrices onto "
        "the read direction, times the attention paid to that position, both norms' scales fixed. "
        "The largest in absolute value; paths through two heads or through MLPs are not in it.",
        about="prompt",
    ),
    Table(
        "pair_mean_maps",
        "run",
        ("early", "late"),
        (
            Column("early", TEXT, SaeName()),
            Column("late", TEXT, SaeName()),
            Column("n_prompts", I32, Count()),
            Column("n_skipped", I32, Count()),
            Column("n_limited", I32, Count()),
            Column("n_pairs", I64, Count()),
            Column("n_kept", I64, Count()),
            Column("kept_share", F64, Share()),
        ),
        "Gradients averaged over a set of prompts",
        "For each pair of SAEs, over the prompts of the prompts file: how many were used, how "
        "many pairs of latents were active together in at least one, and how many are stored. On "
        "`n_limited` of the prompts more was active than is looked at: there only the inputs and "
        "outputs of largest activation take part, and `kept_share` is of their sum.",
        version=2,
        about="prompts",
    ),
    Table(
        "pair_means",
        "run",
        ("early", "late", "rank"),
        (
            Column("early", TEXT, SaeName()),
            Column("late", TEXT, SaeName()),
            RANK,
            Column("early_latent", I32, Latent(of="early")),
            Column("late_latent", I32, Latent(of="late")),
            Column("mean", F64, Real()),
            Column("n_both", I64, Count()),
            Column("n_prompts", I32, Count()),
        ),
        "Mean absolute gradient of latent pairs",
        "Mean of the absolute gradient of two latents over every pair of positions of every prompt "
        "at which both were active (the earlier position not after the later), the number of such "
        "pairs of positions, and of prompts. Largest first by the sum, which is mean times number: "
        "a pair seen once says little.",
        about="prompts",
    ),
)
