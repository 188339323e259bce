"""The tables about the geometry of dictionaries: against each other, and within each."""

from __future__ import annotations

from saereport.run.kinds import (
    Cosine,
    Count,
    Flag,
    Latent,
    OneOf,
    Rank,
    Real,
    SaeName,
    Share,
    Text,
    Token,
    Whole,
)
from saereport.run.table import BOOL, F32, F64, I32, I64, LATENT, TEXT, Column, Table, listed

_OTHER = Column("other", TEXT, SaeName())
_DIRECTIONS = (
    "A latent's direction is its decoder row at length one. Two SAEs that write at one hook point "
    "are compared there (`space` is `hook`); others in the residual stream (`residual`), where the "
    "rows of attention SAEs have gone through the heads' output matrices, writes to several hook "
    "points are added up, and the weights of norms on the way are folded in. Latents whose row has "
    "no length point nowhere and are left out of all counts (`n_without`)."
)

GEOMETRY_TABLES = (
    Table(
        "dictionary_matches",
        "sae",
        ("other",),
        (
            _OTHER,
            Column("space", TEXT, OneOf(words=("hook", "residual"))),
            Column("hook", TEXT, Text()),
            Column("n_latents", I64, Count()),
            Column("n_others", I64, Count()),
            Column("n_without", I64, Count()),
            Column("threshold", F64, Cosine()),
            Column("mean", F64, Cosine()),
            Column("median", F64, Cosine()),
            Column("n_matched", I64, Count()),
            Column("matched", F64, Share()),
            Column("n_mutual", I64, Count()),
            Column("counts", listed(I64), Count()),
            Column("chance_mean", F64, Cosine()),
            Column("chance_median", F64, Cosine()),
            Column("chance_high", F64, Cosine()),
            Column("chance_counts", listed(I64), Count(), same_length_as="counts"),
            Column("split_from", F64, Cosine()),
            Column("n_split", I64, Count()),
            Column("n_parts", I64, Count()),
            Column("unmatched", listed(I32), Latent()),
            Column("unmatched_cosines", listed(F32), Cosine(), same_length_as="unmatched"),
        ),
        "SAEs against each other",
        "How much of this SAE's dictionary another SAE of the report has too, over all latents of "
        "both and from the weights alone. " + _DIRECTIONS + "\n\n"
        "The best match of a latent is the latent of the other SAE with the largest cosine. `mean` "
        "and `median` are those of its cosine over this SAE's latents; bin b of `counts` holds "
        "cosines from -0.1 + 0.05 b, the first one all that are smaller. A best match counts as a "
        "match from the cosine `threshold` on; `matched` is the share of latents that have one, "
        "and `n_mutual` how many of these are their match's best match in turn. `unmatched` are "
        "latents without a match, the farthest first.\n\n"
        "Chance: in place of the other SAE's directions as many random ones, drawn from a normal "
        "distribution with the second moments of its unit rows, so that they lie in the same few "
        "dimensions; the best match among them of (up to 1,024) latents of this SAE has the mean "
        "`chance_mean`, the median `chance_median`, and the 99th percentile `chance_high`. What is "
        "not above that says nothing.\n\n"
        "`n_split` latents of this SAE are the best match, at a cosine of `split_from` or more, of "
        "several latents of the other one, `n_parts` in all: see Feature splitting.",
        about="sae",
        on_pages=False,
    ),
    Table(
        "latent_matches",
        "sae",
        ("latent", "other"),
        (
            LATENT,
            _OTHER,
            Column("best", I32, Latent(of="other")),
            Column("cosine", F32, Cosine()),
            Column("mutual", BOOL, Flag()),
            Column("parts", listed(I32), Latent(of="other")),
            Column("part_cosines", listed(F32), Cosine(), same_length_as="parts"),
        ),
        "Matches of latents",
        "Of each shown latent the best match in other SAEs of the report: the latent whose decoder "
        "direction has the largest cosine with this one's. " + _DIRECTIONS + " `mutual` says "
        "whether this latent is its best match's best match in turn. `parts` are the latents of "
        "the other SAE of which this one is the best match (up to ten, those with the largest "
        "cosine first), from the cosine on from which splitting counts.",
        about="latent",
    ),
    Table(
        "feature_splits",
        "sae",
        ("other", "latent"),
        (
            Column("latent", I32, Latent()),
            _OTHER,
            Column("n_parts", I64, Count()),
            Column("parts", listed(I32), Latent(of="other"), never_empty=True),
            Column("cosines", listed(F32), Cosine(), same_length_as="parts"),
            Column("within", F32, Cosine()),
        ),
        "Feature splitting",
        "Latents of this SAE for which another one has several: it is the best match of two or "
        "more of the other's latents, each at a cosine of `split_from` (see SAEs against each "
        "other) or more. Listed are those with the most parts, of equally many those with the "
        "largest mean cosine, of each up to ten parts, the nearest first. `within` is the mean "
        "cosine between two of all parts: near 1 where the other SAE has nearly the same direction "
        "several times, smaller where the parts differ. Looked for are the latents of the narrower "
        "SAE of a pair, of equally wide ones those of both.",
        about="sae",
        on_pages=False,
    ),
    Table(
        "dictionary_clusters",
        "sae",
        ("cluster",),
        (
            Column("cluster", I32, Rank()),
            Column("size", I64, Count()),
            Column("cohesion", F64, Cosine()),
            Column("members", listed(I32), Latent(), never_empty=True),
            Column("member_cosines", listed(F32), Cosine(), same_length_as="members"),
            Column("tokens", listed(I32), Token()),
            Column("token_counts", listed(I64), Count(), same_length_as="tokens"),
            Column("n_looked", I64, Count()),
            Column("cut", F64, Cosine()),
            Column("cut_asked", BOOL, Flag()),
            Column("n_clusters", I64, Count()),
            Column("n_clustered", I64, Count()),
            Column("n_latents", I64, Count()),
        ),
        "Clusters of latents",
        "Latents of the SAE whose directions belong together, over the whole dictionary and in the "
        "space that the directions live in (for `hook_z` the heads' outputs, side by side; of "
        "writes to several hook points the sum), not in the two dimensions of a map. Average "
        "linkage on cosines: two clusters are joined as long as the mean cosine between a latent "
        "of the one and a latent of the other is not below a `cut`, those with the largest mean "
        "first; only clusters of which a latent is among the 16 nearest of a latent of the other "
        "can be joined. So the number of clusters is not chosen, it follows from the cut, and most "
        "latents may be in none. Of directions whose 16 nearest all lie at a cosine of 0.999 or "
        "more, those that lie so near to the first of them are joined beforehand. Unless another "
        "is asked for, the cut is the cosine that 99.9 % of pairs of random directions stay "
        "below, drawn from a normal distribution with the second "
        "moments of the dictionary's unit rows.\n\n"
        "`cohesion` is the mean cosine between two of a cluster's latents. `members` are the "
        "(up to 12) latents nearest its centre, with their cosines to it; the centre is the mean "
        "of all. `tokens` are what its latents have in common: of the up to 32 latents nearest the "
        "centre (`n_looked`), how many have a token among the ten that they raise most by the "
        "logit lens, two at least. `n_clusters` and `n_clustered` count all clusters and their "
        "latents, those that are not listed too.",
        about="sae",
        on_pages=False,
    ),
    Table(
        "cluster_places",
        "sae",
        ("latent",),
        (
            LATENT,
            Column("cluster", I32, Whole(low=-1, high=2**24)),
            Column("x", F32, Real()),
            Column("y", F32, Real()),
        ),
        "Clusters on the map",
        "Where latents lie on the map of their directions, made as the map of the SAE's page is "
        "(see Geometry), and in which cluster they are, -1 for none: the latents of the largest "
        "clusters, those that the report shows, and some others that lie evenly over the "
        "dictionary.",
        about="sae",
        also_others=True,
        on_pages=False,
    ),
    Table(
        "latent_chains",
        "run",
        ("chain", "step"),
        (
            Column("chain", I32, Rank()),
            Column("step", I32, Rank()),
            Column("sae", TEXT, SaeName()),
            Column("latent", I32, Latent(of="sae")),
            Column("cosine", listed(F32), Cosine(), lengths=(0, 1)),
            Column("nearest", listed(F32), Cosine(), lengths=(0, 1)),
            Column("together", listed(F32), Cosine(), lengths=(0, 1)),
            Column("threshold", F64, Cosine()),
            Column("n_steps", I64, Count()),
            Column("n_as_long", I64, Count()),
            Column("n_chains", I64, Count()),
            Column("n_tokens", I64, Count()),
        ),
        "Latents through the layers",
        "Latents of different SAEs of the report that are taken for one that goes through the "
        "layers. A link leads from a latent to its match in an SAE that writes later: each is the "
        "other's best match, at a cosine of their directions from `threshold` on (see SAEs against "
        "each other, which are compared and where). Of several matches of one latent that in the "
        "nearest SAE counts, seen from both ends, so that no latent is in two chains.\n\n"
        "`cosine` is that with the step before. `nearest` is, for the first latent, its largest "
        "cosine with a latent of an earlier SAE that it was compared with, and for the last one "
        "with a latent of a later one: below the threshold it appears there and goes nowhere on; "
        "above, its match has another match that is nearer. It is empty where there is no such "
        "SAE. `together` is the correlation (Pearson) of its activation with that of the step "
        "before over the first `n_tokens` counted tokens of the text; empty where one of the two "
        "is never active there. Listed are the chains of the most steps, of equally many those "
        "whose weakest link is strongest, and all that hold a latent that the report shows; "
        "`n_chains` is how many there are, `n_as_long` how many of as many steps as this one, and "
        "`n_steps` how many steps it has, also where a part of the report leaves out SAEs of it.",
        about="sae",
        version=2,
        on_pages=False,
    ),
    Table(
        "latent_words",
        "sae",
        ("latent",),
        (LATENT, Column("tokens", listed(I32), Token(), never_empty=True)),
        "Tokens of latents that are named",
        "Of each latent that the tables about geometry name, shown or not, the tokens that it "
        "raises most by the logit lens, so that a reader knows what it may be about.",
        about="sae",
        also_others=True,
        on_pages=False,
    ),
)
