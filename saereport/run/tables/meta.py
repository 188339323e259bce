"""The tables about meta-SAEs: SAEs that read the decoder rows of an SAE of the report."""

from __future__ import annotations

from saereport.run.kinds import (
    Cosine,
    Count,
    FileName,
    Flag,
    Latent,
    NonNegative,
    OneOf,
    Rank,
    Real,
    Share,
    Text,
    Token,
)
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

META = Column("meta", TEXT, FileName())
EXPLAINED = Column("explained", F32, Real())
COSINE = Column("cosine", F32, Cosine())

META_TABLES = (
    Table(
        "meta_saes",
        "sae",
        ("meta",),
        (
            META,
            Column("label", TEXT, Text()),
            Column("architecture", TEXT, Text()),
            Column("weights", TEXT, Text()),
            Column("rows", TEXT, OneOf(words=("unit", "stored"))),
            Column("n_latents", I64, Count()),
            Column("n_without", I64, Count()),
            Column("d", I64, Count()),
            Column("n_meta", I64, Count()),
            Column("explained", F64, Real()),
            Column("explained_interval", listed(F64), Real(), lengths=(0, 2)),
            Column("explained_other", F64, Real()),
            Column("explained_chance", F64, Real()),
            Column("n_chance", I64, Count()),
            Column("active", F64, NonNegative()),
            Column("active_interval", listed(F64), Real(), lengths=(0, 2)),
            Column("active_chance", F64, NonNegative()),
            Column("active_width", I64, Count()),
            Column("active_counts", listed(I64), Count()),
            Column("of_batches", BOOL, Flag()),
            Column("cosine", F64, Cosine()),
            Column("cosine_median", F64, Cosine()),
            Column("cosine_counts", listed(I64), Count()),
            Column("cosine_chance_counts", listed(I64), Count(), same_length_as="cosine_counts"),
            Column("n_dead", I64, Count()),
            Column("n_single", I64, Count()),
            Column("use_counts", listed(I64), Count()),
            Column("well", F64, Share()),
            Column("n_well", I64, Count()),
            Column("well_chance", F64, Share()),
            Column("largest", F64, Real()),
            Column("others", F64, Real()),
            Column("n_taken", I64, Count()),
            Column("no_lens", TEXT, Text()),
        ),
        "Meta-SAEs",
        "A meta-SAE (Bussmann, Pearce, Leask et al. 2024, Showing SAE latents are not atomic using "
        "meta-SAEs; Leask, Bussmann et al. 2025, Sparse autoencoders do not find canonical units "
        "of analysis) is an SAE that was trained on the decoder rows of another one, the base: "
        "each row takes the place of an activation, and is written as a sum of few meta-latents. "
        "All latents of the base are put through it, without any text, by its own encoder as it is "
        "used after training (a BatchTopK SAE by its threshold), with whatever it does to its "
        "inputs. A meta-latent is active where its activation is above zero.\n\n"
        "`rows` says how rows are put in: `unit` at length one, as in the papers, or `stored` at "
        "the lengths that the base's decoder has once it is loaded (scales of activations folded "
        "in; one where the base scales its activations by these lengths). `explained_other` is the "
        "explained variance of the other way. Rows without a length are left out (`n_without`).\n\n"
        "`explained` is the explained variance of the rows: 1 minus the sum of the squared lengths "
        "of what is left of them, divided by the sum of their squared distances from the mean row. "
        "`active` is the mean number of active meta-latents; bin b of `active_counts` holds rows "
        "with `active_width` b and more. The intervals are 95 % intervals by drawing base latents "
        "anew (percentiles, 2,000 resamples, the mean row held). `cosine` is the mean cosine of "
        "rows with their reconstructions; bin b of `cosine_counts` holds cosines from "
        "-0.1 + 0.05 b, the first one all that are smaller. `n_dead` meta-latents are active on no "
        "row and `n_single` on one; bin b of `use_counts` holds meta-latents that are active on "
        "fewer than 2^b rows, and not fewer than half as many. `n_well` rows have a share of "
        "`well` or more of their own variance explained (see Decoder rows as sums). `largest` is "
        "the mean share of the row that its largest meta-latent has, `others` that of its other "
        "ones together, over `n_taken` rows (up to 2,048, spread evenly): where the first is "
        "nearly all, rows are put into groups rather than taken apart.\n\n"
        "Chance: as many random rows (up to 8,192), drawn from a normal distribution with the "
        "second moments of the unit rows and put in at the same lengths, through the same "
        "meta-SAE. What is explained of the true rows beyond that is not owed to the few "
        "dimensions that they lie in. It does not tell finding from memorising: the meta-SAE has "
        "been trained on these rows, and with as many meta-latents as rows it could hold each.",
        about="sae",
        on_pages=False,
    ),
    Table(
        "meta_latents",
        "sae",
        ("meta", "number"),
        (
            META,
            Column("number", I32, Rank()),
            Column("n_active", I64, Count()),
            Column("latents", listed(I32), Latent()),
            Column("activations", listed(F32), NonNegative(), same_length_as="latents"),
            *TOKEN_LISTS,
        ),
        "Meta-latents",
        "Meta-latents of each meta-SAE: those that are active on the most base latents, and all "
        "that the decompositions of shown latents name. `latents` are the (up to 10) base latents "
        "on which one is most active. Its tokens are those that its decoder row raises and lowers "
        "most by the logit lens, as if it were written where the base writes (see Logit lens); "
        "there are none where the base has no logit lens.",
        about="sae",
        on_pages=False,
    ),
    Table(
        "meta_parts",
        "sae",
        ("latent", "meta"),
        (
            LATENT,
            META,
            Column("parts", listed(I32), Rank()),
            Column("activations", listed(F32), NonNegative(), same_length_as="parts"),
            Column("shares", listed(F32), Real(), same_length_as="parts"),
            Column("left", F32, Real()),
            Column("n_active", I64, Count()),
            EXPLAINED,
            COSINE,
        ),
        "Decoder rows as sums",
        "The decoder row of each shown latent as a sum of meta-latents: `parts` are the (up to 6) "
        "active ones with the largest shares. With b for what the meta-SAE makes where no "
        "meta-latent is active, f d for what a meta-latent adds, and r for what is left, "
        "row - b is the sum of all f d and r; a share is the scalar product of such a term with "
        "row - b, divided by the squared length of row - b, so that the shares of all active "
        "meta-latents and that of r (`left`) add up to 1. One can be below zero: then a "
        "meta-latent takes back what another one adds too much.\n\n"
        "`explained` is 1 minus the squared length of r divided by the squared distance of the row "
        "from the mean of all rows; `cosine` is that of the row with its reconstruction.",
        about="latent",
    ),
    Table(
        "meta_extremes",
        "sae",
        ("meta", "end", "rank"),
        (
            META,
            Column("end", TEXT, OneOf(words=("best", "least"))),
            RANK,
            Column("latent", I32, Latent()),
            EXPLAINED,
            COSINE,
            Column("n_active", I64, Count()),
            Column("parts", listed(I32), Rank()),
            Column("shares", listed(F32), Real(), same_length_as="parts"),
        ),
        "Rows explained best and least",
        "The base latents of whose decoder rows a meta-SAE explains the largest and the smallest "
        "share, shown or not, with the (up to 3) meta-latents of the largest shares; see Decoder "
        "rows as sums. Those at the lower end are what this meta-SAE takes for atomic, or what it "
        "has no room for.",
        about="sae",
        also_others=True,
        on_pages=False,
    ),
    Table(
        "meta_words",
        "sae",
        ("latent",),
        (LATENT, Column("tokens", listed(I32), Token(), never_empty=True)),
        "Tokens of latents that meta-SAEs name",
        "Of each base latent that the tables about meta-SAEs name, shown or not, the tokens that "
        "it raises most by the logit lens.",
        about="sae",
        also_others=True,
        on_pages=False,
    ),
)
