"""The tables of the text, of statistics of it, and of what others say about latents."""

from __future__ import annotations

from saereport.run.kinds import (
    POSITIONS,
    Bytes,
    Cosine,
    Count,
    Document,
    Flag,
    Latent,
    NonNegative,
    OneOf,
    Position,
    Real,
    Sequence,
    Share,
    Stop,
    Text,
    Token,
    Whole,
)
from saereport.run.table import (
    BOOL,
    BYTES,
    F32,
    F64,
    GROUP,
    I32,
    I64,
    LATENT,
    RANK,
    TEXT,
    Column,
    Table,
    listed,
)

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
"""The quantiles of the non-zero activations in `activity.quantile_values`."""

TEXT_TABLES = (
    Table(
        "sequences",
        "run",
        ("sequence",),
        (
            Column("sequence", I64, Sequence()),
            Column("tokens", listed(I32), Token(), longest=POSITIONS),
            Column(
                "documents", listed(I32), Document(), same_length_as="tokens", longest=POSITIONS
            ),
            Column("counted", listed(BOOL), Flag(), same_length_as="tokens", longest=POSITIONS),
        ),
        "Sequences",
        "The packed sequences that examples refer to: token ids, the document that each token "
        "comes from, and whether the token counts. BOS, padding and other special tokens do not "
        "count: they are left out of every statistic and out of the examples' maxima, unless the "
        "report was made with special tokens included. Rows of token ids, and documents that are "
        "not joined, are a sequence each: longer ones are cut, shorter ones are filled up on the "
        "right, which does not count and which no other token sees. Tokens that the SAE did not "
        "see in training, by its metadata, do not count either.",
        about="sequence",
    ),
    Table(
        "vocabulary",
        "run",
        ("token",),
        (
            Column("token", I32, Token()),
            Column("bytes", BYTES, Bytes()),
            Column("special", BOOL, Flag(stays=True)),
        ),
        "Vocabulary",
        "The bytes of every token that the report shows. A token of a byte-level tokeniser need "
        "not be text: bytes that are not UTF-8 are shown as <0xE2>, and spaces, newlines, control "
        "and bidirectional characters are made visible.",
        about="token",
    ),
    Table(
        "activity",
        "sae",
        ("latent",),
        (
            LATENT,
            Column("n_active", I64, Count()),
            Column("density", F64, Share()),
            Column("max", F32, NonNegative()),
            Column("mean_active", F64, NonNegative()),
            Column("std_active", F64, NonNegative()),
            Column("quantile_values", listed(F32), Real(), lengths=(0, len(QUANTILES))),
        ),
        "Activity",
        "Density is the number of counted tokens on which the latent is active (activation above "
        "zero) divided by all counted tokens. Mean and standard deviation are over the non-zero "
        "activations. A latent that was never active on this text is called dead on this text, "
        "which says little when the text is short. "
        "The standard deviation divides by the number of active tokens.\n\n"
        "The quantiles are the 1, 5, 25, 50, 75, 95 and 99 % ones of the n non-zero activations: "
        "quantile q is the activation of rank ceil(q n) in ascending order. It is exact where it "
        "is among the 64 largest, so always for a latent with up to 64 active tokens; otherwise it "
        "is the middle of its bin of a logarithmic histogram with 32 bins per octave, within 1.6 % "
        "of it. A latent that was active on one token has neither quantiles nor a standard "
        "deviation.\n\n"
        "Counts are of this text. If active tokens were independent, a latent that was active on "
        "n of them would be uncertain in its density by a share of 1/sqrt(n): 18 % at 30, where a "
        "latent's page begins to call it rare. They come in runs and documents, so the true "
        "uncertainty is larger.",
        version=2,
        about="latent",
        of_text=True,
        every_latent=True,
    ),
    Table(
        "activation_histogram",
        "sae",
        ("latent",),
        (
            LATENT,
            Column("exponent", I32, Whole(-200, 200)),
            Column("counts", listed(I64), Count()),
            Column("log_first", I32, Whole(-800, 800)),
            Column("log_counts", listed(I64), Count()),
        ),
        "Activation histogram",
        "Counts of the non-zero activations. In the linear histogram bin b holds the activations "
        "in (b w, (b + 1) w] with the width w = 2^exponent, the smallest power of two for which "
        "64 bins reach the maximum. In the logarithmic histogram the bins split each octave "
        "(2^e, 2^(e+1)] into four of equal width, open below and closed above; `log_first` is the "
        "number 4 e + quarter of the first bin. Both are exact counts and merge exactly.",
        about="latent",
        of_text=True,
    ),
    Table(
        "examples",
        "sae",
        ("latent", "group", "rank"),
        (
            LATENT,
            GROUP,
            RANK,
            Column("sequence", I64, Sequence()),
            Column("position", I32, Position("sequence", window=("start", "stop"))),
            Column("document", I32, Document()),
            Column("activation", F32, Real()),
            Column("start", I32, Position("sequence")),
            Column("stop", I32, Stop("sequence")),
            Column(
                "active_positions",
                listed(I32),
                Position("sequence", rising=True),
                longest=POSITIONS,
            ),
            Column(
                "active_values",
                listed(F32),
                Real(),
                same_length_as="active_positions",
                longest=POSITIONS,
            ),
        ),
        "Examples",
        "Top examples (group `top`) are the tokens with the largest activations, ties broken by "
        "position in the text. Each has a window of tokens around it (`start` to `stop`, "
        "exclusive); two windows of one sequence never overlap, and there is no example without "
        "an activation. Groups `interval:b` and `quantile:b` hold examples drawn uniformly at "
        "random (seeded) from one range of the non-zero activations: every event has a "
        "pseudo-random priority made from seed, latent, sequence and position, and a group shows "
        "the events of lowest priority, fewer than asked for where the range is thinly sampled. "
        "Windows of one group do not overlap either; within a group examples are ranked by "
        "activation. `active_positions` and `active_values` give the latent's activations over "
        "the whole sequence.",
        about="latent",
        reveals_text=True,
        of_text=True,
    ),
    Table(
        "example_groups",
        "sae",
        ("latent", "group"),
        (
            LATENT,
            GROUP,
            Column("lower", F32, Real()),
            Column("upper", F32, Real()),
            Column("n_active", I64, Count()),
            Column("share", F64, Share()),
        ),
        "Groups of examples",
        "Interval groups split (0, max] into equal intervals; quantile groups split the non-zero "
        "activations at fixed quantiles. Each group covers (lower, upper] and is given with the "
        "number and share of the latent's active tokens that it holds: the highest interval often "
        "holds very few, so an interpretation that fits the top examples alone explains little.\n\n"
        "Counts are exact. Inner edges of the intervals are rounded to a multiple of the smallest "
        "power of two of which 512 reach the maximum (they move by at most 1/512 of it). Above "
        "quantile q lie the ceil((1 - q) n) largest of the n activations: the edge is the largest "
        "activation that is not one of them, where it is among the 64 largest and so known; else "
        "whichever of its histogram bin's ends (1/32 of an octave) and the 64th largest activation "
        "splits the counts nearest to q. "
        "Equal activations stay together, so the group above an edge to which many are equal holds "
        "fewer; and a latent with few active tokens has none for some of the groups. Group 0 is "
        "the lowest.",
        version=2,
        about="latent",
        reveals_text=True,
        of_text=True,
    ),
    Table(
        "token_statistics",
        "sae",
        ("latent", "order", "rank"),
        (
            LATENT,
            Column("order", TEXT, OneOf(words=("share", "lift"))),
            RANK,
            Column("token", I32, Token()),
            Column("n_token", I64, Count()),
            Column("n_active", I64, Count()),
            Column("mean_active", F64, NonNegative()),
            Column("share", F64, Share()),
            Column("lift", F64, NonNegative()),
            Column("lift_low", F64, NonNegative()),
            Column("sampled", F64, Share()),
        ),
        "Tokens",
        "For each vocabulary token: how often it occurred among the counted tokens, how often the "
        "latent was active on it, the mean of its activations there, and the token's share of the "
        "latent's total activation. Listed by share, and by lift, which is "
        "P(active | token) / P(active).\n\n"
        "The lift of a rare token is a guess: active on one of two occurrences gives the same "
        "lift as on 100 of 200, and among many rare tokens the largest lifts are those that were "
        "lucky here. Tokens are therefore listed by the lower end of the lift's 95 % interval "
        "(`lift_low`): Wilson's interval of P(active | token), divided by the density. It takes "
        "occurrences as independent and the density as known; where the latent itself was active "
        "on few tokens, all its lifts share that uncertainty. A lift of other text is to be "
        "expected between the lower end and the figure. Ties go to the smaller token id by share, "
        "and by lift to the token with more active occurrences, then the smaller id.\n\n"
        "A latent that fires on very many different tokens has no room for all of them: it is "
        "counted on a part of the text, every 2nd, 4th, 8th, … token, chosen by the tokens' places "
        "alone. `sampled` is that share of the text (1: all of it), and all its figures here, "
        "`n_token` and `n_active` too, are exact ones of that part; as estimates of the whole they "
        "have the error of a sample of so many active tokens.",
        version=3,
        about="latent",
        reveals_text=True,
        of_text=True,
    ),
    Table(
        "coactivation",
        "sae",
        ("latent", "order", "rank"),
        (
            LATENT,
            Column("order", TEXT, OneOf(words=("pearson", "jaccard"))),
            RANK,
            Column("other", I32, Latent()),
            Column("n_both", I64, Count()),
            Column("n_looked", I64, Count()),
            Column("pearson", F64, Cosine()),
            Column("pearson_error", F64, NonNegative()),
            Column("jaccard", F64, Share()),
            Column("jaccard_error", F64, NonNegative()),
        ),
        "Co-activation",
        "Other latents of the same SAE that are active together with this one, among all latents "
        "of the SAE: Pearson's correlation of the activations over all counted tokens "
        "(zeros included), and the Jaccard overlap: tokens on which both are active divided by "
        "tokens on which either is. Listed by each, among latents that were active together with "
        "it on at least 5 of the tokens looked at; ties go to the smaller index. Where one is "
        "constant there is no correlation, which is given as 0.\n\n"
        "A latent is looked at on its own active tokens: on all of them (`n_looked` is then its "
        "number of active tokens, both figures are exactly those of this text, and the errors are "
        "0), or, where it has more than there is room for, on those of every 2nd, 4th, 8th, … "
        "token of the text, chosen by the tokens' places alone. Then the share of its tokens on "
        "which the other is active (`n_both` of `n_looked`), and the mean product of their "
        "activations there, are unbiased estimates; how often each of the two is active, their "
        "means and their variances are known exactly. `jaccard_error` and `pearson_error` are the "
        "standard errors that follow, for a sample without replacement of independent tokens.\n\n"
        "As estimates of other text the figures are as sure as the count of common tokens, which "
        "stands beside them. With k common tokens the Jaccard overlap J has a standard error of "
        "about J sqrt((1 - J) / k) (45 % of itself at 5, 10 % at 100) if tokens are independent; "
        "tokens of one document are not, which makes it larger. The correlation weighs tokens by "
        "their activations, so that a few strong ones can make it up. "
        "The partners listed are the best of all latents, whose figures chance favours: with few "
        "common tokens expect less elsewhere.",
        version=3,
        about="latent",
        of_text=True,
    ),
    Table(
        "sae_activity",
        "sae",
        ("latent",),
        (LATENT, Column("n_active", I64, Count())),
        "Density of the whole SAE",
        "For every latent of the SAE, shown or not, on how many counted tokens it was active. "
        "L0 is the mean number of active latents per counted token.",
        about="sae",
        of_text=True,
    ),
    Table(
        "shipped_sparsity",
        "sae",
        ("latent",),
        (LATENT, Column("log10_density", F32, Real())),
        "Densities that come with the SAE",
        "For every latent of the SAE, log10 of the share of tokens on which it was active as the "
        "file beside its weights says (`sparsity.safetensors`, which SAELens writes at the end of "
        "training: over the last window of training tokens, -10 for never). It is compared with "
        "the density on this text: the rank correlation is Spearman's, and what is below half a "
        "token of this text is raised to that on both sides before the two are compared. Latents "
        "that differ by more than a factor of 10 point to another kind of text, another "
        "preprocessing, or other weights than those that the file is of.",
        about="sae",
        on_pages=False,
    ),
    Table(
        "sae_metrics",
        "sae",
        ("metric",),
        (
            Column("metric", TEXT, Text()),
            Column("value", F64, Real()),
            Column("interval", listed(F64), Real(), lengths=(0, 2)),
            Column("n_tokens", I64, Count()),
            Column("n_sequences", I64, Count()),
        ),
        "The SAE as a whole",
        "How well the reconstruction stands in for the activations, over the first counted tokens "
        "of the text (`n_tokens` of them, in `n_sequences` sequences; fewer than the densities are "
        "over, because each needs whole runs of the model). Sums and products are accumulated in "
        "float64, and every token weighs the same.\n\n"
        "`explained_variance` is 1 - E|a - r|^2 / (E|a|^2 - |E a|^2) for activations a and "
        "reconstructions r. `mse` is the squared error summed over the dimensions and averaged "
        "over tokens, `cosine` the mean cosine between a and r, `l2_ratio` the mean of |r| / |a|, "
        "`l0` and `l1` the mean number and sum of active latents on these tokens. "
        "`explained_variance_usual` and `mse_usual` are the same without the 0.1 % of tokens (one "
        "in a thousand, rounded up) whose |a| is largest: activations are heavy-tailed, and a few "
        "tokens of enormous norm can carry nearly all the variance and say nothing about the "
        "others.\n\n"
        "`ce_original`, `ce_spliced`, `ce_zero` and `ce_mean` are the model's mean cross-entropy "
        "on the next token in nats: as it is, with the reconstruction spliced in, with zero and "
        "with the mean activation in its place (the mean over the first 8,192 of these tokens, or "
        "over all of them where they are fewer). Activations are replaced at counted tokens only, "
        "so not at BOS and other special tokens, and a prediction is judged where it is made at a "
        "counted token and the next token of the sequence counts "
        "as well; here `n_tokens` is the number of these predictions. A transcoder stands in for "
        "the output that it predicts; no other SAE is spliced in at the same time. "
        "`ce_added_spliced`, `ce_added_zero` and `ce_added_mean` are what each adds to the model's "
        "own cross-entropy. `kl_spliced`, `kl_zero` and `kl_mean` are the mean divergence of the "
        "next-token distribution from the model's own.\n\n"
        "`ce_recovered` is (zero - spliced) / (zero - original) and `ce_recovered_mean` the same "
        "against mean ablation; `kl_recovered` and `kl_recovered_mean` are 1 - spliced / zero and "
        "1 - spliced / mean of the divergences. A share is worth what its denominator is: where "
        "ablation costs less than 0.05 nats a share of cross-entropy means little, and where it "
        "costs nothing there is none. Where BOS is not replaced, zero ablation can "
        "leave the model worse than guessing among all tokens (ln V nats), so that nearly any "
        "reconstruction recovers nearly all; mean ablation is the stricter comparison. Divergence "
        "is steadier than cross-entropy, because it does not depend on which token came.\n\n"
        "`interval` is a 95 % interval by the percentile bootstrap over sequences: in each of "
        "2,000 resamples as many sequences as there are are drawn with replacement (seeded, the "
        "same draws for all figures and SAEs) and every figure is computed from them; the interval "
        "goes from the 2.5 % to the 97.5 % quantile of the results. Held fixed are the mean of "
        "mean ablation, and which tokens are left out for their norm. It is empty with fewer than "
        "10 sequences (it would be far too short), and for a share whose denominator may be zero. "
        "It tells how the figure would vary with other text of this kind, not with other kinds of "
        "text; sequences cut from one document are alike, so with long documents it is somewhat "
        "short.\n\nAll figures are ratios of sums, whose bias falls with the number of "
        "sequences and is small beside the interval; the variance is that of the sample, "
        "and the mean that stands in is that of tokens which it also stands in for, which makes "
        "mean ablation look slightly better than on other text.\n\n"
        "SAELens's evaluations (`sae_lens.evals`, 6.54) have the same `explained_variance`, "
        "`mse`, `cossim`, `l2_ratio`, `l0` and `l1` on the same tokens. Otherwise than here, their "
        "`explained_variance_legacy` is the mean over tokens of 1 - |a - r|^2 / |a - m|^2 with the "
        "mean m of each batch; they judge a prediction by the token at which it is made, whatever "
        "comes next, and divergence at a sequence's last token too; and their zero ablation "
        "replaces every position, BOS and special tokens among them, which makes their "
        "`ce_loss_score` and `kl_div_score` (shares recovered against zero ablation) differ from "
        "`ce_recovered` and `kl_recovered` where some tokens do not count.",
        version=3,
        about="sae",
        of_text=True,
    ),
)

EXPLANATIONS = Table(
    "explanations",
    "sae",
    ("latent", "rank"),
    (LATENT, RANK, Column("text", TEXT, Text()), Column("source", TEXT, Text())),
    "Explanations",
    "Labels that were given to the build, in the order in which they came. They are other "
    "people's or models' guesses, not measurements.",
    about="latent",
    reveals_text=True,
    also_others=True,
)

LABEL_FILES = Table(
    "label_files",
    "sae",
    ("file",),
    (
        Column("file", TEXT, Text()),
        Column("bytes", I64, Count()),
        Column("sha256", TEXT, Text()),
        Column("fetched", TEXT, Text()),
        Column("address", TEXT, Text()),
    ),
    "Files of labels",
    "The files that labels were taken from after others had published them: name, size, SHA-256, "
    "when they were fetched (in UTC) and where from; both are empty for a file that was given. "
    "What was published may have changed since.",
    about="sae",
)
