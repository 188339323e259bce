"""The tables of a run: what is stored, under which name, and what each column means.

This module is the contract between those who measure and those who read. A table is a Parquet
file with a fixed schema; its `definition` is the text that the report's methods page prints, so a
number and its meaning live in one place. To add a statistic, add its `Table` here.

Conventions: `latent` is an index into the SAE's dictionary; token columns hold vocabulary ids;
`sequence` is the index of a packed sequence in the text and `position` the place in it (position 0
is the BOS token where there is one); lists are ordered best first. Rows are sorted by `key`.
"""

from __future__ import annotations

import pyarrow as pa

from saereport.run.circuit_tables import PROMPT_TABLES
from saereport.run.given_tables import GIVEN_TABLES
from saereport.run.graph_tables import BLIND_TABLES, EXAMPLE_TABLES, GRAPH_TABLES
from saereport.run.table import F16, F32, F64, I32, I64, TEXT, TOKEN_LISTS, Table, listed

_ALL = (
    Table(
        "sequences",
        "run",
        ("sequence",),
        (
            ("sequence", I64),
            ("tokens", listed(I32)),
            ("documents", listed(I32)),
            ("counted", listed(pa.bool_())),
        ),
        "Sequences",
        "The packed sequences that examples refer to: token ids, the document that each token "
        "comes from, and whether the token counts. BOS, padding and other special tokens do not "
        "count: they are left out of every statistic and out of the examples' maxima, unless the "
        "report was made with special tokens included. Rows of token ids, and documents that are "
        "not joined, are a sequence each: longer ones are cut, shorter ones are filled up on the "
        "right, which does not count and which no other token sees. Tokens that the SAE did not "
        "see in training, by its metadata, do not count either.",
    ),
    Table(
        "vocabulary",
        "run",
        ("token",),
        (("token", I32), ("bytes", pa.binary()), ("special", pa.bool_())),
        "Vocabulary",
        "The bytes of every token that the report shows. A token of a byte-level tokeniser need "
        "not be text: bytes that are not UTF-8 are shown as <0xE2>, and spaces, newlines, control "
        "and bidirectional characters are made visible.",
    ),
    Table(
        "activity",
        "sae",
        ("latent",),
        (
            ("latent", I32),
            ("n_active", I64),
            ("density", F64),
            ("max", F32),
            ("mean_active", F64),
            ("std_active", F64),
            ("quantile_values", listed(F32)),
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
    ),
    Table(
        "activation_histogram",
        "sae",
        ("latent",),
        (
            ("latent", I32),
            ("exponent", I32),
            ("counts", listed(I64)),
            ("log_first", I32),
            ("log_counts", listed(I64)),
        ),
        "Activation histogram",
        "Counts of the non-zero activations. In the linear histogram bin b holds the activations "
        "in (b w, (b + 1) w] with the width w = 2^exponent, the smallest power of two for which "
        "64 bins reach the maximum. In the logarithmic histogram the bins split each octave "
        "(2^e, 2^(e+1)] into four of equal width, open below and closed above; `log_first` is the "
        "number 4 e + quarter of the first bin. Both are exact counts and merge exactly.",
    ),
    Table(
        "examples",
        "sae",
        ("latent", "group", "rank"),
        (
            ("latent", I32),
            ("group", TEXT),
            ("rank", I32),
            ("sequence", I64),
            ("position", I32),
            ("document", I32),
            ("activation", F32),
            ("start", I32),
            ("stop", I32),
            ("active_positions", listed(I32)),
            ("active_values", listed(F32)),
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
    ),
    Table(
        "example_groups",
        "sae",
        ("latent", "group"),
        (
            ("latent", I32),
            ("group", TEXT),
            ("lower", F32),
            ("upper", F32),
            ("n_active", I64),
            ("share", F64),
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
    ),
    Table(
        "token_statistics",
        "sae",
        ("latent", "order", "rank"),
        (
            ("latent", I32),
            ("order", TEXT),
            ("rank", I32),
            ("token", I32),
            ("n_token", I64),
            ("n_active", I64),
            ("mean_active", F64),
            ("share", F64),
            ("lift", F64),
            ("lift_low", F64),
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
        "and by lift to the token with more active occurrences, then the smaller id.",
        version=2,
    ),
    Table(
        "coactivation",
        "sae",
        ("latent", "order", "rank"),
        (
            ("latent", I32),
            ("order", TEXT),
            ("rank", I32),
            ("other", I32),
            ("n_both", I64),
            ("pearson", F64),
            ("jaccard", F64),
        ),
        "Co-activation",
        "Other latents of the same SAE that are active together with this one, among all latents "
        "of the SAE and over all counted tokens: Pearson's correlation of the activations "
        "(zeros included), and the Jaccard overlap: tokens on which both are active divided by "
        "tokens on which either is. Listed by each, among latents that were active together with "
        "it on at least 5 tokens; ties go to the smaller index. Where one is constant there is no "
        "correlation, which is given as 0.\n\n"
        "Both are those of this text, exactly; as estimates of other text they are as sure as "
        "the count of common tokens, which stands beside them. With k common tokens the "
        "Jaccard overlap J has a standard error of about J sqrt((1 - J) / k) (45 % of itself at "
        "5, 10 % at 100) if tokens are independent; tokens of one document are not, which makes "
        "it larger. The correlation weighs tokens by their activations, so that a few strong ones "
        "can make it up. "
        "The partners listed are the best of all latents, whose figures chance favours: with few "
        "common tokens expect less elsewhere.",
        version=2,
    ),
    Table(
        "sae_activity",
        "sae",
        ("latent",),
        (("latent", I32), ("n_active", I64)),
        "Density of the whole SAE",
        "For every latent of the SAE, shown or not, on how many counted tokens it was active. "
        "L0 is the mean number of active latents per counted token.",
    ),
    Table(
        "sae_metrics",
        "sae",
        ("metric",),
        (
            ("metric", TEXT),
            ("value", F64),
            ("interval", listed(F64)),
            ("n_tokens", I64),
            ("n_sequences", I64),
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
        "with the mean activation in its place (the mean over the same tokens). Activations are "
        "replaced at counted tokens only, so not at BOS and other special tokens, and a prediction "
        "is judged where it is made at a counted token and the next token of the sequence counts "
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
        "and the mean that stands in is that of the same tokens, which makes mean ablation look "
        "slightly better than on other text.",
        version=2,
    ),
    Table(
        "decoder_directions",
        "sae",
        ("latent",),
        (("latent", I32), ("direction", listed(F16))),
        "Decoder directions",
        "The latent's decoder row at unit length, in half precision, so that two reports of "
        "different SAEs of one model can be compared: the cosine of two such rows is right to "
        "about 0.001.",
    ),
    Table(
        "active_sketch",
        "sae",
        ("latent",),
        (("latent", I32), ("tokens", listed(I64)), ("values", listed(F32))),
        "Sketch of the active tokens",
        "A sample of the tokens on which the latent is active, chosen so that two latents of "
        "different SAEs can be compared on the same text: every token of the text has a "
        "pseudo-random priority made from its sequence and position alone, and kept are the (up to "
        "64) active tokens of lowest priority, in that order, with the activations there. A token "
        "is sequence times context size plus position. The share of common tokens among the lowest "
        "of the union of two sketches estimates the Jaccard overlap of the two latents' active "
        "tokens without bias (bottom-k sketch; standard error about 0.06 at worst).",
    ),
    Table(
        "logit_lens",
        "sae",
        ("latent",),
        (
            ("latent", I32),
            ("mean", F32),
            ("std", F32),
            ("skewness", F32),
            ("kurtosis", F32),
            ("lower", F32),
            ("width", F32),
            ("counts", listed(I32)),
            *TOKEN_LISTS,
        ),
        "Logit lens",
        "The latent's write direction in the residual stream times the unembedding: which tokens "
        "it raises and lowers directly. The write direction is the decoder row; for an attention "
        "SAE (`hook_z`) the row is split by heads and summed through each head's output matrix. "
        "Where the model has a norm between what the SAE writes and the residual stream (Gemma 2 "
        "and 3, OLMo 2), its weight is folded into the direction, and so is a multiplier "
        "(Granite); a norm's scale, which differs from token to token, is not. "
        "The final norm's weight, its centring and a constant factor of the logits are folded into "
        "the unembedding, by the model's loading or here, as the provenance page says; a cap on "
        "the logits is not. Before any text is read, a few vectors are written into the model at "
        "the SAE's hook point, and what arrives in the residual stream and at the logits is "
        "compared with these weights; where it does not agree, there is no table, and the reason "
        "is given. Mean, standard deviation, skewness and excess kurtosis are "
        "population moments over the whole vocabulary; "
        "bin b of the histogram covers [lower + b width, lower + (b + 1) width). SAEs that do not "
        "write into the residual stream have no logit lens.",
        version=2,
    ),
    Table(
        "deembedding",
        "sae",
        ("latent", "kind"),
        (("latent", I32), ("kind", TEXT), *TOKEN_LISTS),
        "De-embedding",
        "Which tokens' embeddings excite the latent most and least. `raw`: embedding times the "
        "read direction (encoder column). An embedding is what the token brings to the residual "
        "stream, without its position: scaled, normalised or projected where the model does so on "
        "the way in. `extended`: in place of the embedding, the embedding "
        "plus the first MLP's output on it, each row normalised (centred and divided by its "
        "standard deviation; in a model with RMS norms divided by its root mean square). Where "
        "embedding and unembedding are tied, the raw table misleads and the extended one is the "
        "one to read. For an attention SAE (`hook_z`) the read direction is the encoder column "
        "taken back through the heads' value matrices and summed: what a source token would "
        "contribute if every head attended to it alone. Where the SAE reads behind a norm (the "
        "MLP's input, the attention's), the norm's weight and centring are part of the read "
        "direction; where the model has no norm there (OLMo 2), nothing is. The first MLP's output "
        "is what the model's own first block adds, its attention held at zero, with any norm or "
        "multiplier behind the MLP. All of it is compared with passes of the model before any text "
        "is read, and left out with the reason where it does not agree. An SAE "
        "that reads a sublayer's output has no read direction in one residual stream and is left "
        "out, but for the attention's, which is first taken back through the output matrices.",
        version=2,
    ),
    Table(
        "head_deembedding",
        "sae",
        ("latent", "layer", "head"),
        (("latent", I32), ("layer", I32), ("head", I32), ("strength", F32), *TOKEN_LISTS),
        "De-embedding through heads",
        "The extended de-embedding of tokens that an attention head moves to where the latent "
        "reads: normalised embedding rows through the head's value and output matrices, "
        "normalised again, times the read direction. Shown for the heads through which the latent "
        "reads most strongly: `strength` is the norm of the read direction taken back through the "
        "head's output and value matrices. For an attention SAE the heads are its own, the rows "
        "go through the value matrix and the head's part of the encoder column, and strength is "
        "the norm of that product. Value matrices include the weight and centring of the norm "
        "before the attention, output matrices those of a norm behind it. In a block whose "
        "attention and MLP are parallel, the MLP does not read the heads beside it. Up to three "
        "heads.",
        version=2,
    ),
    Table(
        "pullbacks",
        "sae",
        ("latent", "early"),
        (
            ("latent", I32),
            ("early", TEXT),
            ("top_latents", listed(I32)),
            ("top_values", listed(F32)),
            ("bottom_latents", listed(I32)),
            ("bottom_values", listed(F32)),
        ),
        "Pullbacks",
        "The read direction of this latent taken back onto an earlier SAE or transcoder of the "
        "same report: the earlier one's write directions times this latent's read direction. "
        "Large values mean that the earlier latent, when active, directly pushes this latent up; "
        "what attention and norms do in between is left out. Both directions are in terms of the "
        "residual stream, with the weights of norms between it and the hook points. Earlier means "
        "that it writes strictly before this one reads; in a block whose attention and MLP are "
        "parallel, neither is before the other.",
        version=2,
    ),
    Table(
        "neighbours",
        "sae",
        ("latent", "rank"),
        (("latent", I32), ("rank", I32), ("other", I32), ("cosine", F32)),
        "Neighbours",
        "The latents of the same SAE whose decoder directions have the largest cosine with this "
        "one's, at the hook point that the SAE writes (for `hook_z` the heads' outputs, side by "
        "side).",
    ),
    Table(
        "head_shares",
        "sae",
        ("latent",),
        (("latent", I32), ("shares", listed(F32))),
        "Head shares",
        "For an attention SAE, the norm of each head's part of the decoder row, divided by the "
        "sum of these norms over the heads: which heads the latent speaks for.",
    ),
    Table(
        "geometry",
        "sae",
        ("latent",),
        (
            ("latent", I32),
            ("encoder_norm", F32),
            ("decoder_norm", F32),
            ("encoder_decoder_cosine", F32),
            ("map_x", F32),
            ("map_y", F32),
        ),
        "Geometry",
        "Norms of the latent's encoder and decoder directions and the cosine between them (not "
        "given as a meaning for transcoders, whose two sides live in different spaces; there it "
        "is zero and not shown). `map_x` and `map_y` place the latent on the map: the first two "
        "principal components of the unit decoder directions of all latents of the SAE (each axis "
        "points to where its component's largest entry is positive), or UMAP where that was asked "
        "for.",
    ),
    Table(
        "explanations",
        "sae",
        ("latent", "rank"),
        (("latent", I32), ("rank", I32), ("text", TEXT), ("source", TEXT)),
        "Explanations",
        "Labels that were given to the build, in the order in which they came. They are other "
        "people's or models' guesses, not measurements.",
    ),
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        *_ALL,
        *GIVEN_TABLES,
        *PROMPT_TABLES,
        *GRAPH_TABLES,
        *EXAMPLE_TABLES,
        *BLIND_TABLES,
    )
}
"""Every table by name, in the order in which the methods page explains them."""

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
"""The quantiles of the non-zero activations in `activity.quantile_values`."""
