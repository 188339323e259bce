"""The tables of sparse probing: which few latents carry a concept of labelled texts."""

from __future__ import annotations

from saereport.run.kinds import Count, OneOf, Rank, Real, Share, Text, Token
from saereport.run.table import F64, I32, I64, LATENT, TEXT, Column, Table, listed

_TASK = Column("task", TEXT, Text())
_CONCEPT = Column("concept", TEXT, Text())
_POOLING = Column("pooling", TEXT, OneOf(words=("mean", "max")))


def _interval(name: str) -> Column:
    return Column(f"{name}_interval", listed(F64), Share(), lengths=(0, 2))


PROBING_TABLES = (
    Table(
        "probing_tasks",
        "run",
        ("task", "concept"),
        (
            _TASK,
            _CONCEPT,
            Column("against", TEXT, Text()),
            Column("n_with", I64, Count()),
            Column("n_without", I64, Count()),
            Column("n_held_out", I64, Count()),
            Column("n_held_out_with", I64, Count()),
            Column("n_duplicates", I64, Count()),
            Column("n_conflicting", I64, Count()),
            Column("n_not_drawn", I64, Count()),
            Column("n_empty", I64, Count()),
            Column("n_cut", I64, Count()),
            Column("longest", I64, Count()),
        ),
        "Labelled texts",
        "What probes are fitted to and tried on. A task is a file of labelled texts, or several; a "
        "concept is a label of it that a probe tells from the others (`against`): of two labels "
        "one, of more each against the rest.\n\n"
        "A text that is there twice counts once (`n_duplicates`), one with two labels not at all "
        "(`n_conflicting`), so that none is both among the training texts and among the held-out "
        "ones; texts are compared as they are read, after cutting. Of more than are asked "
        "for some are drawn, of each label the same part (`n_not_drawn`). A text is cut after "
        "`longest` tokens (`n_cut`); one without a token that counts is left out (`n_empty`). "
        "`n_held_out` texts, of each label the same part and drawn with the seed, are never fitted "
        "to.",
        about="run",
    ),
    Table(
        "probing_scores",
        "sae",
        ("task", "concept", "pooling", "probe", "k"),
        (
            _TASK,
            _CONCEPT,
            _POOLING,
            Column("probe", TEXT, OneOf(words=("latents", "activations", "majority", "shuffled"))),
            Column("k", I32, Count()),
            Column("accuracy", F64, Share()),
            _interval("accuracy"),
            Column("balanced", F64, Share()),
            _interval("balanced"),
            Column("auc", F64, Share()),
            _interval("auc"),
        ),
        "Sparse probing",
        "How well a few latents of the SAE tell the texts of a concept from the others, on texts "
        "that were held out. Over a text's tokens that count, a latent's activation is averaged "
        "(`mean`), or the one of largest magnitude is taken (`max`). Latents of the whole "
        "dictionary are ranked by the difference of their means between the two classes of the "
        "training texts, and a logistic regression is fitted to the first `k` (Gurnee et al. 2023; "
        "SAEBench): features standardised over the training texts, with a ridge of strength 1, as "
        "scikit-learn's with C = 1.\n\n"
        "`activations` is the same regression on the mean over the text of all that the SAE reads, "
        "its C chosen among 0.0001 to 1 by a fifth of the training texts, whatever the pooling of "
        "the latents. `majority` says the commoner class of every text. `shuffled` is the mean "
        "over 20 shuffles of the training labels, each with latents chosen and fitted anew, and in "
        "place of the interval the range that holds 95 % of them: what the choice of latents alone "
        "finds.\n\n"
        "`accuracy` is the share of held-out texts that are told right, `balanced` its mean over "
        "the two classes, `auc` the probability that a text of the concept has the higher logit. "
        "Intervals are 95 % intervals (percentiles, 2,000 resamples) by drawing held-out texts "
        "anew within each class; with fewer than 10 of a class there is none. They know of the "
        "texts alone, and not of another draw of training texts. Task and concept `*` are the mean "
        "over all concepts, of the probes on the most latents.",
        about="sae",
        on_pages=False,
    ),
    Table(
        "probing_latents",
        "sae",
        ("task", "concept", "pooling", "latent"),
        (
            _TASK,
            _CONCEPT,
            _POOLING,
            LATENT,
            Column("rank", I32, Rank()),
            Column("weight", F64, Real()),
            Column("with_concept", F64, Real()),
            Column("without_concept", F64, Real()),
            Column("share_with", F64, Share()),
            Column("share_without", F64, Share()),
            Column("example", listed(I32), Token()),
            Column("peak", I32, Rank()),
        ),
        "Latents of probes",
        "The latents that a concept's probe is fitted to, by `rank`, the largest difference of "
        "class means first. `weight` is its weight in the probe on all of them, for the latent in "
        "units of its standard deviation: above zero it speaks for the concept. `with_concept` and "
        "`without_concept` are its means over the training texts of either class, `share_with` and "
        "`share_without` the shares of these texts on which it is active at all. `example` are the "
        "tokens around its strongest place (`peak`, counted in them from 0) in the texts of the "
        "class on which it is stronger, held out or not.",
        about="latent",
        reveals_text=True,
        also_others=True,
        on_pages=False,
    ),
)
