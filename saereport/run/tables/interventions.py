"""The tables of what latents do to predictions when they are turned up."""

from __future__ import annotations

from saereport.run.kinds import (
    POSITIONS,
    Count,
    Flag,
    Latent,
    NonNegative,
    Real,
    SaeName,
    Share,
    Token,
    Whole,
)
from saereport.run.table import BOOL, F32, F64, I32, LATENT, PROMPT, TEXT, Column, Table, listed

INTERVENTION_TABLES = (
    Table(
        "output_scores",
        "sae",
        ("latent",),
        (
            LATENT,
            Column("strength", F64, NonNegative()),
            Column("length", F64, NonNegative()),
            Column("n_prompts", I32, Count()),
            Column("score", F64, Real()),
            Column("interval", listed(F64), Real(), lengths=(0, 2)),
            Column("control", F64, Real()),
            Column("difference", F64, Real()),
            Column("difference_interval", listed(F64), Real(), lengths=(0, 2)),
            Column("percentile", F64, Share()),
            Column("log_ratio", F64, Real()),
            Column("control_log_ratio", F64, Real()),
            Column("top_tokens", listed(I32), Token(), never_empty=True),
            Column("before", listed(F32), Share(), same_length_as="top_tokens"),
            Column("after", listed(F32), Share(), same_length_as="top_tokens"),
            Column("controls", listed(I32), Latent(), never_empty=True),
            Column("control_scores", listed(F32), Real(), same_length_as="controls"),
        ),
        "Output score",
        "How much turning a latent up raises its own top logit-lens tokens as the next token of "
        "neutral prompts: latents with a high score are the ones by which a model can be steered. "
        "After Arad, Mueller and Belinkov (2025), SAEs Are Good for Steering If You Select the "
        "Right Features, with three differences that are named here.\n\n"
        "Where the SAE writes, the latent's decoder row times `strength` times its largest "
        "activation on the text is added at every position of a prompt, as in additive steering: a "
        "vector of length `length`, on top of what is there. (An SAE whose output is not in the "
        "residual stream is turned up where it writes, and the model carries that on.) In that one "
        "forward pass the last position's next-token probabilities p are read. Of the latent's "
        "`top_tokens` in the logit lens, t is the likeliest, and r its rank, 0 for the likeliest "
        "token of the vocabulary of V. The rank-weighted probability is (1 - r / V) p(t). `score` "
        "is that with the latent turned up minus that of the model as it is (t and r are found "
        "anew), averaged over `n_prompts` prompts: between -1 and 1, and 0 where nothing happens. "
        "The paper takes it after the intervention alone, on one prompt, with a strength tied to "
        "other activations; here what the prompt itself makes likely is taken off.\n\n"
        "A score says little without a control, since a vector that is long enough changes any "
        "prediction. `controls` are other live latents of the same SAE, none of which is shown. "
        "For each shown latent some are drawn, of a seeded sample of the live ones, those whose "
        "density and write norm are nearest (in logarithms, each in units of its standard "
        "deviation), no latent twice; they are turned up by a vector of the same length as that of "
        "the latent that they were drawn for, and scored on their own top tokens and the same "
        "prompts (`control_scores`). A latent is compared with those of all controls of its SAE "
        "that are nearest to it in density and in length. `control` is their mean score, "
        "`difference` the score minus that, `percentile` the share of them that score lower "
        "(equal ones count half). A latent whose percentile is near 1 raises its own tokens more "
        "than other directions of that length raise theirs.\n\n"
        "Most tokens are so unlikely on a neutral prompt that even a thousand times as much "
        "is little. `log_ratio` tells that apart: the natural logarithm of the top tokens' "
        "probability, all together, with the latent over that without, averaged over the prompts; "
        "`control_log_ratio` is the mean of the controls'.\n\n"
        "Intervals are 95 % ones (percentiles, 2,000 resamples) by drawing the prompts anew, with "
        "the controls on the same prompts; with fewer than 10 prompts there is none. They say how "
        "much hangs on the prompts, not on which controls were drawn. `before` and `after` are the "
        "mean probability of each top token over the prompts, without and with the latent.\n\n"
        "A low score does not say that a latent has no effect: it may act on tokens that the "
        "logit lens does not show, or only later in a text.",
        about="latent",
        of_text=True,
    ),
    Table(
        "prompt_interventions",
        "run",
        ("prompt", "sae", "latent", "multiple", "position"),
        (
            PROMPT,
            Column("sae", TEXT, SaeName()),
            Column("latent", I32, Latent(of="sae")),
            Column("multiple", F64, Real()),
            Column("position", I32, Whole(low=-1, high=POSITIONS - 1)),
            Column("value", F32, Real()),
            Column("unit", F32, Real()),
            Column("unit_of_text", BOOL, Flag()),
            Column("activation", F32, Real()),
            Column("n_positions", I32, Count()),
            Column("runner_up", I32, Token()),
            Column("logit_change", F64, Real()),
            Column("difference_change", F64, Real()),
            Column("probability_before", F64, Share()),
            Column("probability", F64, Share()),
            Column("next_token", I32, Token()),
        ),
        "Ablated and clamped",
        "What setting a latent to another activation does to the answer of a prompt. In the true "
        "run of the model, where the SAE writes, (f' - f) times the latent's decoder row is added: "
        "f is its activation there, f' the `value` that it is set to. So the SAE's error and all "
        "other latents stay as they are, and setting a latent to what it is changes nothing. This "
        "is exact, whatever decides which latents are active; what a latent that is turned on "
        "would have pushed out of a TopK stays in. Of a layer of a cross-layer transcoder what it "
        "writes to every MLP is changed. An SAE that normalises what it reads is left out: what "
        "its latents write depends on the activation.\n\n"
        "`multiple` is f' in units of `unit`, the latent's largest activation on the text or, for "
        "a latent that the report does not show, on this prompt (`unit_of_text` tells which). With "
        "0 the latent is ablated, at the counted positions where it is active: at all of them "
        "together (`position` -1), and at each alone, where it is most active first, as many as "
        "were asked for. With another multiple it is clamped to that at every counted position, "
        "active or not. `n_positions` is how many positions were changed; `activation` the "
        "latent's largest activation on the prompt, or at `position`.\n\n"
        "Looked at are the latents that the report shows and that are active on the prompt, the "
        "most active ones of each SAE, and those that are named. `logit_change` is the change of "
        "the answer's logit; `difference_change` that of its logit minus the logit of "
        "`runner_up`, the likeliest next token of the true run other than the answer; "
        "`probability_before` and `probability` the answer's in the true run and afterwards; "
        "`next_token` the likeliest next token afterwards. All are of the last position.",
        about="prompt",
    ),
)
