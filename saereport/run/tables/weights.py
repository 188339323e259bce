"""The tables that follow from the weights of an SAE and the model alone."""

from __future__ import annotations

from saereport.run.kinds import (
    Cosine,
    Count,
    Head,
    Latent,
    Layer,
    NonNegative,
    OneOf,
    Real,
    SaeName,
    Share,
    Text,
)
from saereport.run.table import (
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

WEIGHT_QUANTITIES = (
    *("encoder_norm", "encoder_bias", "decoder_norm"),
    *("encoder_decoder_cosine", "largest_decoder_cosine"),
)

WEIGHT_TABLES = (
    Table(
        "logit_lens",
        "sae",
        ("latent",),
        (
            LATENT,
            Column("mean", F32, Real()),
            Column("std", F32, NonNegative()),
            Column("skewness", F32, Real()),
            Column("kurtosis", F32, Real()),
            Column("lower", F32, Real()),
            Column("width", F32, NonNegative()),
            Column("counts", listed(I32), Count()),
            *TOKEN_LISTS,
        ),
        "Logit lens",
        "The latent's write direction in the residual stream times the unembedding: which tokens "
        "it raises and lowers directly. The write direction is the decoder row; for an attention "
        "SAE (`hook_z`) the row is split by heads and summed through each head's output matrix; "
        "for a layer of a cross-layer transcoder, the writes to all its layers are summed. "
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
        about="latent",
        every_latent=True,
    ),
    Table(
        "write_layers",
        "sae",
        ("latent", "layer"),
        (
            LATENT,
            Column("layer", I32, Layer()),
            Column("norm", F32, NonNegative()),
            *TOKEN_LISTS,
        ),
        "Writes by layer",
        "A latent of a cross-layer transcoder writes to the MLP of the layer that it reads at, and "
        "to that of every later layer, each time in another direction. For each of these layers: "
        "the norm of what one unit of the latent's activation writes there, and which tokens that "
        "raises and lowers most directly, by the logit lens of that write alone (up to ten each). "
        "Where there is no logit lens the lists are empty.",
        about="latent",
    ),
    Table(
        "deembedding",
        "sae",
        ("latent", "kind"),
        (LATENT, Column("kind", TEXT, OneOf(words=("raw", "extended"))), *TOKEN_LISTS),
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
        about="latent",
    ),
    Table(
        "head_deembedding",
        "sae",
        ("latent", "layer", "head"),
        (
            LATENT,
            Column("layer", I32, Layer()),
            Column("head", I32, Head()),
            Column("strength", F32, NonNegative()),
            *TOKEN_LISTS,
        ),
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
        about="latent",
    ),
    Table(
        "pullbacks",
        "sae",
        ("latent", "early"),
        (
            LATENT,
            Column("early", TEXT, SaeName()),
            Column("top_latents", listed(I32), Latent(of="early")),
            Column("top_values", listed(F32), Real(), same_length_as="top_latents"),
            Column("bottom_latents", listed(I32), Latent(of="early")),
            Column("bottom_values", listed(F32), Real(), same_length_as="bottom_latents"),
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
        about="latent",
    ),
    Table(
        "neighbours",
        "sae",
        ("latent", "rank"),
        (LATENT, RANK, Column("other", I32, Latent()), Column("cosine", F32, Real())),
        "Neighbours",
        "The latents of the same SAE whose decoder directions have the largest cosine with this "
        "one's, at the hook point that the SAE writes (for `hook_z` the heads' outputs, side by "
        "side). What a layer of a cross-layer transcoder writes to several MLPs is one long "
        "direction.",
        about="latent",
    ),
    Table(
        "head_shares",
        "sae",
        ("latent",),
        (LATENT, Column("shares", listed(F32), Share(), never_empty=True)),
        "Head shares",
        "For an attention SAE, the norm of each head's part of the decoder row, divided by the "
        "sum of these norms over the heads: which heads the latent speaks for.",
        about="latent",
        every_latent=True,
    ),
    Table(
        "geometry",
        "sae",
        ("latent",),
        (
            LATENT,
            Column("encoder_norm", F32, NonNegative()),
            Column("decoder_norm", F32, NonNegative()),
            Column("encoder_decoder_cosine", F32, Cosine()),
            Column("map_x", F32, Real()),
            Column("map_y", F32, Real()),
        ),
        "Geometry",
        "Norms of the latent's encoder and decoder directions and the cosine between them (not "
        "given as a meaning for transcoders, whose two sides live in different spaces; there it "
        "is zero and not shown). Where a latent writes to several MLPs (a cross-layer transcoder), "
        "the decoder's norm is that of all it writes, side by side, and the map is of the sum over "
        "the MLPs. `map_x` and `map_y` place the latent on the map: the first two "
        "principal components of the unit decoder directions of all latents of the SAE (each axis "
        "points to where its component's largest entry is positive), or UMAP where that was asked "
        "for.",
        about="latent",
        every_latent=True,
    ),
    Table(
        "weight_distributions",
        "sae",
        ("quantity",),
        (
            Column("quantity", TEXT, OneOf(words=WEIGHT_QUANTITIES)),
            Column("n_latents", I64, Count()),
            Column("reason", TEXT, Text()),
            *(Column(name, F64, Real()) for name in ("mean", "std", "min", "max")),
            Column("quantiles", listed(F64), Real(), lengths=(0, 5)),
            Column("lower", F64, Real()),
            Column("width", F64, NonNegative()),
            Column("counts", listed(I64), Count()),
        ),
        "Distributions of weights",
        "How the latents of the SAE, shown or not, differ in their weights; `n_latents` are in "
        "each distribution. `encoder_norm` and `decoder_norm` are the lengths of a latent's "
        "encoder column and decoder row (what a latent writes to several MLPs counts as one long "
        "row), `encoder_bias` is what its pre-activation holds besides the product with the column "
        "(of a gated SAE that of the magnitude), all in units of its activation. "
        "`encoder_decoder_cosine` is the cosine between column and row, for SAEs that write where "
        "they read. `largest_decoder_cosine` is the largest cosine of a latent's decoder row with "
        "that of any other latent: many near 1 are latents that stand for nearly the same. It "
        "takes a product of every latent with every other; where these would be more than 2^36 "
        "multiplications, it is of a sample of 1,024 latents or more (by the seed of the report), "
        "each still against all others.\n\n"
        "`quantiles` are those of 0.05, 0.25, 0.5, 0.75 and 0.95; bin b of the histogram covers "
        "[lower + b width, lower + (b + 1) width), the last one with its end. Where an SAE has no "
        "such number, `reason` says why and the lists are empty.",
        about="sae",
        on_pages=False,
    ),
)
